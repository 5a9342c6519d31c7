"""Which part of 0–100 % each stage owns: the progress bands of the wire contract."""

from streamforge.contracts.job import Stage

BANDS: dict[Stage, tuple[int, int]] = {
    Stage.UPLOADING: (0, 10),
    Stage.TRANSCODING: (10, 50),
    Stage.VALIDATION: (50, 60),
    Stage.PACKAGING: (60, 85),
    Stage.STORAGE: (85, 95),
    Stage.COMPLETED: (100, 100),
}


RECEIVED = 0.5
"""Of the first stage: then the bytes are here; the rest is that a worker has them."""


def progress_at(stage: Stage, fraction: float) -> int:
    """Overall progress in percent when `fraction` (0–1) of `stage` is done; rounds down, so nothing is promised early."""
    low, high = BANDS[stage]
    return low + int((high - low) * min(1.0, max(0.0, fraction)))
