"""Work that goes on beside other work, and ends with it."""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any, Self

Work = Mapping[str, Coroutine[Any, Any, None]]
"""By the name of its task."""


@asynccontextmanager
async def beside(work: Work) -> AsyncIterator[None]:
    """It goes on while the block runs."""
    tasks = begin(work)
    try:
        yield
    finally:
        await stop(*tasks)


class Background(ABC):
    """A context: what it has to do goes on while the block runs."""

    _tasks: Sequence[asyncio.Task[None]] = ()

    @abstractmethod
    def work(self) -> Work:
        """Asked for when the block begins."""

    async def finish(self) -> None:  # noqa: B027 - nothing, for most
        """What is left to do when nothing goes on any more."""

    async def __aenter__(self) -> Self:
        self._tasks = begin(self.work())
        return self

    async def __aexit__(self, *_: object) -> None:
        await stop(*self._tasks)
        await self.finish()


def begin(work: Work) -> list[asyncio.Task[None]]:
    return [asyncio.create_task(each, name=name) for name, each in work.items()]


async def stop(*tasks: asyncio.Task[None]) -> None:
    """Cancel them, and wait until they have ended. Raises what one of them has died of."""
    for task in tasks:
        task.cancel()
    for task in tasks:
        with suppress(asyncio.CancelledError):
            await task
