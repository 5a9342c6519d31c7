"""TTML, the subtitles in XML that MP4 holds as `stpp` (W3C TTML2; ISO/IEC 14496-30 §5): when what is said, as plain text."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from xml.etree import ElementTree as ET

MAX_DOCUMENT_BYTES = 16 * 2**20
"""A film may have all of its subtitles in one; the talk of twelve hours is 2 MB."""

DEEPEST = 32
"""Elements inside of each other. A document has six or seven."""

TTML = "{http://www.w3.org/ns/ttml}"
PARAMETERS = "{http://www.w3.org/ns/ttml#parameter}"

_CLOCK = re.compile(r"(\d{2,6}):(\d\d):(\d\d(?:\.\d{1,9})?)(?::(\d{1,4}))?")
_OFFSET = re.compile(r"(\d{1,12}(?:\.\d{1,9})?)(h|ms|m|s|f|t)")


@dataclass(frozen=True)
class Said:
    """Seconds on the track's clock. `end` is infinite where nothing says when it goes."""

    begin: float
    end: float
    text: str


@dataclass(frozen=True)
class _Rates:
    """Of frames and ticks, a second (TTML2 §7.2)."""

    frames: float
    ticks: float


def read_ttml(document: bytes) -> list[Said]:
    """Every paragraph that has text. Raises ValueError for what is no TTML, and for one with a document type: entities can
    make gigabytes of a few bytes, and TTML needs none."""
    text = _decoded(document[:MAX_DOCUMENT_BYTES])
    if "<!DOCTYPE" in text:
        raise ValueError("a document type")
    try:
        root = ET.fromstring(text)  # noqa: S314 - nothing that it warns of is left: no entities, and a bounded size
    except ET.ParseError as error:
        raise ValueError(str(error)) from error
    return list(_said(root, _rates(root), 0.0, inf, DEEPEST))


def _decoded(document: bytes) -> str:
    is_wide = document[:2] in {b"\xff\xfe", b"\xfe\xff"}
    return document.decode("utf-16" if is_wide else "utf-8-sig")  # UnicodeDecodeError is a ValueError.


def _rates(root: ET.Element) -> _Rates:
    multiplier = re.fullmatch(r"(\d{1,6}) (\d{1,6})", root.get(f"{PARAMETERS}frameRateMultiplier", "1 1"))
    above, below = (int(multiplier[1]), int(multiplier[2])) if multiplier else (1, 1)
    nominal = _number(root.get(f"{PARAMETERS}frameRate")) or 30
    frames = nominal * above / below if above and below else nominal
    ticks = _number(root.get(f"{PARAMETERS}tickRate"))
    has_frames = root.get(f"{PARAMETERS}frameRate") is not None
    return _Rates(frames, ticks or (frames if has_frames else 1))


def _number(written: str | None) -> int:
    return int(written) if written is not None and re.fullmatch(r"\d{1,9}", written) else 0


def _said(element: ET.Element, rates: _Rates, begin: float, end: float, deeper: int) -> Iterator[Said]:
    """Times of an element count from the begin of what it is in, and end with it (timeContainer="par")."""
    begin, end = _interval(element, rates, begin, end)
    timed = [child for child in element.iter(f"{TTML}span") if _has_times(child)] if _is_paragraph(element) else []
    if (_is_paragraph(element) and not timed) or (element.tag == f"{TTML}span" and _has_times(element)):
        if text := _text(element):
            yield Said(begin, end, text)
    elif deeper:
        for child in element:
            yield from _said(child, rates, begin, end, deeper - 1)


def _is_paragraph(element: ET.Element) -> bool:
    return element.tag == f"{TTML}p"


def _has_times(element: ET.Element) -> bool:
    return element.get("begin") is not None


def _interval(element: ET.Element, rates: _Rates, begin: float, end: float) -> tuple[float, float]:
    starts, stops, lasts = (_seconds(element.get(name), rates) for name in ("begin", "end", "dur"))
    first = begin + (starts or 0)
    ends = [end, *([begin + stops] if stops is not None else []), *([first + lasts] if lasts is not None else [])]
    return first, min(ends)


def _seconds(written: str | None, rates: _Rates) -> float | None:
    """TTML2 §12.3.1; None where nothing is written that is a time."""
    written = (written or "").strip()
    if found := _CLOCK.fullmatch(written):
        hours, minutes, seconds, frames = found.groups()
        return int(hours) * 3600 + int(minutes) * 60 + float(seconds) + int(frames or 0) / rates.frames
    if found := _OFFSET.fullmatch(written):
        units = {"h": 3600, "m": 60, "s": 1, "ms": 0.001, "f": 1 / rates.frames, "t": 1 / rates.ticks}
        return float(found[1]) * units[found[2]]
    return None


def _text(element: ET.Element) -> str:
    """Line breaks are elements; those in the text are spaces, as all white space is."""
    pieces = "".join(_pieces(element, DEEPEST)).split("\n")
    return "\n".join(line for piece in pieces if (line := " ".join(piece.split())))


def _pieces(element: ET.Element, deeper: int) -> Iterator[str]:
    if element.tag == f"{TTML}br":
        yield "\n"
    elif element.tag in {f"{TTML}p", f"{TTML}span"} and deeper:
        yield (element.text or "").replace("\n", " ")
        for child in element:
            yield from _pieces(child, deeper - 1)
            yield (child.tail or "").replace("\n", " ")
