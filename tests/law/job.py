"""What StreamForge makes of a source: the media tasks that a job consists of, without workflow and store around them."""

import asyncio
from dataclasses import dataclass
from pathlib import Path

from pydantic import BaseModel

from streamforge.contracts.media import Chunk, EncodedTrack, Plan, Source
from streamforge.media.audio import AudioTask
from streamforge.media.child import MediaChildren
from streamforge.media.encode import EncodeResult, EncodeTask
from streamforge.media.probe import ProbeTask
from streamforge.planning.manifests import joined
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings

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
    pictures: Path
    sound: Path | None


async def processed(children: MediaChildren, path: Path, folder: Path, wanted: Settings = SMALL_AND_CUT) -> Made:
    task = ProbeTask(path=path, max_width=8192, max_height=8192, max_duration=LONGEST)
    source = await children.run("probe", task, Source)
    plan = make_plan(source, wanted)
    sound = _sound(children, path, source, plan, folder) if plan.audio else None
    pictures = _pictures(children, path, source, plan, folder)
    if sound is None:
        return Made(source, plan, await pictures, None)
    shown, heard = await asyncio.gather(pictures, sound)
    return Made(source, plan, shown, heard)


async def _pictures(children: MediaChildren, path: Path, source: Source, plan: Plan, folder: Path) -> Path:
    """The chunks one behind the other; any order gives the same."""
    parts: list[Path] = []
    results = []
    for chunk in plan.chunks:
        target = folder / str(chunk.index)
        result = await children.run("encode", _chunk(path, source, plan, chunk, target), EncodeResult)
        results.append(result.tracks)
        if not parts:
            parts.append(target / result.tracks[0].name / "init.mp4")
        parts += _segments(target, result.tracks[0])
    assert joined(results)
    return _together(parts, folder / "pictures.mp4")


def _chunk(path: Path, source: Source, plan: Plan, chunk: Chunk, target: Path) -> BaseModel:
    return EncodeTask(path=path, source=source, plan=plan, chunk=chunk, target=target)


async def _sound(children: MediaChildren, path: Path, source: Source, plan: Plan, folder: Path) -> Path | None:
    target = folder / "sound"
    target.mkdir()
    task = AudioTask(path=path, source=source, rendition=plan.audio[0], segment_seconds=1, target=target)
    track = await children.run("audio", task, EncodedTrack)
    if not track.segments:
        return None
    return _together([target / track.name / "init.mp4", *_segments(target, track)], folder / "sound.mp4")


def _segments(folder: Path, track: EncodedTrack) -> list[Path]:
    return [folder / track.name / segment.file_name for segment in track.segments]


def _together(parts: list[Path], target: Path) -> Path:
    target.write_bytes(b"".join(part.read_bytes() for part in parts))
    return target
