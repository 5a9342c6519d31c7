"""Damaged files of every kind: each plays consistently or is refused with a reason, and the worker never notices.

`make test` tries the same few examples every time, and what was found once is pinned here and in test_damage.py; `make fuzz`
tries more of them, and then new ones for FUZZ_MINUTES.
"""

import asyncio
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import psutil
import pytest
from clips import SPECIMENS, Clips
from damage import Mishap, Overwritten, after, damage
from encoding import Encoded, encode_chunk
from hypothesis import HealthCheck, given, settings
from playback import Played, decode
from processes import living_children, zygotes
from test_probe import probe

from streamforge.contracts import tasks
from streamforge.contracts.media.encoded import EncodedTrack
from streamforge.contracts.tasks import AudioTask
from streamforge.errors import CannotBeCopied, SourceError, StreamForgeError
from streamforge.media.worker.children import MediaChildren
from streamforge.packaging import dash, hls
from streamforge.packaging.presentation import presentation
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings

MINUTES = float(os.environ.get("FUZZ_MINUTES", "0"))
EXAMPLES = 20 if MINUTES else 4
"""Per specimen."""
LONGEST_SECONDS = 20
SCORED_EVERY = 8
"""Files whose size this number divides are scored by VMAF, too, and repaired; it takes longer than all the rest."""
SMALL = Settings.model_validate(
    {
        "transcode": {
            "presets": {"h264": "ultrafast"},
            "heights": [64, 32],
            "segment_seconds": 1,
            "gop_seconds": 0.5,
            "max_chunk_seconds": 1,
        }
    }
)
COPYING = Settings.model_validate(
    {
        "transcode": {
            "remux": True,
            "codecs": ["h264", "hevc", "av1"],
            "max_bitrate_1080p": 2_000_000_000,
            "segment_seconds": 1,
            "gop_seconds": 0.5,
        }
    }
)
COPIED = ["h264 mp4", "h264 mp4 fragmented", "h264 mkv", "h264 flv", "av1 mkv"]
MAX_DURATION = 30


@dataclass
class Mill:
    """Runs files through a worker's media children and looks after each one whether anything is left of it."""

    runner: asyncio.Runner
    children: MediaChildren
    zygote: psutil.Process

    def process(self, content: bytes, wanted: Settings = SMALL) -> str:
        """How it ended: "played", or the code of the error. Raises when that is no way for a job to end."""
        handles = psutil.Process().num_fds()
        with TemporaryDirectory() as folder:
            path = Path(folder) / "original"
            path.write_bytes(content)
            try:
                self.runner.run(asyncio.wait_for(_play(self.children, path, Path(folder), wanted), LONGEST_SECONDS))
                outcome = "played"
            except StreamForgeError as error:
                if not isinstance(error, SourceError) or not error.code.startswith("input."):
                    raise AssertionError(f"{error.code}: {error.message} ({error.debug})") from error
                outcome = error.code
        self.runner.run(self._nothing_left(handles))
        return outcome

    async def _nothing_left(self, handles: int) -> None:
        assert self.zygote.is_running()
        async with asyncio.timeout(5):
            while living_children(self.zygote) or psutil.Process().num_fds() > handles:
                await asyncio.sleep(0.005)


@pytest.fixture(scope="module")
def mill() -> Iterator[Mill]:
    with asyncio.Runner() as runner:
        children = MediaChildren(memory_bytes=2**30, stall_seconds=LONGEST_SECONDS / 2)
        others = set(zygotes())
        runner.run(children.__aenter__())
        (zygote,) = set(zygotes()) - others
        yield Mill(runner, children, zygote)
        runner.run(children.__aexit__())


async def _play(children: MediaChildren, path: Path, folder: Path, wanted: Settings) -> None:
    """A job, without the store; then look at what a viewer gets."""
    source = await probe(children, path, max_duration=MAX_DURATION)
    plan = make_plan(source, wanted)
    if wanted.transcode.remux and not plan.is_copy:
        raise CannotBeCopied(plan.warnings[0])
    if path.stat().st_size % SCORED_EVERY:
        plan = plan.model_copy(update={"quality": plan.quality.model_copy(update={"enabled": False})})
    chunks = [await encode_chunk(children, path, source, plan, chunk, folder / "video") for chunk in plan.chunks]
    encoded = Encoded(source, plan, chunks, folder / "video")
    audio = []
    for rendition in plan.audio:
        task = AudioTask(path=path, source=source, rendition=rendition, segment_seconds=1, target=folder / "audio")
        audio.append(await children.run(tasks.AUDIO, task))
    _assert_it_plays(encoded, audio, folder)


