"""Chunks are encoded apart and join into one stream: same frames, same key frames, no seam."""

from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path

import av
import pytest
from clips import BOTTLES, Clips
from encoding import Encoded, encode, encode_chunk
from playback import decode
from test_probe import probe

from streamforge.contracts import tasks
from streamforge.contracts.media.plan import Chunk
from streamforge.contracts.media.source import VIDEO_TIMESCALE
from streamforge.contracts.tasks import CodecsTask, EncodeTask, FramesEncoded
from streamforge.media.cmaf.boxes import boxes
from streamforge.media.worker.children import MediaChildren
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings

HEIGHTS = [360, 240, 144]
LADDER = ("360p", "240p", "144p")


def unmeasured(**transcode: object) -> Settings:
    return Settings.model_validate({"transcode": transcode, "validation": {"enabled": False}})


@dataclass
class Bunny:
    """As it is encoded once for all tests that only look at it, and what was told on the way."""

    film: Path
    folder: Path
    progress: list[FramesEncoded] = field(default_factory=list)
    _encoded: Encoded | None = None

    async def get(self, children: MediaChildren) -> Encoded:
        if self._encoded is None:
            source = await probe(children, self.film)
            plan = make_plan(source, unmeasured(presets={"h264": "ultrafast"}, heights=HEIGHTS))
            [chunk] = plan.chunks
            task = EncodeTask(path=self.film, source=source, plan=plan, chunk=chunk, target=self.folder / "0")
            chunks = [await children.run(tasks.ENCODE, task, self.progress.append)]
            self._encoded = Encoded(source, plan, chunks, self.folder)
        return self._encoded


@pytest.fixture(scope="module")
def bunny(clips: Clips, tmp_path_factory: pytest.TempPathFactory) -> Bunny:
    return Bunny(clips.small_bunny, tmp_path_factory.mktemp("bunny"))


MANY_CHUNKS = unmeasured(presets={"h264": "ultrafast"}, max_chunk_seconds=8)


@pytest.mark.parametrize(
    ("clip", "frames", "seconds"),
    [
        ("slow", 175, 14.0),
        ("variable_rate", 154, 12.0),
        ("transport_stream", 350, 14.0),
        ("webm_without_duration", 180, 6.0),
        ("fast", 120, 2.0),
        ("one_frame", 1, 0.04),
        ("slide_show", 50 + 19, 21.0),
    ],
)
async def test_every_source_comes_out_whole(
    children: MediaChildren, clips: Clips, tmp_path: Path, clip: str, frames: int, seconds: float
) -> None:
    encoded = await encode(children, getattr(clips, clip), tmp_path / "out", MANY_CHUNKS)
    for name, track in encoded.tracks.items():
        played = decode(encoded.file(name, tmp_path))
        assert played.frame_count == frames
        assert played.times[0] == 0
        assert all(later > earlier for earlier, later in pairwise(played.times))
        assert sum(s.duration_ticks for s in track.segments) / track.timescale == pytest.approx(seconds, abs=0.07)


async def test_real_film_in_several_chunks(children: MediaChildren, tmp_path: Path) -> None:
    encoded = await encode(children, BOTTLES, tmp_path / "out", MANY_CHUNKS)
    assert len(encoded.chunks) == 6
    source_times = decode(BOTTLES).times
    played = decode(encoded.file("360p", tmp_path))
    assert played.times == pytest.approx([time - source_times[0] for time in source_times], abs=0.0005)


async def test_renditions_share_their_key_frames(children: MediaChildren, bunny: Bunny, tmp_path: Path) -> None:
    encoded = await bunny.get(children)
    key_times = {name: decode(encoded.file(name, tmp_path)).key_times for name in encoded.tracks}
    assert key_times == {name: [0.0, 2.0, 4.0] for name in LADDER}


async def test_segments_begin_with_a_key_frame_and_follow_without_a_gap(
    children: MediaChildren, bunny: Bunny, tmp_path: Path
) -> None:
    encoded = await bunny.get(children)
    for name, track in encoded.tracks.items():
        key_times = decode(encoded.file(name, tmp_path)).key_times
        starts = [segment.start_ticks / track.timescale for segment in track.segments]
        assert starts == [0.0, 4.0]
        assert set(starts) <= set(key_times)
        for earlier, later in pairwise(track.segments):
            assert earlier.start_ticks + earlier.duration_ticks == later.start_ticks


