"""Work that goes on until it is done or somebody asks the process to end."""

import asyncio
import signal
from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


async def until_signal(work: Coroutine[Any, Any, None]) -> bool:
    """Run `work`; at the first SIGINT, SIGTERM or SIGHUP cancel it and wait for its clean-up. Later signals do not
    cut that short. True when a signal ended it."""
    asked_to_stop = asyncio.Event()
    for number in STOP_SIGNALS:
        # Under nohup a closed terminal is no reason to stop.
        if number is signal.SIGHUP and signal.getsignal(number) is signal.SIG_IGN:
            continue
        asyncio.get_running_loop().add_signal_handler(number, asked_to_stop.set)
    working = asyncio.create_task(work)
    waiting = asyncio.create_task(asked_to_stop.wait())
    await asyncio.wait({working, waiting}, return_when=asyncio.FIRST_COMPLETED)
    waiting.cancel()
    working.cancel()
    with suppress(asyncio.CancelledError):
        await working
    return asked_to_stop.is_set()
