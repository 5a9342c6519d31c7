"""When somebody asks the process to end: SIGINT, SIGTERM, or SIGHUP, which a terminal sends as it closes."""

import asyncio
import signal
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager, suppress
from typing import Any

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


@contextmanager
def stop_requests() -> Iterator[asyncio.Event]:
    """An event that the first of them sets; later ones change nothing: a shell and its terminal both send SIGHUP."""
    asked_to_stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    # Under nohup a closed terminal is no reason to stop.
    nohup = signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    numbers = [number for number in STOP_SIGNALS if not (nohup and number is signal.SIGHUP)]
    for number in numbers:
        loop.add_signal_handler(number, asked_to_stop.set)
    try:
        yield asked_to_stop
    finally:
        for number in numbers:
            with suppress(RuntimeError):
                loop.remove_signal_handler(number)


async def until_signal(work: Coroutine[Any, Any, None]) -> bool:
    """Run `work`; at the first of them cancel it and wait for its clean-up. Later signals do not cut that short. True
    when a signal ended it."""
    with stop_requests() as asked_to_stop:
        working = asyncio.create_task(work)
        waiting = asyncio.create_task(asked_to_stop.wait())
        await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
        waiting.cancel()
        working.cancel()
        with suppress(asyncio.CancelledError):
            await working
        return asked_to_stop.is_set()
