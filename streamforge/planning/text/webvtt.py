"""WebVTT (W3C, https://www.w3.org/TR/webvtt1/): cues as a file, and the proof that a file is one."""

import itertools
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

TIMESTAMP_MAP = "X-TIMESTAMP-MAP=MPEGTS:0,LOCAL:00:00:00.000"
"""RFC 8216 §3.5. Our media's time 0 is that of the cues, in HLS as in DASH, whose players pass this line over."""

_TIME = r"(\d{2,}):([0-5]\d):([0-5]\d)\.(\d{3})"
_TIMING = re.compile(rf"{_TIME} --> {_TIME}")
_TAG = re.compile(rf"<{_TIME}>")
_ESCAPED = re.compile(r"&(amp|lt|gt);")


@dataclass(frozen=True)
class Cue:
    """`text` is cue text (§4.2): escaped, lines separated by one line feed, at most timestamp tags in it. Times in ms."""

    start_ms: int
    end_ms: int
    text: str


def timestamp(ms: int) -> str:
    return f"{ms // 3_600_000:02}:{ms // 60_000 % 60:02}:{ms // 1000 % 60:02}.{ms % 1000:03}"


def escaped(text: str) -> str:
    """Plain text as cue text. Escaping `>` as well makes `-->` impossible."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def webvtt(cues: Iterable[Cue], *, timestamp_map: bool = True) -> str:
    """Cues in the order of their times, as a file. `timestamp_map`: with the line that HLS wants of a media segment."""
    blocks = [f"WEBVTT\n{TIMESTAMP_MAP}" if timestamp_map else "WEBVTT"]
    blocks += [f"{timestamp(cue.start_ms)} --> {timestamp(cue.end_ms)}\n{cue.text}" for cue in cues]
    return "\n\n".join(blocks) + "\n"


def read_webvtt(text: str) -> list[Cue]:
    """The cues of a file as `webvtt` writes them. Raises ValueError, quoting the block that is not well-formed: times
    that go back, an empty cue, markup that is not ours."""
    header, *blocks = text.removesuffix("\n").split("\n\n")
    if header.split("\n")[0] != "WEBVTT" or "-->" in header:
        raise ValueError(f"not a WebVTT file: {header[:80]!r}")
    cues = [_cue(block) for block in blocks]
    for before, after in itertools.pairwise(cues):
        if after.start_ms < before.start_ms:
            raise ValueError(f"a cue at {timestamp(after.start_ms)} comes after one at {timestamp(before.start_ms)}")
    return cues


def _cue(block: str) -> Cue:
    timing, _, text = block.partition("\n")
    found = _TIMING.fullmatch(timing)
    if found is None or not text or "\n\n" in text or "-->" in text:
        raise ValueError(f"not a cue: {block[:80]!r}")
    cue = Cue(_ms(found.groups()[:4]), _ms(found.groups()[4:]), text)
    marks = [cue.start_ms, *_tags(text), cue.end_ms]
    if any(later <= earlier for earlier, later in itertools.pairwise(marks)):
        raise ValueError(f"times do not increase: {block[:80]!r}")
    shown = _TAG.sub("", text)
    if any(char in _ESCAPED.sub("", shown) for char in "&<>\r\0") or not shown.strip():
        raise ValueError(f"not well-formed cue text: {block[:80]!r}")
    return cue


def _tags(text: str) -> Iterator[int]:
    """Times of the timestamp tags (§4.2.2)."""
    return (_ms(found.groups()) for found in _TAG.finditer(text))


def _ms(parts: tuple[str, ...]) -> int:
    hours, minutes, seconds, ms = map(int, parts)
    return ((hours * 60 + minutes) * 60 + seconds) * 1000 + ms
