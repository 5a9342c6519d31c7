"""What can be seen of a picture for next to nothing: a few dozen rows of its luma."""

from typing import Any, TypeAlias

import numpy as np
from av.video.frame import VideoFrame
from numpy.typing import NDArray

from streamforge.contracts.media.scores import PictureLog

Rows: TypeAlias = NDArray[np.int16]

ROWS = 48
"""Of a picture: what they say about all of it is exact to a few percent, and takes a tenth of a millisecond."""


def luma_rows(frame: VideoFrame, below: int = 0) -> Rows:
    """Up to ROWS evenly spread rows, or those that lie `below` them; on a scale of 8 bits, whatever the format."""
    luma, finer = _luma(frame)
    step = max(2, frame.height // ROWS)
    rows = luma[step // 2 - 1 + below : frame.height - 1 + below : step]
    return (rows >> finer).astype(np.int16) if finer else rows.astype(np.int16)


def _luma(frame: VideoFrame) -> tuple[NDArray[Any], int]:
    """The luma plane, and by how many bits it is finer than 8."""
    first = frame.format.components[0]
    others = {component.plane for component in frame.format.components[1:]}
    if not first.is_luma or first.plane in others or frame.format.is_big_endian or first.bits < 8:
        gray = frame.reformat(format="gray")  # RGB, packed and exotic formats, all of them rare.
        return _plane(gray, np.dtype(np.uint8)), 0
    return _plane(frame, np.dtype(np.uint8 if first.bits == 8 else np.uint16)), first.bits - 8


def _plane(frame: VideoFrame, kind: np.dtype[Any]) -> NDArray[Any]:
    plane = frame.planes[0]
    samples = np.frombuffer(memoryview(plane), kind)
    return samples.reshape(-1, plane.line_size // kind.itemsize)[: frame.height, : frame.width]


def mean_squared_error(one: Rows, other: Rows) -> float:
    difference = (one - other).ravel().astype(np.float32)
    return float(difference @ difference) / max(1, len(difference))


class Observer:
    """Writes the log of the source's pictures: detail and motion, see PictureLog."""

    def __init__(self) -> None:
        self.log = PictureLog(ticks=[], across=[], down=[], motion=[])
        self._before: Rows | None = None

    def see(self, frame: VideoFrame, ticks: int) -> None:
        upper, lower = luma_rows(frame), luma_rows(frame, below=1)
        moved = self._before is not None and self._before.shape == upper.shape
        self.log.ticks.append(ticks)
        self.log.across.append(_mean_difference(upper[:, 1:], upper[:, :-1]))
        self.log.down.append(_mean_difference(upper, lower))
        self.log.motion.append(_mean_difference(upper, self._before) if moved and self._before is not None else 0.0)
        self._before = upper


def _mean_difference(one: Rows, other: Rows) -> float:
    return float(np.abs(one - other).mean()) if one.size else 0.0
