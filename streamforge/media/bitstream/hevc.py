"""Slice headers of HEVC, as far as it takes to know where they end (ITU-T H.265 §7.3.2, §7.3.6 and §7.3.7)."""

from dataclasses import dataclass

from streamforge.media.bitstream.bits import BitReader

SPS, PPS = 33, 34
B, P = 0, 1
SLICES = {*range(10), *range(16, 22)}
RANDOM_ACCESS = range(16, 24)
IDR = {19, 20}

ReferenceSet = list[tuple[int, bool]]
"""(distance, whether this picture uses it), of the pictures before it from the nearest on, then of those behind it."""


class _Sequence:
    """What a sequence parameter set says about slice headers (§7.3.2.2)."""

    def __init__(self, unit: bytes) -> None:
        bits = BitReader(unit, 2)
        bits.u(4)
        sub_layers = bits.u(3)
        bits.u(1)
        _skip_profile(bits, sub_layers)
        bits.ue()
        chroma_format = bits.ue()
        self.separate_planes = chroma_format == 3 and bits.flag()
        self.has_chroma = chroma_format > 0 and not self.separate_planes
        size = (bits.ue(), bits.ue())
        if bits.flag():
            bits.skip_ue(4)
        bits.skip_ue(2)
        self.order_count_bits = bits.ue() + 4
        bits.skip_ue(3 * (1 if not bits.flag() else sub_layers + 1))
        smallest_block = bits.ue() + 3
        block = 1 << (smallest_block + bits.ue())
        self.address_bits = _bits_for(-(-size[0] // block) * -(-size[1] // block))
        bits.skip_ue(4)
        if bits.flag() and bits.flag():
            _skip_scaling_lists(bits)
        bits.u(1)
        self.sample_adaptive_offset = bits.flag()
        if bits.flag():
            bits.u(8)
            bits.skip_ue(2)
            bits.u(1)
        self.sets: list[ReferenceSet] = []
        for number in range(count := bits.ue()):
            self.sets.append(_read_set(bits, number, count, self.sets))
        self._read_long_term(bits)
        self.temporal_prediction = bits.flag()

    def _read_long_term(self, bits: BitReader) -> None:
        self.long_term = bits.flag()
        self.long_term_used: list[bool] = []
        for _ in range(bits.ue() if self.long_term else 0):
            bits.u(self.order_count_bits)
            self.long_term_used.append(bits.flag())


def _bits_for(values: int) -> int:
    """Ceil(Log2(values))."""
    return max(0, values - 1).bit_length()


def _skip_profile(bits: BitReader, sub_layers: int) -> None:
    """§7.3.3."""
    bits.u(96)
    present = [(bits.flag(), bits.flag()) for _ in range(sub_layers)]
    if sub_layers:
        bits.u(2 * (8 - sub_layers))
    for has_profile, has_level in present:
        bits.u(88 * has_profile + 8 * has_level)


def _skip_scaling_lists(bits: BitReader) -> None:
    """§7.3.4."""
    for size in range(4):
        for _ in range(2 if size == 3 else 6):
            if not bits.flag():
                bits.ue()
            else:
                bits.skip_ue((size > 1) + min(64, 1 << (4 + 2 * size)))


def _read_set(bits: BitReader, number: int, count: int, known: list[ReferenceSet]) -> ReferenceSet:
    """§7.3.7, with the derivation of §7.4.8."""
    if number and bits.flag():
        back = bits.ue() + 1 if number == count else 1
        sign = -1 if bits.flag() else 1
        shift = sign * (bits.ue() + 1)
        found = []
        for distance in [*(distance for distance, _ in known[number - back]), 0]:
            used = bits.flag()
            if used or bits.flag():
                found.append((distance + shift, used))
        before = sorted((entry for entry in found if entry[0] < 0), reverse=True)
        return [*before, *sorted(entry for entry in found if entry[0] > 0)]
    counts = (bits.ue(), bits.ue())
    return [*_read_distances(bits, counts[0], -1), *_read_distances(bits, counts[1], 1)]


def _read_distances(bits: BitReader, count: int, sign: int) -> ReferenceSet:
    found, distance = [], 0
    for _ in range(count):
        distance += sign * (bits.ue() + 1)
        found.append((distance, bits.flag()))
    return found


class _Picture:
    """What a picture parameter set says about them (§7.3.2.3)."""

    def __init__(self, unit: bytes) -> None:
        bits = BitReader(unit, 2)
        bits.skip_ue(2)
        self.dependent_slices = bits.flag()
        self.output_flag = bits.flag()
        self.extra_bits = bits.u(3)
        bits.u(1)
        self.cabac_init = bits.flag()
        self.references = (bits.ue() + 1, bits.ue() + 1)
        bits.se()
        bits.u(2)
        if bits.flag():
            bits.ue()
        bits.skip_ue(2)
        self.chroma_offsets = bits.flag()
        self.weighted = {P: bits.flag(), B: bits.flag()}
        bits.u(1)
        tiles, wavefronts = bits.flag(), bits.flag()
        self.entry_points = tiles or wavefronts
        if tiles:
            _skip_tiles(bits)
        self.filter_across_slices = bits.flag()
        self._read_deblocking(bits)
        if bits.flag():
            _skip_scaling_lists(bits)
        self.lists_can_change = bits.flag()
        bits.ue()
        self.header_extension = bits.flag()

    def _read_deblocking(self, bits: BitReader) -> None:
        self.deblocking_override = self.deblocking_disabled = False
        if bits.flag():
            self.deblocking_override, self.deblocking_disabled = bits.flag(), bits.flag()
            if not self.deblocking_disabled:
                bits.skip_ue(2)


def _skip_tiles(bits: BitReader) -> None:
    columns, rows = bits.ue(), bits.ue()
    if not bits.flag():
        bits.skip_ue(columns + rows)
    bits.u(1)


@dataclass
class _Slice:
    """What the beginning of a header says about the rest of it."""

    type: int = 2
    usable: int = 0
    temporal_prediction: bool = False
    offset_filter: bool = False


class Headers:
    def __init__(self, sequence: bytes, picture: bytes) -> None:
        self._sequence = _Sequence(sequence)
        self._picture = _Picture(picture)

    def header_bytes(self, unit: bytes) -> int | None:
        """None for a unit that is no slice."""
        kind = unit[0] >> 1 & 0x3F
        if kind not in SLICES:
            return None
        bits = BitReader(unit, 2)
        self._read(bits, kind)
        bits.u(1)  # Alignment: a one, and zeros to the end of its byte.
        return bits.next_byte

    def _read(self, bits: BitReader, kind: int) -> None:
        """§7.3.6.1."""
        picture = self._picture
        is_first = bits.flag()
        if kind in RANDOM_ACCESS:
            bits.u(1)
        bits.ue()
        is_dependent = not is_first and picture.dependent_slices and bits.flag()
        if not is_first:
            bits.u(self._sequence.address_bits)
        if not is_dependent:
            self._read_independent(bits, kind)
        if picture.entry_points and (count := bits.ue()):
            bits.u((bits.ue() + 1) * count)
        if picture.header_extension:
            bits.u(8 * bits.ue())

    def _read_independent(self, bits: BitReader, kind: int) -> None:
        sequence, picture = self._sequence, self._picture
        bits.u(picture.extra_bits)
        found = _Slice(type=bits.ue())
        bits.u(picture.output_flag + 2 * sequence.separate_planes)
        if kind not in IDR:
            self._read_references(bits, found)
        if sequence.sample_adaptive_offset:
            flags = [bits.flag() for _ in range(1 + sequence.has_chroma)]
            found.offset_filter = any(flags)
        if found.type in {P, B}:
            self._read_prediction(bits, found)
        bits.se()
        if picture.chroma_offsets:
            bits.skip_ue(2)
        self._read_filters(bits, found)

    def _read_references(self, bits: BitReader, found: _Slice) -> None:
        """Which pictures there are to refer to, and how many of them this one may use."""
        sequence = self._sequence
        bits.u(sequence.order_count_bits)
        sets = sequence.sets
        is_known = bits.flag()
        chosen = sets[bits.u(_bits_for(len(sets)))] if is_known else _read_set(bits, len(sets), len(sets), sets)
        found.usable = sum(used for _, used in chosen)
        if sequence.long_term:
            found.usable += self._long_term_used(bits)
        found.temporal_prediction = sequence.temporal_prediction and bits.flag()

    def _long_term_used(self, bits: BitReader) -> int:
        known = self._sequence.long_term_used
        listed = bits.ue() if known else 0
        used = 0
        for number in range(listed + bits.ue()):
            if number < listed:
                used += known[bits.u(_bits_for(len(known)))]
            else:
                bits.u(self._sequence.order_count_bits)
                used += bits.flag()
            if bits.flag():
                bits.ue()
        return used

    def _read_prediction(self, bits: BitReader, found: _Slice) -> None:
        picture, is_b = self._picture, found.type == B
        first, second = picture.references
        if bits.flag():
            first = bits.ue() + 1
            second = bits.ue() + 1 if is_b else second
        counts = [first, second] if is_b else [first]
        if picture.lists_can_change and found.usable > 1:
            for count in counts:
                bits.u(count * _bits_for(found.usable) if bits.flag() else 0)
        if is_b:
            bits.u(1)
        if picture.cabac_init:
            bits.u(1)
        if found.temporal_prediction:
            from_first = not is_b or bits.flag()
            if (first if from_first else second) > 1:
                bits.ue()
        if picture.weighted[found.type]:
            _skip_weights(bits, counts, has_chroma=self._sequence.has_chroma)
        bits.ue()

    def _read_filters(self, bits: BitReader, found: _Slice) -> None:
        picture = self._picture
        disabled = picture.deblocking_disabled
        if picture.deblocking_override and bits.flag():
            disabled = bits.flag()
            if not disabled:
                bits.skip_ue(2)
        if picture.filter_across_slices and (found.offset_filter or not disabled):
            bits.u(1)


def _skip_weights(bits: BitReader, counts: list[int], *, has_chroma: bool) -> None:
    """§7.3.6.3."""
    bits.skip_ue(1 + has_chroma)
    for count in counts:
        luma = [bits.flag() for _ in range(count)]
        chroma = [has_chroma and bits.flag() for _ in range(count)]
        for has_luma_weight, has_chroma_weight in zip(luma, chroma, strict=True):
            bits.skip_ue(2 * has_luma_weight + 4 * has_chroma_weight)
