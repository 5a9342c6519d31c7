"""What a source's colours are, from what it says about them. Tags are missing as often as not, and wrong now and then.

Numbers are code points of ITU-T H.273.
"""

from dataclasses import dataclass, field

from streamforge.contracts.media.source import Color, DynamicRange
from streamforge.planning.color.dynamic_range import HDR_TRANSFERS

UNSPECIFIED = 2
FULL_RANGE = 2
"""FFmpeg's AVCOL_RANGE_JPEG."""

BT709, BT601_625, BT601_525, BT2020 = 1, 5, 6, 9
MATRICES = {1, 4, 5, 6, 7, 9}
"""Those that can be read: BT.709, FCC, both of BT.601, SMPTE 240M, and BT.2020 with non-constant luminance."""

PRIMARIES = {1, 4, 5, 6, 7, 8, 9, 10, 11, 12, 22}
TRANSFERS = set(range(19)) - {0, 2, 3}
HDR_BITS = 10
SD_WIDTH, SD_HEIGHT = 1024, 576
PAL_HEIGHTS = {576, 288}

NAMES = {0: "GBR", 8: "YCgCo", 10: "BT.2020 constant luminance", 14: "ICtCp", 16: "PQ", 18: "HLG"}


@dataclass(frozen=True)
class Tags:
    """What a picture says, or where it is silent the container."""

    primaries: int
    transfer: int
    matrix: int
    range: int

    def as_tuple(self) -> tuple[int, int, int, int]:
        return self.primaries, self.transfer, self.matrix, self.range


def agree(one: Tags, other: Tags) -> bool:
    """What one of them is silent about is no contradiction."""
    pairs = zip(one.as_tuple(), other.as_tuple(), (UNSPECIFIED, UNSPECIFIED, UNSPECIFIED, 0), strict=True)
    return all(here == there or silent in {here, there} for here, there, silent in pairs)


@dataclass(frozen=True)
class Samples:
    """What is beyond doubt."""

    is_rgb: bool
    is_gray: bool
    bit_depth: int
    width: int
    height: int


@dataclass
class Understood:
    color: Color
    dynamic_range: DynamicRange
    full_range: bool
    warnings: list[str] = field(default_factory=list)


def understand(tags: Tags, samples: Samples) -> Understood:
    """HDR needs ten bits: with less, a PQ or HLG tag and whatever stands beside it is somebody's mistake."""
    found = Understood(Color(), HDR_TRANSFERS.get(tags.transfer, "sdr"), _is_full_range(tags, samples))
    if found.dynamic_range != "sdr" and samples.bit_depth < HDR_BITS:
        found.warnings.append(
            f"The colours are tagged as HDR ({NAMES[tags.transfer]}), but have {samples.bit_depth} bits; they are taken "
            "for SDR."
        )
        found.dynamic_range = "sdr"
        tags = Tags(UNSPECIFIED, UNSPECIFIED, UNSPECIFIED, tags.range)
    matrix = _matrix(tags, samples, found)
    found.color = Color(
        primaries=_primaries(tags.primaries, matrix, found),
        transfer=_known("transfer", tags.transfer, TRANSFERS, BT709, found),
        matrix=matrix,
    )
    return found


def _is_full_range(tags: Tags, samples: Samples) -> bool:
    unspecified = tags.range not in {1, FULL_RANGE}
    return samples.is_rgb or tags.range == FULL_RANGE or (samples.is_gray and unspecified)


def _matrix(tags: Tags, samples: Samples, found: Understood) -> int:
    """Of RGB, the one that it will be written with."""
    guess = _guessed_matrix(tags.primaries, samples, found.dynamic_range)
    if samples.is_rgb or samples.is_gray:
        return guess if found.dynamic_range != "sdr" else BT709
    return _known("matrix", tags.matrix, MATRICES, guess, found)


def _guessed_matrix(primaries: int, samples: Samples, dynamic_range: DynamicRange) -> int:
    """As players do where nothing is said: small pictures are BT.601, large ones BT.709."""
    if dynamic_range != "sdr":
        return BT2020
    if primaries in {BT709, BT601_625, BT601_525, BT2020}:
        return primaries
    if samples.width > SD_WIDTH or samples.height > SD_HEIGHT:
        return BT709
    return BT601_625 if samples.height in PAL_HEIGHTS else BT601_525


def _primaries(told: int, matrix: int, found: Understood) -> int:
    guess = matrix if matrix in {BT709, BT601_625, BT601_525, BT2020} else BT709
    return _known("primaries", told, PRIMARIES, guess, found)


def _known(kind: str, told: int, known: set[int], guess: int, found: Understood) -> int:
    if told in known:
        return told
    if told != UNSPECIFIED:
        name = NAMES.get(told, f"code {told}")
        found.warnings.append(f"The colour {kind} is tagged as {name}, which cannot be read; code {guess} is assumed.")
    return guess
