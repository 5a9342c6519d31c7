"""Probes samples of a film for a per-title search: the real encoders with their real options, measured as always."""

import shutil
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Self

from streamforge.contracts.media.per_title import Probed, ProbedRendition, RateAndQuality
from streamforge.contracts.media.plan import Chunk, EncodePlan, PerTitleTarget, VideoRendition
from streamforge.contracts.media.source import VIDEO_TIMESCALE
from streamforge.contracts.media.timeline import PictureCount
from streamforge.contracts.tasks import SEARCH, SearchRound, SearchTask
from streamforge.errors import TruncatedSource, UndecodableSource
from streamforge.media.decoding.frames import Frames, FrameWindow, SourceFrame
from streamforge.media.encoding.chunk_window import NOTHING, EncodedWindow, Window, encode_window
from streamforge.media.encoding.rendition import output_of
from streamforge.media.encoding.scaling import Output
from streamforge.media.measuring.observation import reference_size
from streamforge.media.process.performing import Tell, performs
from streamforge.packaging.presentation import seconds
from streamforge.planning.per_title.search import next_crf, sampled_bitrate, with_crf
from streamforge.quality.scoring import ScoreBoard

BEST_THERE_IS = 100.0


@performs(SEARCH)
def run(task: SearchTask, on_progress: Tell[SearchRound]) -> Probed:
    """Each round encodes every sample once, with all renditions that still need a probe side by side.

    Raises UndecodableSource when no sample holds a picture that can be measured.
    """
    samples = _Samples(task, on_progress)
    first = samples.encoded(task.plan.renditions, _scaled(task))
    probed = {
        r.name: ProbedRendition(
            name=r.name, best=first.scores.get(_unencoded(r), BEST_THERE_IS), probes=[first.probe(r)]
        )
        for r in task.plan.renditions
    }
    while wanted := _next_probes(task, probed):
        one_more = samples.encoded(wanted, NOTHING)
        for rendition in wanted:
            probed[rendition.name].probes.append(one_more.probe(rendition))
    return Probed(renditions=list(probed.values()), sample_seconds=first.seconds)


def _scaled(task: SearchTask) -> dict[str, Output]:
    """Pictures of the renditions that are smaller than the source; others can be as good as it is."""
    outputs = {_unencoded(r): output_of(r) for r in task.plan.renditions}
    return {
        name: output for name, output in outputs.items() if output.size != reference_size(task.source.video_required)
    }


def _unencoded(rendition: VideoRendition) -> str:
    """What the pictures of this kind are called before they are encoded."""
    return f"unencoded {rendition.width}x{rendition.height} {rendition.pixel_format} {rendition.dynamic_range}"


def _next_probes(task: SearchTask, probed: Mapping[str, ProbedRendition]) -> list[VideoRendition]:
    """The renditions that need another probe, with its CRF."""
    wanted = ((r, next_crf(r, task.per_title, probed[r.name])) for r in task.plan.renditions)
    return [with_crf(rendition, crf) for rendition, crf in wanted if crf is not None]


class _Samples:
    def __init__(self, task: SearchTask, on_progress: Tell[SearchRound]) -> None:
        self._task = task
        self._on_progress = on_progress
        self._rounds = count(1)

    def encoded(self, renditions: list[VideoRendition], unencoded: Mapping[str, Output]) -> "_Round":
        """Raises what `encode_window` raises."""
        number, target = next(self._rounds), self._task.target / "samples"
        try:
            task = self._task
            montage = MontageWindow(
                task.path, task.source, _plan(task), _whole(task.per_title), per_title=task.per_title
            )
            encoded = encode_window(
                montage, renditions, target, lambda _: self._on_progress(SearchRound(round=number)), unencoded=unencoded
            )
        finally:
            shutil.rmtree(target, ignore_errors=True)
        return _Round(encoded, self._task.plan.gop_seconds)


def _plan(task: SearchTask) -> EncodePlan:
    """Of the montage: every sample is a GOP, and a segment, of its own; nobody will see it, so it is not encrypted."""
    step, length = task.per_title.sample_every_frames, task.per_title.sample_seconds
    quality = task.plan.quality.model_copy(update={"enabled": True, "sample_every_frames": step})
    return task.plan.model_copy(
        update={"quality": quality, "gop_seconds": length, "segment_seconds": length, "protection": None}
    )


def _whole(target: PerTitleTarget) -> Chunk:
    return Chunk(index=0, start=0, end=None, expected_frames=sum(sample.expected_frames for sample in target.samples))


@dataclass(frozen=True)
class MontageWindow(Window):
    """All samples of a search as one film."""

    per_title: PerTitleTarget = field(kw_only=True)

    def frames(self, threads: int) -> Frames:
        return Montage(self, self.per_title, threads)


class Montage:
    """Samples of a source one behind the other, without the gaps between them; each begins where a GOP begins.

    So encoders and the ffmpeg that scores start once for all of them.
    """

    def __init__(self, window: Window, target: PerTitleTarget, threads: int) -> None:
        self._window = window
        self._target = target
        self._threads = threads
        self._open = ExitStack()
        self.goes_on = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    def __iter__(self) -> Iterator[SourceFrame]:
        for number, sample in enumerate(self._target.samples):
            moved = round(number * self._target.sample_seconds * VIDEO_TIMESCALE) - round(
                sample.start * VIDEO_TIMESCALE
            )
            with suppress(UndecodableSource, TruncatedSource):  # Whether a hole can be borne is for the encode to say.
                for frame in self._frames_of(sample):
                    yield SourceFrame(frame.ticks + moved, frame.duration, frame.picture, frame.look)

    @property
    def count(self) -> PictureCount:
        """Nobody asks what became of all pictures of a few samples."""
        return PictureCount()

    def _frames_of(self, sample: Chunk) -> FrameWindow:
        self._open.close()
        source, limit = self._window.source, self._window.plan.max_frame_rate
        return self._open.enter_context(FrameWindow(self._window.path, source, sample, limit, self._threads))


class _Round:
    """What came of all samples at one CRF of each rendition."""

    def __init__(self, encoded: EncodedWindow, gop_seconds: float) -> None:
        assert encoded.quality is not None
        board = ScoreBoard()
        board.add(encoded.quality)
        self.scores = {score.name: score.vmaf.mean for score in board.scores()}
        self.seconds = seconds(encoded.tracks[0])
        self._bitrates = {track.name: sampled_bitrate(track, gop_seconds) for track in encoded.tracks}

    def probe(self, rendition: VideoRendition) -> RateAndQuality:
        if rendition.name not in self.scores:
            raise UndecodableSource("No sample of the film holds a picture that can be measured.")
        return RateAndQuality(
            crf=float(rendition.options["crf"]),
            vmaf=self.scores[rendition.name],
            bitrate=self._bitrates[rendition.name],
        )
