"""Films of flat colours, and what pictures of them look like to a browser."""

import io
from pathlib import Path
from typing import Any

import av
from clips import X264, ffmpeg
from numpy.typing import NDArray

COLORS = {
    "red": (255, 0, 0), "lime": (0, 255, 0), "blue": (0, 0, 255), "yellow": (255, 255, 0), "fuchsia": (255, 0, 255),
    "aqua": (0, 255, 255), "white": (255, 255, 255), "gray": (128, 128, 128), "black": (0, 0, 0), "navy": (0, 0, 128),
}  # fmt: skip
"""As HTML names them; a second of each."""

CLOSE = 12
"""Levels of R, G and B that two compressions may be off in a flat picture."""


def colors(path: Path, *arguments: str, size: str = "320x180", names: list[str] | None = None) -> Path:
    names = names or list(COLORS)
    inputs = [a for name in names for a in ("-f", "lavfi", "-i", f"color={name}:s={size}:r=25:d=1")]
    ffmpeg(*inputs, "-filter_complex", f"concat=n={len(names)}", *X264, *arguments, path)
    return path


def rgb(jpeg: bytes | Path) -> NDArray[Any]:
    """Height × width × 3, as a browser would decode it."""
    with av.open(io.BytesIO(jpeg if isinstance(jpeg, bytes) else jpeg.read_bytes())) as container:
        (frame,) = container.decode(video=0)
        assert frame.color_range == 2, "JFIF is full range"
        return frame.to_ndarray(format="rgb24")


def center(image: NDArray[Any]) -> tuple[int, ...]:
    height, width, _ = image.shape
    middle = image[height // 4 : -(height // 4), width // 4 : -(width // 4)]
    return tuple(int(level) for level in middle.reshape(-1, 3).mean(axis=0))
