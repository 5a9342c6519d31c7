"""A chunk below its floor is encoded again, at a better CRF: one dark or noisy scene should not fail a whole film."""

from math import ceil

from streamforge.contracts.media.plan import VideoRendition
from streamforge.quality.registry import METRIC

LEAST_STEP = 2
MOST_STEP = 8
AT_THE_CEILING = 0.9
"""Share of the highest bit rate from which on a better CRF is only told no by the rate control."""


def with_better_crf(rendition: VideoRendition, score: float, floor: float, bitrate: float) -> VideoRendition | None:
    """The same rendition with a CRF that should lift a chunk from `score` above `floor`; None when it is good enough, or
    when its `bitrate` (bit/s) is already at the ceiling and nothing can be gained."""
    if score >= floor or bitrate >= rendition.max_bitrate * AT_THE_CEILING:
        return None
    step = min(MOST_STEP, max(LEAST_STEP, ceil((floor - score) / METRIC.points_per_crf)))
    crf = max(1.0, float(rendition.options["crf"]) - step)
    return rendition.model_copy(update={"options": rendition.options | {"crf": f"{crf:g}"}})
