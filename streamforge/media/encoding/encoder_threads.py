"""A thread for each encoder, so that a chunk's renditions are encoded side by side."""

import queue
import threading
from collections.abc import Callable

from streamforge.media.encoding.rendition import Picture, RenditionEncoder

QUEUED_FRAMES = 4
"""Per encoder. Enough to keep it busy while the decoder works on the next frame, small enough for 4K."""


class Lane:
    """A thread that feeds one encoder. Every lane has frames of its own: one av frame in two threads crashes Python."""

    def __init__(self, encoder: RenditionEncoder) -> None:
        self._encoder = encoder
        self._queue: queue.Queue[Picture | None] = queue.Queue(maxsize=QUEUED_FRAMES)
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, daemon=True)

    def __enter__(self) -> "Lane":
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if kind is not None:
            self._error = self._error or RuntimeError("abandoned")
            self._queue.put(None)
        self._thread.join()

    def put(self, picture: Picture) -> None:
        """Waits while the encoder is behind. Raises what it raised."""
        self._queue.put(picture)
        if self._error is not None:
            raise self._error

    def finish(self) -> None:
        self._queue.put(None)
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        """After an error the queue is still emptied, so that nobody waits for room in it."""
        while (picture := self._queue.get()) is not None:
            if self._error is None:
                self._attempt(self._encoder.encode, picture)
        if self._error is None:
            self._attempt(self._encoder.flush)
        self._encoder.close()

    def _attempt(self, work: Callable[..., None], *arguments: Picture) -> None:
        try:
            work(*arguments)
        except BaseException as error:
            self._error = error
