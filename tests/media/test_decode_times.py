"""Decode times stay near presentation times whatever the gaps between pictures: read from the boxes by hand."""

import struct
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest
from clips import Clips
from encoding import encode

from streamforge.media.worker.capabilities import ffmpeg_path
from streamforge.media.worker.children import MediaChildren
from streamforge.settings import Settings

TICKS = 90_000
CONTAINERS = {b"moov", b"trak", b"edts", b"moof", b"traf"}
LONGEST_STILL = 1
SPARSE = ["slides", "gif", "slide_show"]


@dataclass(frozen=True)
class Sample:
    """In ticks; `shown` is what the boxes say, without an edit list."""

    decoded: int
    shown: int
    duration: int


def boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """ISO/IEC 14496-12 §4.2: kind and content of every box, those in containers, too."""
    at = 0
    while at < len(data):
        size, kind = struct.unpack_from(">I4s", data, at)
        content = data[at + 8 : at + size]
        yield kind, content
        if kind in CONTAINERS:
            yield from boxes(content)
        at += size


def media_time(init: bytes) -> int:
    """Of the one entry of the edit list (§8.6.6); 0 without one."""
    return next((int(struct.unpack_from(">i", content, 12)[0]) for kind, content in boxes(init) if kind == b"elst"), 0)


def samples(path: Path) -> list[list[Sample]]:
    """Of each fragment, from `tfhd` (§8.8.7), `tfdt` (§8.8.12) and `trun` (§8.8.8)."""
    fragments, usual, decoded = [], 0, 0
    for kind, content in boxes(path.read_bytes()):
        if kind == b"tfhd":
            (flags,) = struct.unpack_from(">I", content)
            at = 8 + 8 * bool(flags & 1) + 4 * bool(flags & 2)
            usual = struct.unpack_from(">I", content, at)[0] if flags & 8 else 0
        elif kind == b"tfdt":
            decoded = struct.unpack_from(">Q" if content[0] else ">I", content, 4)[0]
        elif kind == b"trun":
            fragments.append(list(run(content, decoded, usual)))
    return fragments


def run(trun: bytes, decoded: int, usual: int) -> Iterator[Sample]:
    flags, count = struct.unpack_from(">II", trun)
    at = 8 + 4 * bool(flags & 1) + 4 * bool(flags & 4)
    for _ in range(count):
        found = {}
        for flag in (0x100, 0x200, 0x400, 0x800):
            if flags & flag:
                (found[flag],) = struct.unpack_from(">i", trun, at)
                at += 4
        yield Sample(decoded, decoded + found.get(0x800, 0), found.get(0x100, usual))
        decoded += found.get(0x100, usual)


def seen_by_ffmpeg(path: Path) -> list[float]:
    """Seconds of each picture, as its own program has it."""
    command = [ffmpeg_path(), "-v", "error", "-i", path, "-map", "0:v", "-fps_mode", "passthrough"]
    command += ["-enc_time_base", f"1/{TICKS}", "-f", "framecrc", "-"]
    out = subprocess.run(command, capture_output=True, check=True, text=True).stdout
    return [int(line.split(",")[2]) / TICKS for line in out.splitlines() if not line.startswith("#")]


def settings(codec: str, preset: str) -> Settings:
    """Presets that reorder as much as they may."""
    transcode = {"codecs": [codec], "presets": {codec: preset}, "max_chunk_seconds": 8}
    return Settings.model_validate({"transcode": transcode, "validation": {"enabled": False}})


@pytest.mark.parametrize(("codec", "preset"), [("h264", "veryfast"), ("hevc", "ultrafast"), ("av1", "12")])
@pytest.mark.parametrize("clip", [*SPARSE, "lecture", "one_picture", "variable_rate", "slow"])
async def test_they_span_what_is_seen(
    children: MediaChildren, clips: Clips, tmp_path: Path, clip: str, codec: str, preset: str
) -> None:
    source = getattr(clips, clip)
    encoded = await encode(children, source, tmp_path / "out", settings(codec, preset))
    [name] = encoded.tracks
    path = encoded.file(name, tmp_path)
    offset = media_time(path.read_bytes())
    fragments = samples(path)
    film = [sample for fragment in fragments for sample in fragment]
    assert (offset == 0) if clip in SPARSE else (offset <= TICKS / 4)
    assert all(earlier.decoded + earlier.duration == later.decoded for earlier, later in pairwise(film))
    assert all(0 <= sample.shown - sample.decoded <= offset + TICKS / 2 for sample in film)
    assert all(sample.duration <= 2 * LONGEST_STILL * TICKS for sample in film)
    assert all(fragment[0].shown - offset == fragment[0].decoded for fragment in fragments)
    assert max(s.shown + s.duration for s in film) - offset == pytest.approx(encoded.source.duration * TICKS, abs=9001)
    long = [sample for sample in film if sample.duration > TICKS / 8]
    assert all(sample.shown - offset == sample.decoded for sample in long)


@pytest.mark.parametrize("clip", [*SPARSE, "lecture", "one_picture"])
async def test_every_picture_is_seen_at_its_time_and_again_every_second(
    children: MediaChildren, clips: Clips, tmp_path: Path, clip: str
) -> None:
    source = getattr(clips, clip)
    encoded = await encode(children, source, tmp_path / "out", settings("h264", "veryfast"))
    [name] = encoded.tracks
    before, after = seen_by_ffmpeg(source), seen_by_ffmpeg(encoded.file(name, tmp_path))
    moments = {round(time - before[0], 3) for time in before}
    seen = {round(time, 3) for time in after}
    assert moments <= seen
    assert all(time % LONGEST_STILL == 0 for time in seen - moments)
    assert all(later - earlier <= 2 * LONGEST_STILL for earlier, later in pairwise([*after, encoded.source.duration]))
    longest = max(segment.duration_ticks for segment in encoded.tracks[name].segments)
    assert longest <= encoded.plan.segment_seconds * TICKS
