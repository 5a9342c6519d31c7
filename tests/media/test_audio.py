"""Audio is encoded whole, and stays in time with the picture."""

from pathlib import Path

import av
import pytest
from clips import BUNNY, Clips
from encoding import encode_audio
from playback import decode

from streamforge.media.child import MediaChildren


def loudness(path: Path, begin: float, end: float) -> float:
    """Root mean square of the samples in [begin, end) seconds, 0–1."""
    total, count = 0.0, 0
    with av.open(str(path)) as container:
        resampler = av.AudioResampler(format="flt", layout="mono")
        for decoded in container.decode(audio=0):
            for frame in resampler.resample(decoded):
                if begin <= (frame.time or 0) < end:
                    samples = memoryview(bytes(frame.planes[0])[: frame.samples * 4]).cast("f")
                    total += sum(sample * sample for sample in samples)
                    count += len(samples)
    return (total / max(1, count)) ** 0.5


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
    assert loudness(path, 0.1, 0.9) < 0.001
    assert loudness(path, 1.1, 1.9) > 0.05


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
