"""Sound as numbers, and what a meter that is not ours says about it."""

import re
import subprocess
from pathlib import Path

import av
import numpy as np
from numpy.typing import NDArray

from streamforge.media.worker.capabilities import ffmpeg_path

Samples = NDArray[np.float32]


def samples_of(path: Path, stream: int = 0) -> Samples:
    """channels × samples of one track as a player hears it, edit list applied."""
    with av.open(str(path)) as container:
        frames = [frame.to_ndarray() for frame in container.decode(audio=stream)]
        planar = [frame if frame.shape[0] > 1 else frame.reshape(1, -1) for frame in frames]
    return np.concatenate(planar, axis=1).astype(np.float32)


def layout_of(path: Path) -> str:
    with av.open(str(path)) as container:
        return str(container.streams.audio[0].layout.name)


def amplitude(channel: Samples, hertz: float, rate: int = 48_000) -> float:
    """Of a sine of this pitch in the middle of the channel: a second of it, weighed by Hann's window."""
    middle = channel[len(channel) // 2 - rate // 2 : len(channel) // 2 + rate // 2]
    spectrum = np.abs(np.fft.rfft(middle * np.hanning(rate))) * 4 / rate
    return float(spectrum[round(hertz) - 2 : round(hertz) + 3].max())


def level(channel: Samples, begin: float, end: float, rate: int = 48_000) -> float:
    """Root mean square of [begin, end) seconds."""
    return float(np.sqrt(np.mean(channel[round(begin * rate) : round(end * rate)] ** 2)))


def measured(path: Path) -> tuple[float, float]:
    """Integrated loudness (LUFS) and true peak (dBTP), by the ffmpeg program; it knows no dual mono by itself."""
    command = [str(ffmpeg_path()), "-nostdin", "-hide_banner", "-i", str(path), "-af", "ebur128=peak=true"]
    done = subprocess.run([*command, "-f", "null", "-"], capture_output=True, text=True, check=True)
    summary = done.stderr.rpartition("Summary:")[2]
    found = re.findall(r"(?:I:|Peak:)\s+(-?[\d.]+|-inf|nan)", summary)
    return float(found[0]), float(found[1])
