"""Which channels of a source go into which channels of a rendition, and how loud (ITU-R BS.775-3, annex 4).

Two steps, so that 7.1 sounds in stereo as its 5.1 does: first everything moves to the nearest place of 5.1, then 5.1 is
brought down to two channels or one. What two places share, or moves between two, is 3 dB lower.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

HALF_POWER = 1 / sqrt(2)
"""−3 dB."""

FRONT_LEFT, FRONT_RIGHT, CENTRE, BASS, LEFT, RIGHT = SURROUND_PLACES = ("FL", "FR", "FC", "LFE", "BL", "BR")
"""FFmpeg's names, in the order in which it keeps the samples of 5.1."""

LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
"""What renditions can be, by the number of their channels."""

NEAREST: Mapping[str, tuple[str, ...]] = {
    "FL": (FRONT_LEFT,),
    "FR": (FRONT_RIGHT,),
    "FC": (CENTRE,),
    "LFE": (BASS,),
    "BL": (LEFT,),
    "BR": (RIGHT,),
    "SL": (LEFT,),
    "SR": (RIGHT,),
    "BC": (LEFT, RIGHT),
    "FLC": (FRONT_LEFT,),
    "FRC": (FRONT_RIGHT,),
    "WL": (FRONT_LEFT,),
    "WR": (FRONT_RIGHT,),
    "DL": (FRONT_LEFT,),
    "DR": (FRONT_RIGHT,),
    "TC": (LEFT, RIGHT),
    "TFL": (FRONT_LEFT,),
    "TFC": (CENTRE,),
    "TFR": (FRONT_RIGHT,),
    "TBL": (LEFT,),
    "TBC": (LEFT, RIGHT),
    "TBR": (RIGHT,),
    "TSL": (LEFT,),
    "TSR": (RIGHT,),
    "LFE2": (BASS,),
    "BFL": (FRONT_LEFT,),
    "BFC": (CENTRE,),
    "BFR": (FRONT_RIGHT,),
}

TO_STEREO = {
    FRONT_LEFT: {FRONT_LEFT: 1.0, CENTRE: HALF_POWER, LEFT: HALF_POWER},
    FRONT_RIGHT: {FRONT_RIGHT: 1.0, CENTRE: HALF_POWER, RIGHT: HALF_POWER},
}
"""The bass channel is left out: it only repeats, louder, what small loudspeakers cannot play."""

UNNAMED = {1: (CENTRE,), 6: SURROUND_PLACES, 8: (*SURROUND_PLACES, "SL", "SR")}
"""What channels without names usually are (SMPTE ST 2067-8). Of any other number only the first two are believed in."""

Row = dict[int, float]


@dataclass(frozen=True)
class Mix:
    """`rows` holds for each channel of the rendition how much it gets (factor) of which channel of the source."""

    rows: list[Row]

    @property
    def is_copy(self) -> bool:
        return all(row == {position: 1.0} for position, row in enumerate(self.rows))

    @property
    def can_clip(self) -> bool:
        """Whether full scale in every channel of the source is more than full scale here."""
        return any(sum(row.values()) > 1 for row in self.rows)


def mix(channels: Sequence[str], wanted: int) -> Mix:
    """From channels with FFmpeg's names to 1, 2 or 6 of them. Any other name is of a channel without a place."""
    places = _in_surround(_named(channels))
    if wanted == len(SURROUND_PLACES):
        return Mix([places.get(place, {}) for place in SURROUND_PLACES])
    stereo = [_sum([_scaled(places.get(p, {}), factor) for p, factor in row.items()]) for row in TO_STEREO.values()]
    return Mix(stereo) if wanted == 2 else Mix([_sum([_scaled(row, HALF_POWER) for row in stereo])])


def _named(channels: Sequence[str]) -> Sequence[str]:
    if any(channel in NEAREST for channel in channels):
        return channels
    return UNNAMED.get(len(channels), (FRONT_LEFT, FRONT_RIGHT))


def _in_surround(channels: Sequence[str]) -> dict[str, Row]:
    """For each place of 5.1 the source's channels that belong there, by their position."""
    places: dict[str, Row] = {}
    for position, channel in enumerate(channels):
        nearest = NEAREST.get(channel, ())
        for place in nearest:
            places.setdefault(place, {})[position] = 1.0 if len(nearest) == 1 else HALF_POWER
    return {place: row if len(row) == 1 else _scaled(row, HALF_POWER) for place, row in places.items()}


def _scaled(row: Row, factor: float) -> Row:
    return {position: factor * gain for position, gain in row.items()}


def _sum(rows: Sequence[Row]) -> Row:
    positions = sorted({position for row in rows for position in row})
    return {position: round(sum(row.get(position, 0.0) for row in rows), 9) for position in positions}
