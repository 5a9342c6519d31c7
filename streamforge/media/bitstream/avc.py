"""Slice headers of H.264, as far as it takes to know where they end (ITU-T H.264 §7.3.2 and §7.3.3)."""

from streamforge.errors import OutputInvalid
from streamforge.media.bitstream.bits import BitReader

SLICE, IDR_SLICE = 1, 5
P, B, I, SP, SI = range(5)  # noqa: E741
PROFILES_WITH_CHROMA = {100, 110, 122, 244, 44, 83, 86, 118, 128, 138, 139, 134, 135}


class _Sequence:
    """What a sequence parameter set says about slice headers (§7.3.2.1.1)."""

    def __init__(self, unit: bytes) -> None:
        bits = BitReader(unit, 1)
        profile = bits.u(8)
        bits.u(16)
        bits.ue()
        self.separate_planes = False
        self.chroma_format = 1
        if profile in PROFILES_WITH_CHROMA:
            self._read_chroma(bits)
        self.frame_num_bits = bits.ue() + 4
        self._read_order_count(bits)
        bits.ue()
        bits.u(1)
        bits.skip_ue(2)
        self.frames_only = bits.flag()

    def _read_chroma(self, bits: BitReader) -> None:
        self.chroma_format = bits.ue()
        if self.chroma_format == 3:
            self.separate_planes = bits.flag()
        bits.skip_ue(2)
        bits.u(1)
        if bits.flag():
            for number in range(8 if self.chroma_format != 3 else 12):
                if bits.flag():
                    _skip_scaling_list(bits, 16 if number < 6 else 64)

    def _read_order_count(self, bits: BitReader) -> None:
        self.order_count_type = bits.ue()
        self.order_count_bits = 0
        self.delta_order_always_zero = True
        if self.order_count_type == 0:
            self.order_count_bits = bits.ue() + 4
        elif self.order_count_type == 1:
            self.delta_order_always_zero = bits.flag()
            bits.skip_ue(2)
            bits.skip_ue(bits.ue())


def _skip_scaling_list(bits: BitReader, size: int) -> None:
    last = following = 8
    for _ in range(size):
        if following:
            following = (last + bits.se()) % 256
        last = following or last


class _Picture:
    """What a picture parameter set says about them (§7.3.2.2)."""

    def __init__(self, unit: bytes) -> None:
        bits = BitReader(unit, 1)
        bits.skip_ue(2)
        self.cabac = bits.flag()
        self.order_count_of_fields = bits.flag()
        if bits.ue():
            raise OutputInvalid("An encoder uses slice groups, which cannot be protected.")
        self.references = (bits.ue() + 1, bits.ue() + 1)
        self.weighted = bits.flag()
        self.weighted_bipredictive = bits.u(2)
        bits.skip_ue(3)
        self.deblocking_control = bits.flag()
        bits.u(1)
        self.redundant_pictures = bits.flag()


class Headers:
    def __init__(self, sequence: bytes, picture: bytes) -> None:
        self._sequence = _Sequence(sequence)
        self._picture = _Picture(picture)

    def header_bytes(self, unit: bytes) -> int | None:
        """None for a unit that is no slice."""
        kind = unit[0] & 0x1F
        if kind not in {SLICE, IDR_SLICE}:
            return None
        bits = BitReader(unit, 1)
        self._read(bits, kind, is_reference=bool(unit[0] & 0x60))
        return bits.next_byte

    def _read(self, bits: BitReader, kind: int, *, is_reference: bool) -> None:
        """§7.3.3."""
        sequence, picture = self._sequence, self._picture
        bits.ue()
        slice_type = bits.ue() % 5
        bits.ue()
        self._read_place(bits, kind)
        if slice_type == B:
            bits.u(1)
        references = self._references(bits, slice_type)
        if slice_type not in {I, SI}:
            self._skip_list_changes(bits, 2 if slice_type == B else 1)
        if (picture.weighted and slice_type in {P, SP}) or (picture.weighted_bipredictive == 1 and slice_type == B):
            _skip_weights(bits, references, has_chroma=bool(sequence.chroma_format) and not sequence.separate_planes)
        if is_reference:
            _skip_marking(bits, kind)
        if picture.cabac and slice_type not in {I, SI}:
            bits.ue()
        bits.se()
        if slice_type in {SP, SI}:
            raise OutputInvalid("An encoder writes switching slices, which cannot be protected.")
        if picture.deblocking_control and bits.ue() != 1:
            bits.skip_ue(2)

    def _read_place(self, bits: BitReader, kind: int) -> None:
        """Which picture it is, and when it is shown."""
        sequence, picture = self._sequence, self._picture
        if sequence.separate_planes:
            bits.u(2)
        bits.u(sequence.frame_num_bits)
        is_field = False
        if not sequence.frames_only and bits.flag():
            is_field = True
            bits.u(1)
        if kind == IDR_SLICE:
            bits.ue()
        both_fields = picture.order_count_of_fields and not is_field
        if sequence.order_count_type == 0:
            bits.u(sequence.order_count_bits)
            if both_fields:
                bits.se()
        elif sequence.order_count_type == 1 and not sequence.delta_order_always_zero:
            bits.skip_ue(2 if both_fields else 1)
        if picture.redundant_pictures:
            bits.ue()

    def _references(self, bits: BitReader, slice_type: int) -> list[int]:
        """How many pictures each list that the slice has refers to."""
        lists = {B: 2, P: 1, SP: 1}.get(slice_type, 0)
        counts = list(self._picture.references[:lists])
        if lists and bits.flag():
            counts = [bits.ue() + 1 for _ in counts]
        return counts

    def _skip_list_changes(self, bits: BitReader, lists: int) -> None:
        """§7.3.3.1."""
        for _ in range(lists):
            if bits.flag():
                while bits.ue() != 3:
                    bits.ue()


def _skip_weights(bits: BitReader, references: list[int], *, has_chroma: bool) -> None:
    """§7.3.3.2."""
    bits.skip_ue(2 if has_chroma else 1)
    for count in references:
        for _ in range(count):
            if bits.flag():
                bits.skip_ue(2)
            if has_chroma and bits.flag():
                bits.skip_ue(4)


def _skip_marking(bits: BitReader, kind: int) -> None:
    """§7.3.3.3."""
    if kind == IDR_SLICE:
        bits.u(2)
    elif bits.flag():
        while operation := bits.ue():
            bits.skip_ue({1: 1, 2: 1, 3: 2, 4: 1, 6: 1}.get(operation, 0))
