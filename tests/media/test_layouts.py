"""Every channel comes out where it belongs, as loud as it should be: looked at by its spectrum."""

from pathlib import Path

import numpy as np
import pytest
from clips import X264, ffmpeg, picture, tones
from encoding import encode_audio
from sound import amplitude, layout_of, level, measured, samples_of

from streamforge.media.sound.resampling import AAC_FRAME
from streamforge.media.worker.children import MediaChildren

FL, FR, FC, LFE, BL, BR = SURROUND = (400, 500, 600, 60, 700, 800)
"""Hertz of each channel."""
HALF = 0.7071
CLICK = "if(eq(n,96000),0.9,0)"
"""One sample, at 2 s."""


@pytest.fixture
def film(tmp_path: Path):
    def make(*arguments: str, name: str = "film.mkv") -> Path:
        path = tmp_path / name
        ffmpeg(*picture("96x64", 10, 4), *arguments, *X264, path)
        return path

    return make


@pytest.mark.parametrize("layout", ["5.1", "5.1(side)"])
async def test_surround_stays_surround_channel_for_channel(
    children: MediaChildren, film, tmp_path: Path, layout: str
) -> None:
    track, path = await encode_audio(
        children, film(*tones(*SURROUND, layout=layout), "-c:a", "flac"), tmp_path, track=1
    )
    assert (track.name, track.codec_string, layout_of(path)) == ("audio-0-surround", "mp4a.40.2", "5.1")
    found = samples_of(path)
    assert found.shape[1] == pytest.approx(4 * 48_000, abs=AAC_FRAME)
    for channel, own in zip(found, SURROUND, strict=True):
        assert amplitude(channel, own) == pytest.approx(0.1, rel=0.03)
        assert all(amplitude(channel, other) < 0.001 for other in SURROUND if other != own)


async def test_stereo_of_surround_has_the_coefficients_of_bs_775(children: MediaChildren, film, tmp_path: Path) -> None:
    _, path = await encode_audio(children, film(*tones(*SURROUND), "-c:a", "flac"), tmp_path, track=0)
    left, right = samples_of(path)
    for channel, heard in ((left, {FL: 1, FC: HALF, BL: HALF}), (right, {FR: 1, FC: HALF, BR: HALF})):
        for hertz in SURROUND:
            assert amplitude(channel, hertz) == pytest.approx(0.1 * heard.get(hertz, 0), rel=0.03, abs=0.001)


async def test_seven_one_becomes_five_one(children: MediaChildren, film, tmp_path: Path) -> None:
    """What is beside and what is behind the listener share their loudspeakers."""
    beside = (900, 1000)
    source = film(*tones(*SURROUND, *beside, layout="7.1"), "-c:a", "flac")
    _, path = await encode_audio(children, source, tmp_path / "surround", track=1)
    found = samples_of(path)
    for channel, own in zip(found[4:], ((BL, 900), (BR, 1000)), strict=True):
        assert [amplitude(channel, hertz) for hertz in own] == pytest.approx([0.1 * HALF] * 2, rel=0.03)
    assert [amplitude(c, h) for c, h in zip(found[:4], SURROUND, strict=False)] == pytest.approx([0.1] * 4, rel=0.03)
    _, path = await encode_audio(children, source, tmp_path / "stereo", track=0)
    left, _ = samples_of(path)
    assert [amplitude(left, hertz) for hertz in (BL, 900)] == pytest.approx([0.05] * 2, rel=0.04)


async def test_a_loud_film_does_not_clip_in_stereo_and_stays_as_loud(
    children: MediaChildren, film, tmp_path: Path
) -> None:
    """All channels at full scale and in step are 2.4 times full scale in stereo."""
    source = film(*tones(*[440] * 6, amplitude=0.95), "-c:a", "flac")
    track, path = await encode_audio(children, source, tmp_path, track=0)
    found = samples_of(path)
    assert np.abs(found[:, 4800:-4800]).max() < 0.95
    assert amplitude(found[0], 440) == pytest.approx(0.89, rel=0.03)
    assert amplitude(found[0], 3 * 440) < 0.01, "a limiter is gentle; clipping makes overtones"
    assert found.shape[1] == pytest.approx(4 * 48_000, abs=AAC_FRAME), "nothing gets lost in the limiter"
    assert track.loudness is not None
    assert track.loudness.true_peak == pytest.approx(-1, abs=0.2)


