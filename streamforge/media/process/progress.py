"""How far an encode is, told now and then."""

import time
from collections.abc import Callable

from streamforge.contracts.tasks import FramesEncoded
from streamforge.media.process.performing import Tell

REPORT_EVERY_SECONDS = 0.25


class FrameProgress:
    """Tells how many frames of each rendition are done."""

    def __init__(self, on_progress: Tell[FramesEncoded], frames: Callable[[], dict[str, int]]) -> None:
        self._on_progress = on_progress
        self._frames = frames
        self._began = self._reported = time.monotonic()

    def tell_now_and_then(self) -> None:
        if time.monotonic() - self._reported >= REPORT_EVERY_SECONDS:
            self.tell()

    def tell(self) -> None:
        self._reported = time.monotonic()
        self._on_progress(FramesEncoded(frames=self._frames(), seconds=round(self._reported - self._began, 3)))
