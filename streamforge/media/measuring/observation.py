"""Watches the pictures of a part go by: keeps the log of what they look like, and hands samples of them to VMAF."""

from collections.abc import Mapping
from types import TracebackType
from typing import Self

from av.video.frame import VideoFrame

from streamforge.contracts.media.plan import VideoRendition
from streamforge.contracts.media.scores import PartQuality, RenditionLog
from streamforge.contracts.media.source import VideoSource
from streamforge.media.decoding.frames import SourceFrame
from streamforge.media.encoding.decode_check import DecodeCheck, OnPicture
from streamforge.media.encoding.scaling import Output, Scaler, Size
from streamforge.media.measuring.luma import Observer
from streamforge.media.measuring.scorer import Scorer
from streamforge.planning.sizes import largest_even
from streamforge.quality.sampling import Sampling


class QualityObservation:
    """`see` takes the source's pictures in order, the `listener` of each rendition what became of them.

    `unencoded` are kinds of pictures, by name, that are measured as they are before any encoder sees them: the best that
    a rendition of this size can be.
    """

    def __init__(
        self,
        video: VideoSource,
        renditions: list[VideoRendition],
        sampling: Sampling,
        scorer: Scorer,
        unencoded: Mapping[str, Output],
    ) -> None:
        self._names = [rendition.name for rendition in renditions]
        self._sampling = sampling
        self._scorer = scorer
        self._ranges = list(dict.fromkeys(rendition.dynamic_range for rendition in renditions))
        size = reference_size(video)
        self._scaler = Scaler(video, [Output(size, dynamic_range=each) for each in self._ranges])
        self._unencoded = list(unencoded)
        self._smaller = Scaler(video, list(unencoded.values()))
        self._observer = Observer()

    def __enter__(self) -> Self:
        self._scorer.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._scorer.__exit__(kind, error, at)

    def see(self, number: int, frame: SourceFrame) -> None:
        self._observer.see(frame.picture, frame.ticks)
        if self._sampling.needs(number):
            pictures = self._scaler.scale(frame.picture, frame.ticks, frame.look)
            self._scorer.reference(number, dict(zip(self._ranges, pictures, strict=True)))
        if self._unencoded and self._sampling.measures(number):
            pictures = self._smaller.scale(frame.picture, frame.ticks, frame.look)
            for name, picture in zip(self._unencoded, pictures, strict=True):
                self._scorer.distorted(name, number, picture)

    def listener(self, name: str) -> OnPicture:
        def heard(number: int, frame: VideoFrame) -> None:
            if self._sampling.measures(number):
                self._scorer.distorted(name, number, frame)

        return heard

    def finish(self, proofs: dict[str, DecodeCheck]) -> PartQuality:
        """Waits for VMAF. Raises OutputInvalid when ffmpeg gave up."""
        scores = self._scorer.finish()
        logs = [RenditionLog(name=name, error=proofs[name].error, scores=scores[name]) for name in self._names]
        none = [0.0] * len(self._observer.log.ticks)
        logs += [RenditionLog(name=name, error=none, scores=scores[name]) for name in self._unencoded]
        return PartQuality(pictures=self._observer.log, renditions=logs)


def reference_size(video: VideoSource) -> Size:
    """What a viewer sees of the source, in the even lengths that 4:2:0 asks for."""
    return Size(largest_even(video.width), largest_even(video.height))