async def test_the_limiter_leaves_everything_where_it_is_in_time(children: MediaChildren, film, tmp_path: Path) -> None:
    click = "aevalsrc='" + "|".join([CLICK, *["0"] * 5]) + "':c=5.1:s=48000:d=4"
    _, path = await encode_audio(children, film("-f", "lavfi", "-i", click, "-c:a", "flac"), tmp_path, track=0)
    left, _ = samples_of(path)
    assert int(np.abs(left).argmax()) == pytest.approx(96_000, abs=2)


async def test_the_sound_of_surround_is_exactly_in_time(children: MediaChildren, film, tmp_path: Path) -> None:
    click = "aevalsrc='" + "|".join([CLICK] * 3 + ["0"] * 3) + "':c=5.1:s=48000:d=4"
    _, path = await encode_audio(children, film("-f", "lavfi", "-i", click, "-c:a", "flac"), tmp_path, track=1)
    assert [int(np.abs(channel).argmax()) for channel in samples_of(path)[:3]] == pytest.approx([96_000] * 3, abs=2)


async def test_mono_stays_mono(children: MediaChildren, film, tmp_path: Path) -> None:
    track, path = await encode_audio(children, film(*tones(440, layout="mono"), "-c:a", "flac"), tmp_path)
    assert layout_of(path) == "mono"
    assert amplitude(samples_of(path)[0], 440) == pytest.approx(0.1, rel=0.03)
    assert track.loudness is not None
    assert track.loudness.integrated == pytest.approx(measured(path)[0] + 3, abs=0.2), "two loudspeakers play it"


async def test_many_channels_that_nobody_has_named_are_two_microphones(
    children: MediaChildren, film, tmp_path: Path
) -> None:
    """Cameras record sixteen; FFmpeg knows no way from them to stereo."""
    time = np.arange(4 * 48_000) / 48_000
    channels = [0.1 * np.sin(2 * np.pi * hertz * time) for hertz in range(400, 1300, 100)]
    raw = tmp_path / "nine.raw"
    raw.write_bytes(np.array(channels, dtype="<f4").T.tobytes())
    source = film("-f", "f32le", "-ar", "48000", "-ac", "9", "-i", raw, "-c:a", "pcm_s16le")
    track, path = await encode_audio(children, source, tmp_path, track=-1)
    assert track.name == "audio-0", "there is nothing to make 5.1 of"
    left, right = samples_of(path)
    assert [amplitude(left, 400), amplitude(right, 500)] == pytest.approx([0.1, 0.1], rel=0.05)
    assert [amplitude(left, 500), amplitude(left, 600)] == pytest.approx([0, 0], abs=0.001)


async def test_a_layout_that_changes_in_the_middle_is_followed(children: MediaChildren, film, tmp_path: Path) -> None:
    """As in a broadcast: a film of 5.1 with advertisements in stereo."""
    parts = []
    for number, arguments in enumerate([tones(1000, 1200, layout="stereo", seconds=2), tones(*SURROUND, seconds=2)]):
        parts.append(tmp_path / f"{number}.ac3")
        ffmpeg(*arguments, "-c:a", "ac3", "-b:a", "448k", parts[-1])
    joined = tmp_path / "joined.ac3"
    joined.write_bytes(b"".join(part.read_bytes() for part in parts))
    source = tmp_path / "broadcast.ts"
    ffmpeg(*picture("96x64", 10, 4), "-i", joined, *X264, "-c:a", "copy", source)
    _, path = await encode_audio(children, source, tmp_path / "surround", track=1)
    found = samples_of(path)
    assert [level(channel, 0.5, 1.5) for channel in found] == pytest.approx([0.0707] * 2 + [0] * 4, rel=0.1, abs=0.001)
    assert [level(channel, 2.5, 3.5) for channel in found] == pytest.approx([0.0707] * 6, rel=0.1)
    _, path = await encode_audio(children, source, tmp_path / "stereo", track=0)
    left, right = samples_of(path)
    assert [level(left, 0.5, 1.5), level(right, 0.5, 1.5)] == pytest.approx([0.0707] * 2, rel=0.1)
    assert [level(left, 2.5, 3.5), level(right, 2.5, 3.5)] == pytest.approx([0.1] * 2, rel=0.1)


@pytest.mark.parametrize("codec", ["aac", "ac3", "pcm_s24le", "flac", "libopus"])
async def test_surround_of_every_codec(children: MediaChildren, film, tmp_path: Path, codec: str) -> None:
    track, path = await encode_audio(children, film(*tones(*SURROUND), "-c:a", codec), tmp_path, track=1)
    found = samples_of(path)
    assert [amplitude(c, h) for c, h in zip(found, SURROUND, strict=True)] == pytest.approx([0.1] * 6, rel=0.1)
    assert track.segments[-1].start_ticks + track.segments[-1].duration_ticks == found.shape[1]
