"""Once through a chunk's window of the source: decoded once, scaled and encoded into some renditions side by side.

Key frames stand on the same time stamps in all renditions, at the first frame of every GOP slot of the source's
timeline, so that a player can switch between them and chunks encoded apart join without a seam.
"""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

from streamforge.contracts.keys import ContentKey
from streamforge.contracts.media.encoded import EncodedTrack
from streamforge.contracts.media.plan import Chunk, EncodePlan, VideoRendition
from streamforge.contracts.media.scores import PartQuality
from streamforge.contracts.media.source import VIDEO_TIMESCALE, Source
from streamforge.contracts.media.timeline import PictureCount
from streamforge.contracts.tasks import FramesEncoded
from streamforge.errors import UndecodableSource
from streamforge.media.cmaf.encryption import encryption_for
from streamforge.media.cmaf.fragments import TrackFolder
from streamforge.media.decoding.frames import Frames, FrameWindow, SourceFrame
from streamforge.media.encoding.encoder_threads import Lane
from streamforge.media.encoding.long_stills import with_stills
from streamforge.media.encoding.rendition import GopStarts, Picture, RenditionEncoder, output_of
from streamforge.media.encoding.scaling import Output, Scaler
from streamforge.media.measuring.observation import QualityObservation, reference_size
from streamforge.media.measuring.scorer import Scorer
from streamforge.media.process.performing import Tell
from streamforge.media.process.progress import FrameProgress
from streamforge.media.stills.tiles import TileMaker
from streamforge.quality.sampling import Sampling


@dataclass(frozen=True)
class Window:
    """A chunk's piece of a source, and what the plan says about it. `key` is what it is encrypted with, if at all. A GPU
    may be used for the renditions in `on_gpu`, by their names."""

    path: Path
    source: Source
    plan: EncodePlan
    chunk: Chunk
    key: ContentKey | None = None
    on_gpu: frozenset[str] = frozenset()

    def frames(self, threads: int) -> Frames:
        return FrameWindow(self.path, self.source, self.chunk, self.plan.max_frame_rate, threads)


@dataclass(frozen=True)
class EncodedWindow:
    """One track for each rendition. `quality` is None where validation is turned off."""

    tracks: list[EncodedTrack]
    quality: PartQuality | None
    count: PictureCount


NOTHING: Mapping[str, Output] = MappingProxyType({})


def encode_window(
    window: Window,
    renditions: list[VideoRendition],
    target: Path,
    on_progress: Tell[FramesEncoded],
    *,
    tiles: TileMaker | None = None,
    unencoded: Mapping[str, Output] = NOTHING,
) -> EncodedWindow:
    """Each rendition gets a folder in `target`, with its init segment and its segments. `tiles` sees the source go by.
    Pictures of the kinds `unencoded` are only measured, under these names.

    Raises UndecodableSource when the window holds no picture, OutputInvalid when an encoder misbehaves, GpuFailed when one
    of a GPU does not work.
    """
    target.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        measure = _measure(window, renditions, target, unencoded)
        if measure is not None:
            stack.enter_context(measure)
        encoders = [_encoder(window, rendition, target, measure) for rendition in renditions]
        cuts, count = _Pass(window, encoders, measure, tiles, on_progress).run()
        proofs = {encoder.name: encoder.proof for encoder in encoders}
        quality = None if measure is None else measure.finish(proofs)
    offset = window.plan.edit_offset_ticks
    return EncodedWindow([encoder.write_segments(cuts, offset) for encoder in encoders], quality, count)


def _measure(
    window: Window, renditions: list[VideoRendition], scratch: Path, unencoded: Mapping[str, Output]
) -> QualityObservation | None:
    quality, video = window.plan.quality, window.source.video_required
    if not quality.enabled:
        return None
    sampling = Sampling(quality.sample_every_frames)
    outputs = {rendition.name: output_of(rendition) for rendition in renditions}
    scorer = Scorer(reference_size(video), outputs | dict(unencoded), sampling, scratch)
    return QualityObservation(video, renditions, sampling, scorer, unencoded)


def _encoder(
    window: Window, rendition: VideoRendition, target: Path, measure: QualityObservation | None
) -> RenditionEncoder:
    frame_rate = window.source.video_required.frame_rate_up_to(window.plan.max_frame_rate)
    listener = (lambda number, frame: None) if measure is None else measure.listener(rendition.name)
    folder = track_folder(window, rendition, target)
    return RenditionEncoder(
        rendition,
        folder,
        frame_rate,
        listener,
        on_gpu=rendition.name in window.on_gpu,
        reorders=window.plan.edit_offset_ticks > 0,
    )


def track_folder(window: Window, rendition: VideoRendition, target: Path) -> TrackFolder:
    """Where the rendition's segments go to, encrypted if the plan says so."""
    lock = encryption_for(window.plan.protection, window.key, rendition.name)
    return TrackFolder(target / rendition.name, round(window.plan.segment_seconds * VIDEO_TIMESCALE), lock)


class _Pass:
    def __init__(
        self,
        window: Window,
        encoders: list[RenditionEncoder],
        measure: QualityObservation | None,
        tiles: TileMaker | None,
        on_progress: Tell[FramesEncoded],
    ) -> None:
        plan = window.plan
        self._window = window
        self._encoders = encoders
        self._measure = measure
        self._tiles = tiles
        self._progress = FrameProgress(on_progress, self._found)
        self._cuts = GopStarts(round(plan.gop_seconds * VIDEO_TIMESCALE))
        self._scaler = Scaler(window.source.video_required, [encoder.output for encoder in encoders])

    def run(self) -> tuple[GopStarts, PictureCount]:
        window = self._window
        # Encoders fill the cores; a decoder with threads of its own only pays off beside a single one.
        threads = 1 if len(self._encoders) > 1 else 0
        with ExitStack() as stack:
            frames = stack.enter_context(window.frames(threads))
            lanes = [stack.enter_context(Lane(encoder)) for encoder in self._encoders]
            for number, frame in enumerate(with_stills(self._kept(frames))):
                if self._measure is not None:
                    self._measure.see(number, frame)
                self._feed(lanes, frame)
                self._progress.tell_now_and_then()
            for lane in lanes:
                lane.finish()
        self._progress.tell()
        if self._cuts.frames == 0 and not frames.goes_on:
            raise UndecodableSource(
                f"No picture can be decoded from {window.chunk.start:.1f} s on; the video is damaged."
            )
        return self._cuts, frames.count

    def _kept(self, frames: Frames) -> Iterator[SourceFrame]:
        """Each picture is looked at once, however often it is encoded."""
        for frame in frames:
            if self._tiles is not None:
                self._tiles.see(frame)
            yield frame

    def _feed(self, lanes: list[Lane], frame: SourceFrame) -> None:
        is_key = self._cuts.starts_gop(frame.ticks, frame.duration)
        pictures = self._scaler.scale(frame.picture, frame.ticks + self._window.plan.edit_offset_ticks, frame.look)
        for lane, picture in zip(lanes, pictures, strict=True):
            lane.put(Picture(picture, frame.ticks, frame.duration, is_key))

    def _found(self) -> dict[str, int]:
        """Frames that came out of each encoder and were found to be right; what is queued is not encoded yet."""
        return {encoder.name: len(encoder.proof.error) for encoder in self._encoders}
