"""Encode one part of a chunk, and again what is not good enough; or copy all of it."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from streamforge.contracts.media.encoded import EncodedTrack
from streamforge.contracts.media.plan import Chunk, EncodePlan, VideoRendition
from streamforge.contracts.media.scores import PartQuality, RenditionLog, Repair
from streamforge.contracts.media.timeline import PictureCount
from streamforge.contracts.tasks import ENCODE, TILES_FOLDER, EncodeResult, EncodeTask, FramesEncoded
from streamforge.errors import OutputInvalid
from streamforge.media.cmaf.copy import copy_film
from streamforge.media.encoding.chunk_window import EncodedWindow, Window, encode_window
from streamforge.media.encoding.rendition import GpuFailed, failure_of
from streamforge.media.process.limits import peak_memory_bytes
from streamforge.media.process.performing import Tell, performs
from streamforge.media.stills.tiles import TileMaker
from streamforge.packaging.presentation import average_bitrate
from streamforge.planning.repair import with_better_crf
from streamforge.quality.scoring import mean_of

Named = TypeVar("Named", EncodedTrack, RenditionLog)


@performs(ENCODE)
def run(task: EncodeTask, on_progress: Tell[FramesEncoded]) -> EncodeResult:
    """Raises what `encode_window` and `copy_film` raise."""
    window = Window(task.path, task.source, task.plan, task.chunk, task.key, task.on_gpu)
    if task.plan.is_copy:
        track = copy_film(window, task.target, on_progress)
        count = PictureCount(in_source=track.frames, decoded=track.frames, shown=track.frames)
        return EncodeResult(tracks=[track], quality=None, count=count, peak_bytes=peak_memory_bytes())
    try:
        return _encoded(window, task.target, on_progress)
    except (GpuFailed, OutputInvalid) as error:
        if not window.on_gpu:
            raise
        for left in task.target.iterdir():
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        by_cpu = _encoded(replace(window, on_gpu=frozenset()), task.target, on_progress)
        return by_cpu.model_copy(update={"gpu_failure": failure_of(error)})


def _encoded(window: Window, target: Path, on_progress: Tell[FramesEncoded]) -> EncodeResult:
    """A GPU has one try; what it did not make good enough is encoded again by the CPU."""
    pictures = window.plan.pictures
    tiles = TileMaker(window.source.video_required, pictures, target / TILES_FOLDER) if pictures else None
    encoded = encode_window(window, window.plan.renditions, target, on_progress, tiles=tiles)
    kept = tiles.finish() if tiles else None  # Repairs see the same pictures once more.
    if encoded.quality is not None:
        by_cpu = replace(window, on_gpu=frozenset())
        encoded = _repaired(by_cpu, encoded, encoded.quality, target, on_progress)
    return EncodeResult(
        tracks=encoded.tracks,
        quality=encoded.quality,
        tiles=kept,
        count=encoded.count,
        peak_bytes=peak_memory_bytes(),
    )


def _repaired(
    window: Window, encoded: EncodedWindow, quality: PartQuality, target: Path, on_progress: Tell[FramesEncoded]
) -> EncodedWindow:
    """Renditions below their floor are encoded again at a better CRF, up to `max_repairs` times; the better ones stay."""
    renditions = window.plan.renditions
    for attempt in range(window.plan.quality.max_repairs):
        renditions = _below_floor(window.plan, renditions, encoded.tracks, quality)
        if not renditions:
            break
        aside = target / f"repair-{attempt}"
        again = encode_window(window, renditions, aside, _as_repair(on_progress))
        assert again.quality is not None
        repairs = [_repair(window.chunk, rendition, quality, again.quality) for rendition in renditions]
        improved = {repair.rendition for repair in repairs if repair.vmaf_after > repair.vmaf_before}
        for name in improved:
            shutil.rmtree(target / name)
            (aside / name).rename(target / name)
        quality = PartQuality(
            pictures=quality.pictures,
            renditions=_replaced(quality.renditions, again.quality.renditions, improved),
            repairs=[*quality.repairs, *repairs],
        )
        encoded = replace(encoded, tracks=_replaced(encoded.tracks, again.tracks, improved), quality=quality)
    return encoded


def _as_repair(on_progress: Tell[FramesEncoded]) -> Tell[FramesEncoded]:
    return lambda told: on_progress(told.model_copy(update={"repair": True}))


def _below_floor(
    plan: EncodePlan, renditions: list[VideoRendition], tracks: list[EncodedTrack], quality: PartQuality
) -> list[VideoRendition]:
    """Those that are worth another try, with the CRF for it."""
    bitrates = {track.name: average_bitrate(track) for track in tracks}
    tries = [
        with_better_crf(rendition, score, plan.quality.floors[rendition.name], bitrates[rendition.name])
        for rendition in renditions
        if (score := mean_of(quality, rendition.name)) is not None
    ]
    return [rendition for rendition in tries if rendition is not None]


def _repair(chunk: Chunk, rendition: VideoRendition, before: PartQuality, after: PartQuality) -> Repair:
    return Repair(
        rendition=rendition.name,
        start=chunk.start,
        end=chunk.end,
        crf=float(rendition.options["crf"]),
        vmaf_before=mean_of(before, rendition.name) or 0.0,
        vmaf_after=mean_of(after, rendition.name) or 0.0,
    )


def _replaced(old: list[Named], new: list[Named], names: set[str]) -> list[Named]:
    better_ones = {item.name: item for item in new if item.name in names}
    return [better_ones.get(item.name, item) for item in old]
