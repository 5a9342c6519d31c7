"""What all media tasks share to tell how far they are."""

import time
from collections.abc import Callable
from typing import Any

Progress = Callable[[dict[str, Any]], None]
"""Called by a task, now and then, with how far it is; crosses to the worker as JSON."""

REPORT_EVERY_SECONDS = 0.25


class FrameProgress:
    """Tells how many frames of each rendition are done: `{"frames": {name: count}, "seconds": since it began}`."""

    def __init__(self, on_progress: Progress, frames: Callable[[], dict[str, int]]) -> None:
        self._on_progress = on_progress
        self._frames = frames
        self._began = self._reported = time.monotonic()

    def tell_now_and_then(self) -> None:
        if time.monotonic() - self._reported >= REPORT_EVERY_SECONDS:
            self.tell()

    def tell(self) -> None:
        self._reported = time.monotonic()
        self._on_progress({"frames": self._frames(), "seconds": round(self._reported - self._began, 3)})
