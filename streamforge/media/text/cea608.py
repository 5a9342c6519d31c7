"""Closed captions as analogue television had them (CEA-608, 47 CFR §15.119), read off the pairs of bytes of line 21.

They come as cc_data (CEA-708 §4.4): three bytes for each pair, of which the first says whether it is valid and which field
it is from. Each field has two channels: CC1 and CC2, CC3 and CC4. Colours, positions and italics go, the text stays.
"""

from collections.abc import Iterator
from dataclasses import dataclass

ROWS, COLUMNS = 15, 32

LONGEST_SECONDS = 16.0
"""What nobody erases goes after that time (CEA-608 §C.9)."""

LINE_21_SECONDS = 1001 / 30_000

VALID = 0x04
FIELD_1, FIELD_2 = 0xFC, 0xFD
"""The first byte of a triple, where it is valid."""

CAPTION_COMMANDS = {0x20, 0x25, 0x26, 0x27, 0x29}
"""Each begins captions, of the kinds pop-on, roll-up (of 2, 3 and 4 rows) and paint-on."""

_BASIC = {0x2A: "á", 0x5C: "é", 0x5E: "í", 0x5F: "ó", 0x60: "ú", 0x7B: "ç", 0x7C: "÷", 0x7D: "Ñ", 0x7E: "ñ", 0x7F: "█"}
_SPECIAL = "®°½¿™¢£♪à èâêîôû"
_EXTENDED = {
    0x12: "ÁÉÓÚÜü‘¡*'—©℠•“”ÀÂÇÈÊËëÎÏïÔÙùÛ«»",
    0x13: "ÃãÍÌìÒòÕõ{}\\^_|~ÄäÖöß¥¤│ÅåØø┌┐└┘",
}
_ROWS = {
    0x10: (11, 11),
    0x11: (1, 2),
    0x12: (3, 4),
    0x13: (12, 13),
    0x14: (14, 15),
    0x15: (5, 6),
    0x16: (7, 8),
    0x17: (9, 10),
}

MARK = b"GA94\x03"
SEI, MPEG2_USER_DATA = b"\xb5\x00\x31" + MARK, b"\x00\x00\x01\xb2" + MARK
DVD_USER_DATA = b"\x00\x00\x01\xb2CC\x01\xf8"
"""What cc_data stands behind (ATSC A/53 part 4 §6.2.3): in messages of H.264, HEVC and AV1, and between the pictures of
MPEG-2. No byte of it has to be escaped: after two zeros comes the first byte of a triple, which is at least F8.
DVDs have a form of their own."""


@dataclass(frozen=True)
class Caption:
    """Times in seconds."""

    start: float
    end: float
    text: str


# ── where it is found ───────────────────────────────────────────────────────────────────────────────────────────────
def cc_data(packet: bytes) -> bytes:
    """All that a video packet holds; empty where there is none."""
    if MARK in packet:
        return b"".join(_held(packet, SEI)) or b"".join(_held(packet, MPEG2_USER_DATA))
    return b"".join(_of_dvd(packet)) if DVD_USER_DATA in packet else b""


def _held(packet: bytes, mark: bytes) -> Iterator[bytes]:
    for at in _behind(packet, mark):
        count = packet[at] & 0x1F if at < len(packet) and packet[at] & 0x40 else 0
        yield packet[at + 2 : at + 2 + 3 * count]


def _of_dvd(packet: bytes) -> Iterator[bytes]:
    """That of a whole GOP, before its first picture: a byte says for how many pictures, and whether there is a field more;
    each pair of bytes has one before it of which the last bit is set for the first field."""
    for at in _behind(packet, DVD_USER_DATA):
        count = (packet[at] & 0x3E) + (packet[at] & 1) if at < len(packet) else 0
        for pair in range(at + 1, min(at + 1 + 3 * count, len(packet) - 2), 3):
            yield bytes([FIELD_1 if packet[pair] & 1 else FIELD_2]) + packet[pair + 1 : pair + 3]


def _behind(packet: bytes, mark: bytes) -> Iterator[int]:
    at = packet.find(mark)
    while at >= 0:
        yield at + len(mark)
        at = packet.find(mark, at + len(mark))


def spread(data: bytes) -> Iterator[tuple[float, bytes]]:
    """Each triple of line 21, and how many seconds after the first of its field it is to be read: line 21 has room for one
    in each picture."""
    before = [0, 0]
    for field, first, second in _pairs(data):
        yield before[field] * LINE_21_SECONDS, bytes([FIELD_2 if field else FIELD_1, first, second])
        before[field] += 1


def channels(data: bytes) -> set[int]:
    """In which of the channels 1 to 4 captions begin here."""
    return {
        1 + 2 * field + (first >> 3 & 1)
        for field, first, second in _pairs(data)
        if first & 0x76 == 0x14 and second in CAPTION_COMMANDS
    }