def _assert_it_plays(encoded: Encoded, audio: list[EncodedTrack], folder: Path) -> None:
    assert set(encoded.tracks) == {rendition.name for rendition in encoded.plan.renditions}
    for name, track in encoded.tracks.items():
        played = decode(encoded.file(name, folder))
        assert played.frame_count == track.frames
        assert played.times[0] == 0
        assert_segments_are_what_was_played(track, played)
        # A demuxer that has sought may read a damaged clock otherwise than one that came all the way.
        length = sum(segment.duration_ticks for segment in track.segments) / track.timescale
        assert length <= encoded.source.duration + SMALL.transcode.segment_seconds
    for track in audio:
        if track.segments:
            parts = [
                folder / "audio" / track.name / name for name in ["init.mp4", *(s.file_name for s in track.segments)]
            ]
            path = folder / f"{track.name}.mp4"
            path.write_bytes(b"".join(part.read_bytes() for part in parts))
            assert_segments_are_what_was_played(track, decode(path))
    stream = presentation(encoded.source, encoded.plan, list(encoded.tracks.values()), audio)
    assert hls.playlists(stream)
    assert dash.manifest(stream)


def assert_segments_are_what_was_played(track: EncodedTrack, played: Played) -> None:
    assert all(later > earlier for earlier, later in pairwise(played.times))
    for earlier, later in pairwise(track.segments):
        assert earlier.start_ticks + earlier.duration_ticks == later.start_ticks
    assert track.segments[0].start_ticks == 0
    end = sum(s.duration_ticks for s in track.segments) / track.timescale
    assert end > played.times[-1]


@pytest.mark.parametrize("kind", SPECIMENS)
def test_an_undamaged_specimen_plays(mill: Mill, clips: Clips, kind: str) -> None:
    assert mill.process(clips.specimen(kind).read_bytes()) == "played"


@pytest.mark.timeout(0 if MINUTES else 120)
@pytest.mark.parametrize("kind", SPECIMENS)
def test_a_damaged_file_plays_or_is_refused_with_a_reason(mill: Mill, clips: Clips, kind: str) -> None:
    _try(mill, clips.specimen(kind).read_bytes(), SMALL)


@pytest.mark.parametrize("kind", COPIED)
def test_an_undamaged_specimen_is_copied(mill: Mill, clips: Clips, kind: str) -> None:
    assert mill.process(clips.specimen(kind).read_bytes(), COPYING) == "played"


@pytest.mark.timeout(0 if MINUTES else 120)
@pytest.mark.parametrize("kind", COPIED)
def test_a_damaged_file_is_only_copied_if_it_plays(mill: Mill, clips: Clips, kind: str) -> None:
    _try(mill, clips.specimen(kind).read_bytes(), COPYING)


def test_garbage_that_a_decoder_overlooks_is_not_copied(mill: Mill, clips: Clips) -> None:
    """In this AV1 it stands behind what dav1d reads of a packet; FFmpeg's muxer then wrote a fragment without an end."""
    damaged = after(clips.specimen("av1 mkv").read_bytes(), [Overwritten(1682, 188, 20)])
    assert mill.process(damaged, COPYING) == "input.cannot_be_copied"


def _try(mill: Mill, data: bytes, wanted: Settings) -> None:
    def try_examples(count: int, **options: bool) -> None:
        @settings(max_examples=count, database=None, deadline=None, suppress_health_check=list(HealthCheck), **options)
        @given(damage)
        def processed(mishaps: list[Mishap]) -> None:
            mill.process(after(data, mishaps), wanted)

        processed()

    try_examples(EXAMPLES, derandomize=True)
    end = time.monotonic() + 60 * MINUTES / len(SPECIMENS)
    while time.monotonic() < end:
        try_examples(25)
