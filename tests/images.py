"""What pictures look like to a browser."""

import io
from pathlib import Path
from typing import Any

import av
from numpy.typing import NDArray

CLOSE = 12
"""Levels of R, G and B that two compressions may be off in a flat picture."""


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
