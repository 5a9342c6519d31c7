"""Whether what this process stands on is well: asked by `/ready`, and before an upload is let in."""

import asyncio
from collections.abc import Sequence

from streamforge.checks import Check
from streamforge.errors import StreamForgeError

CHECK_TIMEOUT = 3.0
FRESH_SECONDS = 1.0
"""So long a good answer counts for the next upload, and for strangers: those that come together are one question to each part.
Each question writes to the database and to the store, and a bucket has its price for that."""


class Readiness:
    def __init__(self, checks: Sequence[Check]) -> None:
        self._checks = {check.name: check for check in checks}

    async def problems(self, fresh: float = 0.0) -> dict[str, StreamForgeError | None]:
        """What is wrong with each part; None where it is well, or was so many seconds ago."""
        found = await asyncio.gather(*(check.problem(fresh) for check in self._checks.values()))
        return dict(zip(self._checks, found, strict=True))

    async def require(self, *names: str) -> None:
        """Raises what is wrong with one of them."""
        for problem in await asyncio.gather(*(self._checks[name].problem(FRESH_SECONDS) for name in names)):
            if problem is not None:
                raise problem
