"""Bits of a NAL unit, as H.264 and HEVC write their headers."""

from streamforge.errors import OutputInvalid


class BitReader:
    """Reads a NAL unit from `begin` on, and knows where in the unit it is: an encoder puts a byte of 3 behind two zeros
    wherever they could be taken for the start of another unit, and those bytes are skipped (ITU-T H.264 §7.4.1)."""

    def __init__(self, unit: bytes, begin: int) -> None:
        self._bytes: list[int] = []
        self._places: list[int] = []
        self._at = 0
        zeros = 0
        for place, byte in enumerate(unit[begin:], start=begin):
            if zeros >= 2 and byte == 3:
                zeros = 0
                continue
            zeros = zeros + 1 if byte == 0 else 0
            self._bytes.append(byte)
            self._places.append(place)

    @property
    def next_byte(self) -> int:
        """Where in the unit the first whole byte begins that nothing was read of yet."""
        at = (self._at + 7) // 8
        return self._places[at] if at < len(self._places) else self._places[-1] + 1

    def u(self, bits: int) -> int:
        """u(n): an unsigned number. Raises OutputInvalid behind the end."""
        value = 0
        for _ in range(bits):
            byte, bit = divmod(self._at, 8)
            if byte >= len(self._bytes):
                raise OutputInvalid("An encoder wrote a header that does not end.")
            value = value << 1 | self._bytes[byte] >> (7 - bit) & 1
            self._at += 1
        return value

    def flag(self) -> bool:
        return bool(self.u(1))

    def ue(self) -> int:
        """ue(v): an unsigned Exp-Golomb code."""
        zeros = 0
        while not self.flag():
            zeros += 1
        return (1 << zeros) - 1 + self.u(zeros)

    def se(self) -> int:
        """se(v): a signed one."""
        code = self.ue()
        return (code + 1) // 2 if code % 2 else -(code // 2)

    def skip_ue(self, count: int) -> None:
        for _ in range(count):
            self.ue()
