"""What StreamForge makes of a source: the media tasks that a job consists of, without workflow and store around them."""

import asyncio
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, cast

from streamforge.contracts import tasks
from streamforge.contracts.media.account import Account
from streamforge.contracts.media.encoded import EncodedTrack
from streamforge.contracts.media.plan import Plan
from streamforge.contracts.media.source import Source
from streamforge.contracts.media.timeline import PictureCount
from streamforge.contracts.tasks import AudioTask, EncodeTask, ProbeTask
from streamforge.media.worker.children import MediaChildren
from streamforge.packaging.presentation import INIT_SEGMENT, joined
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings
from streamforge.timeline.account import account_of

T = TypeVar("T")
U = TypeVar("U")

SMALL_AND_CUT = Settings.model_validate(
    {
        "transcode": {
            "presets": {"h264": "ultrafast"},
            "heights": [96],
            "segment_seconds": 1,
            "gop_seconds": 0.5,
            "max_chunk_seconds": 2,
        },
        "validation": {"enabled": False},
        "pictures": {"enabled": False},
    }
)
"""One small rendition; chunks of one and two seconds, so that there are joints beside every lie."""

LONGEST = 300.0
"""A clock that leaps an hour and is believed makes a long film; nobody needs to see all of it."""


@dataclass
class Made:
    """`pictures` and `sound` are playable files of the only rendition of each."""

    source: Source
    plan: Plan
    account: Account
    pictures: Path
    sound: Path | None


async def processed(children: MediaChildren, path: Path, folder: Path, wanted: Settings = SMALL_AND_CUT) -> Made:
    """All parts side by side, as workers do; none is left running when one fails."""
    task = ProbeTask(path=path, max_width=8192, max_height=8192, max_duration=LONGEST)
    source = await children.run(tasks.PROBE, task)
    plan = make_plan(source, wanted)
    pictures, sound = await _both(
        _pictures(children, path, source, plan, folder), _sound(children, path, source, plan, folder)
    )
    shown, counts = pictures
    heard, track = sound
    account = account_of(source, plan, counts, [track] if track else [])
    return Made(source, plan, account, shown, heard)


async def _both(first: Coroutine[Any, Any, T], second: Coroutine[Any, Any, U]) -> tuple[T, U]:
    done = await asyncio.gather(first, second, return_exceptions=True)
    for outcome in done:
        if isinstance(outcome, BaseException):
            raise outcome
    return cast("tuple[T, U]", tuple(done))


async def _all_done(*parts: Coroutine[Any, Any, T]) -> list[T]:
    done = await asyncio.gather(*parts, return_exceptions=True)
    for outcome in done:
        if isinstance(outcome, BaseException):
            raise outcome
    return [outcome for outcome in done if not isinstance(outcome, BaseException)]


async def _pictures(
    children: MediaChildren, path: Path, source: Source, plan: Plan, folder: Path
) -> tuple[Path, list[PictureCount | None]]:
    encodes = [
        EncodeTask(path=path, source=source, plan=plan, chunk=chunk, target=folder / str(chunk.index))
        for chunk in plan.chunks
    ]
    results = await _all_done(*(children.run(tasks.ENCODE, task) for task in encodes))
    (track,) = joined([result.tracks for result in results])
    parts = [encodes[0].target / track.name / INIT_SEGMENT]
    for task, result in zip(encodes, results, strict=True):
        parts += _segments(task.target, result.tracks[0])
    return _together(parts, folder / "pictures.mp4"), [result.count for result in results]


async def _sound(
    children: MediaChildren, path: Path, source: Source, plan: Plan, folder: Path
) -> tuple[Path | None, EncodedTrack | None]:
    if not plan.audio:
        return None, None
    target = folder / "sound"
    target.mkdir()
    task = AudioTask(path=path, source=source, rendition=plan.audio[0], segment_seconds=1, target=target)
    track = await children.run(tasks.AUDIO, task)
    if not track.segments:
        return None, None
    return _together([target / track.name / INIT_SEGMENT, *_segments(target, track)], folder / "sound.mp4"), track


def _segments(folder: Path, track: EncodedTrack) -> list[Path]:
    return [folder / track.name / segment.file_name for segment in track.segments]


def _together(parts: list[Path], target: Path) -> Path:
    target.write_bytes(b"".join(part.read_bytes() for part in parts))
    return target
