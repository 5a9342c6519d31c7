"""Probes samples of a film for a per-title search: the real encoders with their real options, measured as always."""

import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path

from pydantic import BaseModel

from streamforge.contracts.media import Chunk, EncodedTrack, PerTitleTarget, Plan, Source, VideoRendition
from streamforge.contracts.per_title import Probed, ProbedRendition, RateAndQuality
from streamforge.errors import TruncatedSource, UndecodableSource
from streamforge.media.measure import reference_size
from streamforge.media.progress import Progress
from streamforge.media.scaling import Size
from streamforge.media.window import NOTHING, EncodedWindow, Window, encode_window
from streamforge.planning.manifests import seconds
from streamforge.planning.per_title import next_crf, sampled_bitrate, with_crf
from streamforge.planning.scoring import ScoreBoard

BEST_THERE_IS = 100.0


class SearchTask(BaseModel):
    """`target` is an empty folder for what is encoded on the way; it is empty again in the end."""

    path: Path
    source: Source
    plan: Plan
    per_title: PerTitleTarget
    target: Path


def run(task: SearchTask, on_progress: Progress) -> Probed:
    """Each round encodes every sample once, with all renditions that still need a probe side by side.

    Raises UndecodableSource when no sample holds a picture that can be measured.
    """
    samples = _Samples(task, on_progress)
    first = samples.encoded(task.plan.renditions, _scaled_sizes(task))
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


def _scaled_sizes(task: SearchTask) -> dict[str, Size]:
    """Of the renditions that are smaller than the source; others can be as good as it is."""
    sizes = {_unencoded(r): Size(r.width, r.height) for r in task.plan.renditions}
    return {name: size for name, size in sizes.items() if size != reference_size(task.source.video)}


def _unencoded(rendition: VideoRendition) -> str:
    """What the pictures of this size are called before they are encoded."""
    return f"unencoded {rendition.width}x{rendition.height}"


def _next_probes(task: SearchTask, probed: Mapping[str, ProbedRendition]) -> list[VideoRendition]:
    """The renditions that need another probe, with its CRF."""
    wanted = ((r, next_crf(r, task.per_title, probed[r.name])) for r in task.plan.renditions)
    return [with_crf(rendition, crf) for rendition, crf in wanted if crf is not None]


class _Samples:
    def __init__(self, task: SearchTask, on_progress: Progress) -> None:
        self._task = task
        self._on_progress = on_progress
        self._rounds = count(1)
        quality = task.plan.quality.model_copy(
            update={"enabled": True, "sample_every_frames": task.per_title.sample_every_frames}
        )
        self._plan = task.plan.model_copy(update={"quality": quality})

    def encoded(self, renditions: list[VideoRendition], unencoded: Mapping[str, Size]) -> "_Round":
        round_ = _Round(self._plan.gop_seconds)
        number = next(self._rounds)
        for sample in self._task.per_title.samples:
            self._on_progress({"round": number, "sample": sample.index})
            try:
                round_.add(self._encode(sample, renditions, unencoded))
            except (UndecodableSource, TruncatedSource):
                continue  # A hole in the film. Whether that can be borne is for the encode to say.
            finally:
                shutil.rmtree(self._task.target / "sample", ignore_errors=True)
        return round_

    def _encode(self, sample: Chunk, renditions: list[VideoRendition], unencoded: Mapping[str, Size]) -> EncodedWindow:
        window = Window(self._task.path, self._task.source, self._plan, sample)
        return encode_window(
            window, renditions, self._task.target / "sample", lambda _: self._on_progress({}), unencoded
        )


@dataclass
class _Round:
    """What came of all samples at one CRF of each rendition."""

    gop_seconds: float
    _board: ScoreBoard = field(default_factory=ScoreBoard)
    _tracks: dict[str, list[EncodedTrack]] = field(default_factory=dict)

    def add(self, encoded: EncodedWindow) -> None:
        assert encoded.quality is not None
        self._board.add(encoded.quality)
        for track in encoded.tracks:
            self._tracks.setdefault(track.name, []).append(track)

    @property
    def scores(self) -> dict[str, float]:
        return {score.name: score.vmaf.mean for score in self._board.scores()}

    @property
    def seconds(self) -> float:
        return max(sum(seconds(track) for track in tracks) for tracks in self._tracks.values())

    def probe(self, rendition: VideoRendition) -> RateAndQuality:
        vmaf = self.scores.get(rendition.name)
        if vmaf is None:
            raise UndecodableSource("No sample of the film holds a picture that can be measured.")
        bitrate = sampled_bitrate(self._tracks[rendition.name], self.gop_seconds)
        return RateAndQuality(crf=float(rendition.options["crf"]), vmaf=vmaf, bitrate=bitrate)
