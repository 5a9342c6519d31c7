"""When to try again, and when no more."""

import asyncio
import time

FIRST_BACKOFF_SECONDS = 0.2
LONGEST_BACKOFF_SECONDS = 5.0


class Patience:
    """It is over `give_up_seconds` after the last word of the server."""

    def __init__(self, give_up_seconds: float) -> None:
        self._give_up_seconds = give_up_seconds
        self._hint: float | None = None
        self.renew()

    @property
    def is_over(self) -> bool:
        return time.monotonic() >= self._give_up_at

    def renew(self) -> None:
        self._backoff = FIRST_BACKOFF_SECONDS
        self._give_up_at = time.monotonic() + self._give_up_seconds

    def hint(self, seconds: float) -> None:
        """What the server asks for, once."""
        self._hint = min(max(seconds, 0.0), self._give_up_seconds)

    async def wait(self) -> None:
        """As long as the server asked for, or longer each time."""
        await asyncio.sleep(self._next_delay())

    def _next_delay(self) -> float:
        if self._hint is not None:
            delay, self._hint = self._hint, None
            return delay
        delay, self._backoff = self._backoff, min(self._backoff * 2, LONGEST_BACKOFF_SECONDS)
        return delay
