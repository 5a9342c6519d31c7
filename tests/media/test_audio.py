"""Audio is encoded whole, and stays in time with the picture."""

from pathlib import Path

import av
import numpy as np
import pytest
from clips import BUNNY, X264, Clips, ffmpeg, picture, spoil, tone, tones
from encoding import QUICK, encode_audio
from playback import decode
from sound import amplitude, level, samples_of
from test_probe import probe

from streamforge.contracts import tasks
from streamforge.contracts.tasks import AudioTask
from streamforge.media.worker.children import MediaChildren
from streamforge.planning.plan import make_plan

RATE = 44_100
"""Of FFmpeg's sine."""


async def test_all_of_it_is_there_from_time_zero(children: MediaChildren, tmp_path: Path) -> None:
    track, path = await encode_audio(children, BUNNY, tmp_path)
    played = decode(path)
    assert played.times[0] == 0
    assert played.samples / played.rate == pytest.approx(decode_seconds(BUNNY), abs=0.03)
    assert sum(s.duration_ticks for s in track.segments) == played.samples


def decode_seconds(path: Path) -> float:
    with av.open(str(path)) as container:
        return sum(frame.samples / frame.sample_rate for frame in container.decode(audio=0))


async def test_sound_that_begins_late_is_preceded_by_silence(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    _, path = await encode_audio(children, clips.late_sound, tmp_path)
    [sound] = samples_of(path)
    assert level(sound, 0.1, 0.9, RATE) < 0.001
    assert level(sound, 1.1, 1.9, RATE) > 0.05


async def test_sound_before_the_first_picture_is_cut(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    """A transport stream's audio starts earlier than its video, whose decoder needs a head start."""
    _, path = await encode_audio(children, clips.transport_stream, tmp_path)
    played = decode(path)
    assert played.times[0] == 0
    assert played.samples / played.rate == pytest.approx(14.0, abs=0.2)


async def test_each_track_is_a_rendition(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    english, _ = await encode_audio(children, clips.two_languages, tmp_path / "a", track=0)
    german, _ = await encode_audio(children, clips.two_languages, tmp_path / "b", track=1)
    assert english.init_sha256 == german.init_sha256
    assert english.segments[0].size_bytes != german.segments[0].size_bytes


# ── not as it should be ─────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_hole_is_silence_of_its_length(children: MediaChildren, tmp_path: Path) -> None:
    """Longer than what the resampler bridges by itself, and shorter."""
    source = tmp_path / "hole.mkv"
    holes = "aselect='not(between(t,1,2.8)+between(t,4,4.4))'"
    ffmpeg(*picture("96x64", 10, 6), *tone(6), "-af", holes, *X264, "-c:a", "pcm_s16le", source)
    _, path = await encode_audio(children, source, tmp_path)
    [sound] = samples_of(path)
    assert [level(sound, *there, RATE) for there in ((0.2, 0.9), (2.95, 3.9), (4.55, 5.9))] == pytest.approx(
        [0.088] * 3, rel=0.05
    )
    assert max(level(sound, *nothing, RATE) for nothing in ((1.1, 2.7), (4.1, 4.3))) < 0.001


async def test_sound_that_ends_early_goes_on_in_silence(children: MediaChildren, tmp_path: Path) -> None:
    """A player waits for sound that a track does not have."""
    source = tmp_path / "early.mkv"
    ffmpeg(*picture("96x64", 10, 6), *tone(2), *X264, "-c:a", "flac", source)
    track, path = await encode_audio(children, source, tmp_path)
    [sound] = samples_of(path)
    assert len(sound) / RATE == pytest.approx(6, abs=0.03)
    assert [level(sound, 1, 1.9, RATE), level(sound, 2.1, 5.9, RATE)] == pytest.approx([0.088, 0], rel=0.05, abs=0.001)
    assert track.loudness is not None
    assert track.loudness.integrated == pytest.approx(-19, abs=0.3), "silence does not make it softer"


async def test_sound_that_begins_very_late_does_not_fill_the_memory(children: MediaChildren, tmp_path: Path) -> None:
    """As of a recording whose microphone was switched on late; all that silence at once would be gigabytes."""
    source = tmp_path / "late.mkv"
    late = 200
    ffmpeg(
        *picture("16x16", 0.01, late + 100), "-itsoffset", str(late), *tones(*[440] * 6, seconds=2),
        "-map", "0", "-map", "1", *X264, "-c:a", "flac", source,
    )  # fmt: skip
    async with MediaChildren(memory_bytes=300 * 2**20, stall_seconds=60) as modest:
        track, path = await encode_audio(modest, source, tmp_path, track=0)
    end = track.segments[-1].start_ticks + track.segments[-1].duration_ticks
    assert end / 48_000 == pytest.approx(late + 100, abs=0.1)
    with av.open(str(path)) as container:
        container.seek(late * 1_000_000)
        frame = next(f for f in container.decode(audio=0) if f.time and f.time >= late + 1)
        assert np.abs(frame.to_ndarray()).max() > 0.05


async def test_a_sample_rate_that_changes_in_the_middle_keeps_its_pitch(
    children: MediaChildren, tmp_path: Path
) -> None:
    source = tmp_path / "joined.ts"
    with source.open("wb") as joined:
        for begin, rate in ((0, 48_000), (3, 32_000)):
            part = tmp_path / f"{rate}.ts"
            ffmpeg(
                *picture("96x64", 10, 3), *tone(3, 440), *X264, "-ar", str(rate), "-c:a", "mp2",
                "-output_ts_offset", str(begin), part,
            )  # fmt: skip
            joined.write(part.read_bytes())
    _, path = await encode_audio(children, source, tmp_path)
    rate = decode(path).rate
    [sound] = samples_of(path)
    before, after = sound[: round(2.9 * rate)], sound[round(3.1 * rate) :]
    assert [amplitude(part, 440, rate) for part in (before, after)] == pytest.approx([0.125, 0.125], rel=0.05)
    assert len(sound) / rate == pytest.approx(6, abs=0.1)


async def test_a_track_of_which_nothing_decodes_comes_back_empty(children: MediaChildren, tmp_path: Path) -> None:
    source = tmp_path / "rotten.mkv"
    whole = tmp_path / "whole.mkv"
    ffmpeg(*picture("96x64", 10, 2), *tone(2), *X264, "-c:a", "ac3", whole)
    spoil(whole, source, stream=1)
    rendition = make_plan(await probe(children, whole), QUICK).audio[0]
    task = AudioTask(
        path=source, source=await probe(children, whole), rendition=rendition, segment_seconds=4, target=tmp_path
    )
    for loudness_target in (None, -23.0):
        asked = rendition.model_copy(update={"loudness_target": loudness_target, "name": f"to {loudness_target}"})
        track = await children.run(tasks.AUDIO, task.model_copy(update={"rendition": asked}))
        assert track.segments == []