def _pairs(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Field 0 or 1, and two bytes without their parity."""
    for at in range(0, len(data) - 2, 3):
        kind = data[at]
        if kind & VALID and kind & 3 < 2:
            yield kind & 3, data[at + 1] & 0x7F, data[at + 2] & 0x7F


# ── what it says ────────────────────────────────────────────────────────────────────────────────────────────────────
class Memory:
    """What is, or will be, on the screen: characters by row and column."""

    def __init__(self) -> None:
        self._rows: dict[int, dict[int, str]] = {}

    def put(self, row: int, column: int, char: str) -> None:
        self._rows.setdefault(row, {})[column] = char

    def delete(self, row: int, first: int, last: int = COLUMNS) -> None:
        for column in range(first, last):
            self._rows.get(row, {}).pop(column, None)

    def roll(self, base: int, depth: int) -> None:
        """Everything up by one row; `depth` of them, down to `base`, are to be seen."""
        self._rows = {row - 1: chars for row, chars in self._rows.items() if base - depth + 1 < row <= base}

    def clear(self) -> None:
        self._rows = {}

    def text(self) -> str:
        lines = (
            "".join(chars.get(column, " ") for column in range(COLUMNS)) for _, chars in sorted(self._rows.items())
        )
        return "\n".join(stripped for line in lines if (stripped := " ".join(line.split())))


class CaptionReader:
    """Takes the cc_data of a film in the order of its pictures; has the captions of one channel, 1 to 4."""

    def __init__(self, channel: int) -> None:
        self._field, self._second = divmod(channel - 1, 2)
        self._shown, self._hidden = Memory(), Memory()
        self._mode: int | None = None
        self._is_ours = False
        self._row, self._column = ROWS, 0
        self._before: tuple[int, int] | None = None
        self._since: float | None = None
        self._now = 0.0
        self._done: list[Caption] = []

    def take(self, seconds: float, data: bytes) -> list[Caption]:
        """What is over by now."""
        self._now = seconds
        for field, first, second in _pairs(data):
            if field == self._field:
                self._take_pair(first, second)
        return self._taken()

    def finish(self) -> list[Caption]:
        """What is still on the screen, though nobody has erased it."""
        self._now = float("inf")
        self._tell()
        return self._taken()

    def _taken(self) -> list[Caption]:
        done, self._done = self._done, []
        return done

    def _take_pair(self, first: int, second: int) -> None:
        """Commands come twice, lest one be lost; what is below 10 hex is about programmes (XDS) until a command comes."""
        repeated, self._before = self._before == (first, second), None
        if 0x10 <= first < 0x20:
            if not repeated:
                self._before = (first, second)
                self._is_ours = first >> 3 & 1 == self._second
                if self._is_ours:
                    self._obey(first & 0x17, second)
        elif 0 < first < 0x10:
            self._is_ours = False
        elif self._is_ours:
            self._write(first)
            self._write(second)

    def _write(self, code: int) -> None:
        if code >= 0x20:
            self._put(_BASIC.get(code, chr(code)))

    def _put(self, char: str) -> None:
        if self._mode is None:
            return
        if self._memory is self._shown and self._since is None:
            self._since = self._now
        self._memory.put(self._row, min(self._column, COLUMNS - 1), char)
        self._column = min(self._column + 1, COLUMNS)

    @property
    def _memory(self) -> Memory:
        return self._hidden if self._mode == 0x20 else self._shown

    # ── commands ────────────────────────────────────────────────────────────────────────────────────────────────────
    def _obey(self, first: int, second: int) -> None:
        if second < 0x20:
            return
        if second >= 0x40:
            self._move(first, second)
        elif first in {0x14, 0x15}:
            self._control(second)
        elif first == 0x11:
            self._put(_SPECIAL[second - 0x30] if second >= 0x30 else " ")  # The latter changes a colour, as a space.
        elif first in _EXTENDED and self._mode:
            self._back()  # A letter that does without its accent stands before it, for old receivers.
            self._put(_EXTENDED[first][second - 0x20])
        elif first == 0x17 and 0x21 <= second <= 0x23:
            self._column = min(self._column + second - 0x20, COLUMNS - 1)

    def _move(self, first: int, second: int) -> None:
        """A preamble address code: a row, and an indent of so many times four columns. A roll-up begins anew in another
        row."""
        row = _ROWS[first][second >> 5 & 1]
        if self._depth and row != self._row:
            self._tell()
            self._erase()
        self._row = row
        self._column = (second & 0x0E) * 2 if second & 0x10 else 0

    @property
    def _depth(self) -> int:
        """Rows of a roll-up; 0 for anything else."""
        return self._mode - 0x23 if self._mode in {0x25, 0x26, 0x27} else 0

    def _control(self, code: int) -> None:
        match code:
            case _ if code in CAPTION_COMMANDS:
                self._begin(code)
            case 0x21 if self._mode:
                self._back()
            case 0x24 if self._mode:
                self._memory.delete(self._row, self._column)
            case 0x2A | 0x2B:
                self._mode = None  # Pages of text, which are no captions.
            case 0x2C:
                self._tell()
                self._erase()
            case 0x2D if self._depth:
                self._tell()
                self._shown.roll(self._row, self._depth)
                self._column = 0
            case 0x2E:
                self._hidden.clear()
            case 0x2F:
                self._flip()

    def _begin(self, mode: int) -> None:
        was_roll_up, self._mode = self._depth > 0, mode
        if self._depth and not was_roll_up:
            self._tell()
            self._erase()
            self._hidden.clear()
            self._row, self._column = ROWS, 0
        elif mode == 0x29:
            self._tell()

    def _back(self) -> None:
        self._column = max(0, self._column - 1)
        self._memory.delete(self._row, self._column, self._column + 1)

    def _flip(self) -> None:
        self._tell()
        self._shown, self._hidden = self._hidden, self._shown
        self._mode = 0x20
        self._since = self._now

    def _erase(self) -> None:
        self._shown.clear()
        self._since = None

    def _tell(self) -> None:
        """What is on the screen until now is a caption; what stays there begins another one."""
        text = self._shown.text()
        if self._since is not None and text:
            self._done.append(Caption(self._since, min(self._now, self._since + LONGEST_SECONDS), text))
        self._since = self._now if text else None
