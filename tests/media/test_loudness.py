"""Loudness by EBU R 128: measured of every track, and changed where it is asked for."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
from clips import X264, Clips, ffmpeg, picture, tones
from encoding import QUICK, encode_audio
from sound import measured, samples_of

from streamforge.media.worker.children import MediaChildren
from streamforge.settings import AudioSettings, Settings


def normalised(target: float, ceiling: float = -1) -> Settings:
    return QUICK.model_copy(update={"audio": AudioSettings(loudness_target=target, true_peak_ceiling=ceiling)})


@pytest.fixture
def film(tmp_path: Path):
    def make(*arguments: str) -> Path:
        path = tmp_path / "film.mkv"
        ffmpeg(*picture("96x64", 10, 6), *arguments, *X264, "-c:a", "flac", path)
        return path

    return make


STEREO = tones(997, 997, layout="stereo", seconds=6, amplitude=0.1)
CLICK = "0.02*sin(2*PI*997*t)+if(between(t,3,3.001),0.8,0)"
PEAKY = ["-f", "lavfi", "-i", f"aevalsrc='{CLICK}|{CLICK}':c=stereo:s=48000:d=6"]
"""Soft, but for one click."""


async def test_a_sine_of_full_scale_less_20_db_is_minus_20_lufs(children: MediaChildren, film, tmp_path: Path) -> None:
    """EBU Tech 3341, case 1 and 2: a stereo sine of 997 Hz is as many LUFS as its peaks are dBFS."""
    track, _ = await encode_audio(children, film(*STEREO), tmp_path)
    assert track.loudness is not None
    assert track.loudness.integrated == pytest.approx(-20, abs=0.1)
    assert track.loudness.range == pytest.approx(0, abs=0.2)
    assert track.loudness.true_peak == pytest.approx(-20, abs=0.2)
    assert track.gain is None


@pytest.mark.parametrize("layout", [0, 1])
async def test_it_is_what_another_meter_says_about_what_came_out(
    children: MediaChildren, clips: Clips, tmp_path: Path, layout: int
) -> None:
    track, path = await encode_audio(children, clips.six_tones, tmp_path, track=layout)
    assert track.loudness is not None
    integrated, peak = measured(path)
    assert track.loudness.integrated == pytest.approx(integrated, abs=0.2)
    assert track.loudness.true_peak == pytest.approx(peak, abs=0.5)


@pytest.mark.parametrize("source", ["anullsrc=r=48000:cl=stereo:d=6", "anullsrc=r=48000:cl=5.1:d=6"])
@pytest.mark.parametrize("settings", [QUICK, normalised(-23)])
async def test_silence_has_no_loudness_and_is_no_error(
    children: MediaChildren, film, tmp_path: Path, source: str, settings: Settings
) -> None:
    track, path = await encode_audio(children, film("-f", "lavfi", "-i", source), tmp_path, settings=settings)
    assert track.loudness is not None
    assert track.loudness.model_dump() == {"integrated": None, "range": None, "true_peak": None}
    assert track.gain in {None, 0.0}
    assert np.abs(samples_of(path)).max() == 0
    assert samples_of(path).shape[1] == pytest.approx(6 * 48_000, abs=1024)


@dataclass
class AsItIs:
    """The loudness of six tones by layout, measured once."""

    folder: Path
    _measured: dict[int, float] = field(default_factory=dict)

    async def integrated(self, children: MediaChildren, clips: Clips, layout: int) -> float:
        if layout not in self._measured:
            track, _ = await encode_audio(children, clips.six_tones, self.folder, track=layout)
            assert track.loudness is not None
            assert track.loudness.integrated is not None
            self._measured[layout] = track.loudness.integrated
        return self._measured[layout]


@pytest.fixture(scope="module")
def as_it_is(tmp_path_factory: pytest.TempPathFactory) -> AsItIs:
    return AsItIs(tmp_path_factory.mktemp("as-it-is"))


@pytest.mark.parametrize("target", [-30, -23, -16, -14])
@pytest.mark.parametrize("layout", [0, 1])
async def test_what_is_asked_for_is_reached_by_one_gain(
    children: MediaChildren, clips: Clips, as_it_is: AsItIs, tmp_path: Path, target: float, layout: int
) -> None:
    track, path = await encode_audio(children, clips.six_tones, tmp_path, track=layout, settings=normalised(target))
    integrated, peak = measured(path)
    assert integrated == pytest.approx(target, abs=0.5)
    assert peak <= -0.5
    assert track.gain == pytest.approx(target - await as_it_is.integrated(children, clips, layout), abs=0.1)


async def test_a_peak_ends_the_gain_before_it_would_clip(children: MediaChildren, film, tmp_path: Path) -> None:
    track, path = await encode_audio(children, film(*PEAKY), tmp_path, settings=normalised(-14))
    assert track.loudness is not None
    assert track.gain == pytest.approx(0, abs=1), "the click is just below the ceiling as it is"
    assert track.loudness.true_peak == pytest.approx(-1, abs=0.15)
    assert (track.loudness.integrated or 0) < -25, "as near as the peak allows"
    assert measured(path)[1] < 0.5


async def test_dynamics_stay_what_they_are(children: MediaChildren, film, tmp_path: Path) -> None:
    """Three seconds soft, three seconds 20 dB louder: the same apart when all of it is louder."""
    step = "(0.005+0.045*gte(t,3))*sin(2*PI*997*t)"
    source = film("-f", "lavfi", "-i", f"aevalsrc='{step}|{step}':c=stereo:s=48000:d=6")
    _, path = await encode_audio(children, source, tmp_path, settings=normalised(-16))
    left = samples_of(path)[0]
    soft, loud = (np.sqrt(np.mean(left[48_000 * a : 48_000 * b] ** 2)) for a, b in ((1, 2), (4, 5)))
    assert 20 * np.log10(loud / soft) == pytest.approx(20, abs=0.2)


async def test_sound_shorter_than_a_block_of_the_meter_has_no_loudness(children: MediaChildren, tmp_path: Path) -> None:
    source = tmp_path / "short.mkv"
    ffmpeg(*picture("96x64", 10, 0.3), *tones(440, 440, layout="stereo", seconds=0.3), *X264, "-c:a", "flac", source)
    track, _ = await encode_audio(children, source, tmp_path, settings=normalised(-23))
    assert track.loudness is not None
    assert (track.loudness.integrated, track.gain) == (None, 0.0)
