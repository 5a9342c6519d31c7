"""One question after the other to a part that may hang: a database, a store, a disk."""

import asyncio
from collections.abc import Awaitable, Callable

import structlog

from streamforge.errors import ServiceError, StreamForgeError

log = structlog.stdlib.get_logger(__name__)


class Check:
    """Asked once at a time, however many want to know and however long it hangs: questions to a dead disk must not take
    all threads of a process, one by one.

    `ask` raises what is wrong; `unavailable` is what is said when it has not returned after `timeout` seconds.
    """

    def __init__(
        self,
        name: str,
        ask: Callable[[], Awaitable[object]],
        unavailable: type[StreamForgeError],
        *,
        timeout: float,
    ) -> None:
        self.name = name
        self._ask = ask
        self._unavailable = unavailable
        self._timeout = timeout
        self._answer: asyncio.Task[StreamForgeError | None] | None = None
        self._answered_at = 0.0

    async def problem(self, fresh: float = 0.0) -> StreamForgeError | None:
        """What is wrong; None when all is well, or was so many seconds ago."""
        answer = self._question(fresh)
        done, _ = await asyncio.wait([answer], timeout=self._timeout)
        return (
            answer.result()
            if done
            else self._unavailable(f"No answer from the {self.name} within {self._timeout:g} s.")
        )

    def _question(self, fresh: float) -> "asyncio.Task[StreamForgeError | None]":
        """One that is still open, or was answered well a moment ago, or a new one."""
        if self._answer is None or (self._answer.done() and not self._was_well(self._answer, fresh)):
            self._answer = asyncio.create_task(self._put(), name=f"is {self.name} well")
        return self._answer

    def _was_well(self, answer: "asyncio.Task[StreamForgeError | None]", fresh: float) -> bool:
        return answer.result() is None and asyncio.get_running_loop().time() - self._answered_at < fresh

    async def _put(self) -> StreamForgeError | None:
        try:
            await self._ask()
        except StreamForgeError as error:
            return error
        except Exception:
            log.exception("check failed", check=self.name)
            return ServiceError("The check itself failed; the log knows why.")
        finally:
            self._answered_at = asyncio.get_running_loop().time()
        return None