async def test_init_segments_of_all_chunks_are_the_same_bytes(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    encoded = await encode(children, clips.slow, tmp_path / "out", MANY_CHUNKS)
    assert len(encoded.chunks) > 1
    inits = {(tmp_path / "out" / str(n) / "180p" / "init.mp4").read_bytes() for n in range(len(encoded.chunks))}
    assert len(inits) == 1
    assert [kind for kind, _, _ in boxes(inits.pop())] == ["ftyp", "moov"]


async def test_a_chunk_encoded_again_is_the_same_bytes(children: MediaChildren, bunny: Bunny, tmp_path: Path) -> None:
    first = await bunny.get(children)
    await encode_chunk(children, bunny.film, first.source, first.plan, first.plan.chunks[0], tmp_path)
    files = sorted(first.folder.rglob("*.m*"))
    assert files
    for path in files:
        assert (tmp_path / path.relative_to(first.folder)).read_bytes() == path.read_bytes()


async def test_the_picture_is_turned_upright(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    encoded = await encode(children, clips.turned, tmp_path / "out")
    assert decode(encoded.file("180p", tmp_path)).sizes == {(180, 320)}


async def test_odd_sizes_become_even_and_never_larger(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    encoded = await encode(children, clips.odd, tmp_path / "out")
    assert decode(encoded.file("181p", tmp_path)).sizes == {(320, 180)}


async def test_a_frame_rate_above_the_limit_is_thinned(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    encoded = await encode(children, clips.fast, tmp_path / "out")
    times = decode(encoded.file("180p", tmp_path)).times
    assert [later - earlier for earlier, later in pairwise(times)] == pytest.approx([1 / 60] * 119, abs=1e-4)


@pytest.mark.parametrize(("codec", "preset", "prefix"), [("hevc", "ultrafast", "hvc1.1.6.L"), ("av1", "11", "av01.0.")])
async def test_other_codecs_cut_and_join_just_the_same(
    children: MediaChildren, clips: Clips, tmp_path: Path, codec: str, preset: str, prefix: str
) -> None:
    settings = unmeasured(codecs=[codec], presets={codec: preset}, max_chunk_seconds=8)
    encoded = await encode(children, clips.slow, tmp_path / "out", settings)
    assert len(encoded.chunks) > 1
    track = encoded.tracks["180p"]
    assert track.codec_string.startswith(prefix)
    played = decode(encoded.file("180p", tmp_path))
    assert played.frame_count == 175
    starts = {segment.start_ticks / track.timescale for segment in track.segments}
    assert starts <= set(played.key_times)


@pytest.mark.parametrize(
    ("codec", "preset"),
    [
        ("h264", "ultrafast"),
        ("h264", "veryfast"),
        ("h264", "slow"),
        ("hevc", "ultrafast"),
        ("hevc", "fast"),
        ("av1", "11"),
    ],
)
async def test_codecs_are_known_before_anything_is_encoded(
    children: MediaChildren, clips: Clips, tmp_path: Path, codec: str, preset: str
) -> None:
    settings = unmeasured(codecs=[codec], presets={codec: preset}, heights=[360])
    source = await probe(children, clips.small_bunny)
    plan = make_plan(source, settings)
    told = await children.run(tasks.CODECS, CodecsTask(source=source, plan=plan))
    short = Chunk(index=0, start=0, end=0.2, expected_frames=5)
    encoded = await encode_chunk(children, clips.small_bunny, source, plan, short, tmp_path)
    assert told.codec_strings == {track.name: track.codec_string for track in encoded.tracks}


@pytest.mark.parametrize(
    ("codec", "preset"), [("h264", "ultrafast"), ("h264", "slow"), ("hevc", "fast"), ("av1", "11")]
)
@pytest.mark.parametrize("clip", ["slow", "variable_rate"])
async def test_the_bytes_of_a_key_frame_are_one_picture(
    children: MediaChildren, clips: Clips, tmp_path: Path, clip: str, codec: str, preset: str
) -> None:
    """What an I-frame playlist points to: `moof` and first sample alone, the same picture that the whole stream has."""
    settings = unmeasured(codecs=[codec], presets={codec: preset}, max_chunk_seconds=8)
    encoded = await encode(children, getattr(clips, clip), tmp_path / "out", settings)
    (name,) = encoded.tracks
    key_frames = {ticks: luma for ticks, is_key, luma in pictures(encoded.file(name, tmp_path)) if is_key}
    told = [(segment, key) for segment in encoded.tracks[name].segments for key in segment.key_frames]
    assert [key.ticks for _, key in told] == list(key_frames)
    for segment, key in told:
        (init,) = (tmp_path / "out" / "0").glob(f"{name}/init.mp4")
        (written,) = (tmp_path / "out").glob(f"*/{name}/{segment.file_name}")
        alone = tmp_path / "alone.mp4"
        alone.write_bytes(init.read_bytes() + written.read_bytes()[key.offset :][: key.size_bytes])
        assert pictures(alone) == [(key.ticks, True, key_frames[key.ticks])]


def pictures(path: Path) -> list[tuple[int, bool, bytes]]:
    """Ticks, whether it is a key frame, and brightness of each."""
    with av.open(str(path)) as container:
        return [
            (round(frame.pts * frame.time_base * VIDEO_TIMESCALE), frame.key_frame, brightness(frame))
            for frame in container.decode(video=0)
        ]


def brightness(frame: av.VideoFrame) -> bytes:
    """Line by line: what pads them is not always the same."""
    plane = frame.planes[0]
    luma = bytes(plane)
    return b"".join(luma[at : at + frame.width] for at in range(0, frame.height * plane.line_size, plane.line_size))


async def test_progress_counts_frames_that_are_really_encoded(children: MediaChildren, bunny: Bunny) -> None:
    await bunny.get(children)
    seen = bunny.progress
    for name in LADDER:
        frames = [progress.frames[name] for progress in seen]
        assert frames == sorted(frames)
        assert frames[-1] == 132
    assert seen[-1].seconds > 0
