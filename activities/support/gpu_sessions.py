"""Sessions of GPU encoders: a GPU has few of them, so they are counted. Nobody waits for one, because a CPU is there, too."""

from collections.abc import Collection, Iterator
from contextlib import contextmanager

from streamforge.contracts.media.plan import VideoRendition
from streamforge.media.worker.gpus import GpuMeter
from streamforge.observability import metrics


class GpuSessions:
    """`encoders` are those that work on this machine, by FFmpeg's names; no more than `limit` of them are open at once."""

    def __init__(self, encoders: Collection[str], limit: int, meter: GpuMeter) -> None:
        self.encoders = frozenset(encoders)
        self._free = limit
        metrics.GPU_SESSIONS.set(limit if encoders else 0)
        self._meter = meter

    @contextmanager
    def take(self, renditions: list[VideoRendition]) -> Iterator[frozenset[str]]:
        """The names of the renditions that got one, the largest first; all others are for the CPU."""
        fit = [rendition for rendition in renditions if rendition.gpu_encoder in self.encoders]
        fit.sort(key=lambda rendition: rendition.width * rendition.height, reverse=True)
        taken = frozenset(rendition.name for rendition in fit[: self._free])
        self._free -= len(taken)
        metrics.GPU_SESSIONS_IN_USE.inc(len(taken))
        try:
            yield taken
        finally:
            self._free += len(taken)
            metrics.GPU_SESSIONS_IN_USE.dec(len(taken))

    def utilisation(self) -> dict[str, list[dict[str, str | int]]]:
        """For the details of a heartbeat: nothing where there is no GPU."""
        gpus = self._meter.latest
        return {"gpus": [gpu.model_dump() for gpu in gpus]} if gpus else {}
