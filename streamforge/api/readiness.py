"""Whether what this process stands on is well: asked by `/ready`, and before an upload is let in."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass

import structlog

from streamforge.errors import ServiceError, StreamForgeError

CHECK_TIMEOUT = 3.0
FRESH_SECONDS = 1.0
"""So long a good answer counts for those who ask next: uploads that come together are one question to each part."""

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Part:
    """`check` raises what is wrong; `unavailable` is what is said when it does not return."""

    check: Callable[[], Awaitable[object]]
    unavailable: type[StreamForgeError]


class Readiness:
    """Each part is asked once at a time, however many want to know, and however long it hangs: checks of a dead disk
    must not take all threads one by one."""

    def __init__(self, parts: Mapping[str, Part]) -> None:
        self._parts = {name: _Asked(name, part) for name, part in parts.items()}

    async def problems(self) -> dict[str, StreamForgeError | None]:
        """What is wrong with each part; None where it is well."""
        found = await asyncio.gather(*(part.problem() for part in self._parts.values()))
        return dict(zip(self._parts, found, strict=True))

    async def require(self, *names: str) -> None:
        """Raises what is wrong with one of them."""
        for problem in await asyncio.gather(*(self._parts[name].problem() for name in names)):
            if problem is not None:
                raise problem


class _Asked:
    def __init__(self, name: str, part: Part) -> None:
        self._name = name
        self._part = part
        self._answer: asyncio.Task[StreamForgeError | None] | None = None
        self._answered_at = 0.0

    async def problem(self) -> StreamForgeError | None:
        answer = self._question()
        done, _ = await asyncio.wait([answer], timeout=CHECK_TIMEOUT)
        return answer.result() if done else self._part.unavailable(f"No answer within {CHECK_TIMEOUT:g} s.")

    def _question(self) -> "asyncio.Task[StreamForgeError | None]":
        """One that is still open, or was answered well a moment ago, or a new one."""
        if self._answer is None or (self._answer.done() and not self._was_well_just_now(self._answer)):
            self._answer = asyncio.create_task(self._ask(), name=f"is {self._name} well")
        return self._answer

    def _was_well_just_now(self, answer: "asyncio.Task[StreamForgeError | None]") -> bool:
        return answer.result() is None and asyncio.get_running_loop().time() - self._answered_at < FRESH_SECONDS

    async def _ask(self) -> StreamForgeError | None:
        try:
            await self._part.check()
        except StreamForgeError as error:
            return error
        except Exception:
            log.exception("readiness check failed", check=self._name)
            return ServiceError("The check itself failed; the log knows why.")
        finally:
            self._answered_at = asyncio.get_running_loop().time()
        return None
