"""Marks that survive any codec: a picture bears its own number as a barcode, a second of sound beeps at a pitch of its own.

The barcode has ten boxes and below them their complement, so that a picture of which a part is damaged bears no number
at all rather than a wrong one. The boxes are macroblocks of 16 × 16.
"""

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

WIDTH, HEIGHT = 160, 96
BITS = 10
BOX = 16
DARK, LIGHT, MIDDLE = 30, 220, 125
CLEAR = 30
"""How far from the middle a box must be."""
INNER = np.array([0.35, 0.45, 0.55, 0.65])
"""Where in a box it is looked at, both ways."""

BEEP_AT = 0.25
"""Seconds behind each whole one, so that a cut at a whole second cuts no beep."""
BEEP_SECONDS = 0.1
LOUD = 0.05
"""Of full scale; beeps have 0.5, and what codecs ring before and behind them far less."""
BREATH = 0.03
"""Seconds of silence that end a beep."""
SHORTEST = 0.06
"""A beep of which less is left is none."""

Sound = NDArray[np.float32]
Luma = NDArray[np.uint8]


# ── pictures ────────────────────────────────────────────────────────────────────────────────────────────────────────
def numbered_picture(number: int) -> VideoFrame:
    rows, columns = np.mgrid[0:HEIGHT, 0:WIDTH]
    luma = (90 + 40 * np.sin(columns / 9 + number / 3) * np.sin(rows / 11)).astype(np.uint8)
    for bit in range(BITS):
        is_set = bool((number >> bit) & 1)
        across = slice(bit * BOX, (bit + 1) * BOX)
        luma[0:BOX, across] = LIGHT if is_set else DARK
        luma[BOX : 2 * BOX, across] = DARK if is_set else LIGHT
    gray = np.full((HEIGHT // 2, WIDTH), 128, np.uint8)
    return VideoFrame.from_ndarray(np.vstack([luma, gray]), format="yuv420p")


def number_of(picture: VideoFrame) -> int | None:
    """The number that a picture bears, at whatever size; None where it cannot be read."""
    luma = luma_of(picture)
    above, below = _boxes(luma, 0), _boxes(luma, 1)
    is_clear = min(np.abs(above - MIDDLE).min(), np.abs(below - MIDDLE).min()) >= CLEAR
    is_set = above > MIDDLE
    if not is_clear or (is_set == (below > MIDDLE)).any():
        return None
    return int((is_set << np.arange(BITS)).sum())


def luma_of(picture: VideoFrame) -> Luma:
    """Its first plane, of 8 bits."""
    assert picture.format.name in {"yuv420p", "yuvj420p", "yuv422p", "yuvj422p", "gray"}, picture.format.name
    plane = picture.planes[0]
    return np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[: picture.height, : picture.width]


def _boxes(luma: Luma, row: int) -> NDArray[np.float64]:
    """How light the middle of each box in a row is."""
    box = luma.shape[1] / BITS
    down = ((row + INNER) * box).astype(int)
    across = ((np.arange(BITS)[:, None] + INNER) * box).astype(int)
    middles: NDArray[np.float64] = luma[down[:, None, None], across].mean(axis=(0, 2))
    return middles


# ── sound ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def pitch(second: int) -> int:
    return 400 + 100 * second


def beeping(seconds: float, rate: int) -> Sound:
    """Every second beeps once, at its own pitch."""
    time = np.arange(round(seconds * rate)) / rate
    second = time.astype(int)
    since = time - second - BEEP_AT
    tone = 0.5 * np.sin(2 * np.pi * (400 + 100 * second) * since)
    return np.where((since >= 0) & (since < BEEP_SECONDS), tone, 0).astype(np.float32)


def beeps_in(sound: Sound, rate: int) -> list[tuple[float, int]]:
    """When each beep begins, and which second it belongs to; in the order of time."""
    found = []
    for begin, end in _bursts(sound, rate):
        if end - begin >= SHORTEST * rate:
            found.append((begin / rate, _second_of(sound[begin:end], rate)))
    return found


def _bursts(sound: Sound, rate: int) -> list[tuple[int, int]]:
    if not sound.size:
        return []
    width = max(1, round(0.003 * rate))
    loud = np.flatnonzero(np.convolve(np.abs(sound), np.ones(width) / width, "same") > LOUD)
    if loud.size == 0:
        return []
    breaks = np.flatnonzero(np.diff(loud) > BREATH * rate)
    begins = loud[np.concatenate([[0], breaks + 1])]
    ends = loud[np.concatenate([breaks, [loud.size - 1]])]
    return [(int(begin), int(end)) for begin, end in zip(begins, ends, strict=True)]


def _second_of(burst: Sound, rate: int) -> int:
    length = 1 << 15
    spectrum = np.abs(np.fft.rfft(burst * np.hanning(burst.size), length))
    return round((float(spectrum.argmax()) * rate / length - 400) / 100)
