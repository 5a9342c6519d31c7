"""Clips of flat colour patches, and what becomes of them: computed here, apart from the code that is tested."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np
from clips import ffmpeg
from numpy.typing import NDArray

Colors = NDArray[np.float64]
"""One row for each patch: R, G and B from 0 to 1."""

LUMA = {1: (0.2126, 0.0722), 5: (0.299, 0.114), 6: (0.299, 0.114), 7: (0.212, 0.087), 9: (0.2627, 0.0593)}
"""Kr and Kb of each matrix (ITU-T H.273 table 4)."""

FFV1 = ("-c:v", "ffv1")
TAGS = {"primaries": "color_primaries", "transfer": "color_trc", "matrix": "colorspace"}

BARS = np.array(
    [[0, 0, 0], [1, 1, 1], [0.75, 0, 0], [0, 0.75, 0], [0, 0, 0.75], [0.75, 0.75, 0], [0.2, 0.5, 0.7], [0.5, 0.5, 0.5]]
)


@dataclass(frozen=True)
class Kind:
    """How patches are written. Tags of None stay unspecified; `told` is what a file claims instead of the truth."""

    matrix: int = 1
    primaries: int | None = None
    transfer: int | None = None
    full_range: bool = False
    bits: int = 8
    pixel_format: str = "yuv420p"
    codec: Sequence[str] = FFV1
    tell_matrix: bool = True
    size: tuple[int, int] = (320, 180)


def patches(path: Path, colors: Colors, kind: Kind, seconds: float = 0.4) -> Path:
    """Upright stripes from left to right, written without loss."""
    width, height = kind.size
    samples = ycbcr(colors, kind.matrix, kind.bits, full_range=kind.full_range)
    column = np.arange(width) * len(colors) // width
    planes = np.broadcast_to(samples.T[:, None, column], (3, height, width))
    raw = planes.astype(np.uint8 if kind.bits == 8 else "<u2").tobytes()
    told = {"colorspace": kind.matrix if kind.tell_matrix else None}
    told |= {"color_primaries": kind.primaries, "color_trc": kind.transfer}
    params = [f"range={'pc' if kind.full_range else 'tv'}", *(f"{k}={v}" for k, v in told.items() if v is not None)]
    raw_format = "yuv444p" if kind.bits == 8 else f"yuv444p{kind.bits}le"
    write_raw(
        path, raw * round(seconds * 25), raw_format, kind.size,
        "-vf", f"setparams={':'.join(params)},format={kind.pixel_format}", *kind.codec,
    )  # fmt: skip
    return path


def write_raw(
    path: Path, raw: bytes, pixel_format: str, size: tuple[int, int], *arguments: str, rate: str = "25"
) -> None:
    frames = path.with_suffix(".raw")
    frames.write_bytes(raw)
    reading = ["-f", "rawvideo", "-pix_fmt", pixel_format, "-s", f"{size[0]}x{size[1]}", "-r", rate, "-i", frames]
    ffmpeg(*reading, *arguments, path)
    frames.unlink()


def ycbcr(colors: Colors, matrix: int, bits: int, *, full_range: bool) -> NDArray[np.int64]:
    kr, kb = LUMA[matrix]
    red, green, blue = colors.T
    luma = kr * red + (1 - kr - kb) * green + kb * blue
    difference = np.stack([(blue - luma) / (2 - 2 * kb), (red - luma) / (2 - 2 * kr)])
    unit, top = 2 ** (bits - 8), 2**bits - 1
    if full_range:
        return np.round(np.stack([luma * top, *(difference * top + 128 * unit)], axis=-1)).astype(int)
    return np.round(np.stack([219 * luma + 16, *(224 * difference + 128)], axis=-1) * unit).astype(int)


def rgb(samples: NDArray[Any], matrix: int, bits: int) -> Colors:
    """Of limited-range Y, Cb, Cr, one row for each."""
    kr, kb = LUMA[matrix]
    y, cb, cr = (samples / 2 ** (bits - 8)).T
    luma = (y - 16) / 219
    red = luma + (2 - 2 * kr) * (cr - 128) / 224
    blue = luma + (2 - 2 * kb) * (cb - 128) / 224
    return np.stack([red, (luma - kr * red - kb * blue) / (1 - kr - kb), blue], axis=-1)


@dataclass(frozen=True)
class Seen:
    """The middle of each patch in one decoded picture, by the picture's own tags."""

    signal: Colors
    primaries: int
    transfer: int
    matrix: int
    range: int
    pixel_format: str


def seen(path: Path, count: int, number: int = 3) -> Seen:
    with av.open(str(path)) as container:
        frame = next(f for n, f in enumerate(container.decode(video=0)) if n == number)
    bits = frame.format.components[0].bits
    luma, cb, cr = (plane_of(frame, n) for n in range(3))
    across = ((np.arange(count) + 0.5) * frame.width / count).astype(int)
    down = frame.height // 2
    samples = np.stack([luma[down, across], cb[down // 2, across // 2], cr[down // 2, across // 2]], axis=-1)
    return Seen(
        signal=rgb(samples.astype(float), int(frame.colorspace), bits),
        primaries=int(frame.color_primaries),
        transfer=int(frame.color_trc),
        matrix=int(frame.colorspace),
        range=int(frame.color_range),
        pixel_format=frame.format.name,
    )


def plane_of(frame: av.VideoFrame, number: int) -> NDArray[Any]:
    plane = frame.planes[number]
    kind = np.dtype(np.uint8 if frame.format.components[0].bits == 8 else np.uint16)
    samples = np.frombuffer(memoryview(plane), kind).reshape(-1, plane.line_size // kind.itemsize)
    return samples[: plane.height, : plane.width]
