"""What a subtitle packet says, as plain text: whatever its format, its styling and its encoding.

FFmpeg's own decoders are not used: they refuse a whole cue for one byte that is not UTF-8, and such files are common.
"""

import html
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from charset_normalizer import from_bytes

MAX_SAMPLE = 200_000
"""Bytes of a track by which its encoding is found out."""

ENOUGH = 64
"""Bytes that are not ASCII from which statistics say more than the track's language."""

LANGUAGE_ENCODINGS = {
    "be": ["cp1251"], "bg": ["cp1251"], "mk": ["cp1251"], "ru": ["cp1251", "koi8_r"], "sr": ["cp1251", "cp1250"],
    "uk": ["cp1251", "koi8_u"], "bs": ["cp1250"], "cs": ["cp1250"], "hr": ["cp1250"], "hu": ["cp1250"], "pl": ["cp1250"],
    "ro": ["cp1250"], "sk": ["cp1250"], "sl": ["cp1250"], "el": ["cp1253"], "tr": ["cp1254"], "he": ["cp1255"],
    "ar": ["cp1256"], "fa": ["cp1256"], "lt": ["cp1257"], "lv": ["cp1257"], "et": ["cp1257"], "th": ["cp874"],
    "vi": ["cp1258"], "ja": ["cp932", "euc_jp"], "zh": ["gb18030", "big5"], "ko": ["cp949"],
}  # fmt: skip
"""What people of a language wrote in before Unicode; everybody else in Windows-1252, Latin-1's superset."""

WESTERN = ["cp1252"]
WIDE = {b"\xff\xfe": "utf-16-le", b"\xfe\xff": "utf-16-be"}

_OVERRIDES = re.compile(r"\{[^}]*\}")
_DRAWING = re.compile(r"\\p(\d+)")
_TAGS = re.compile(r"</?[a-zA-Z][^<>]*>|<\d[\d:.]*>|</?>")
_POSITION = re.compile(r"\{\\[^}]*\}")


@dataclass(frozen=True)
class Decoded:
    """`repaired_from` names the encoding that was found where the bytes were no UTF-8; `lost` says that some of them
    could not be read in any."""

    texts: list[str]
    repaired_from: str | None = None
    lost: bool = False


# ── encodings ───────────────────────────────────────────────────────────────────────────────────────────────────────
def decode(payloads: Sequence[bytes], language: str | None) -> Decoded:
    """All cues of one track in the one encoding that fits them together. `language` is the track's, for a hint."""
    if (wide := _wide_encoding(payloads)) is not None:
        texts = [payload.decode(wide, errors="replace").removeprefix("\ufeff") for payload in payloads]
        return Decoded(texts, repaired_from=wide, lost=any("\ufffd" in text for text in texts))
    try:
        texts = [payload.decode("utf-8-sig") for payload in payloads]
    except UnicodeDecodeError:
        return _decoded_as_found(payloads, language)
    unmixed = _unmixed(texts)
    return Decoded(texts) if unmixed is None else Decoded(unmixed, repaired_from="UTF-8 encoded twice")


def _wide_encoding(payloads: Sequence[bytes]) -> str | None:
    """UTF-16, told by its mark, or by zeros; without a mark, by which order gives text from fewer blocks of Unicode."""
    if payloads and payloads[0][:2] in WIDE:
        return WIDE[payloads[0][:2]]
    if not any(b"\0" in payload for payload in payloads) or any(len(payload) % 2 for payload in payloads):
        return None
    sample = b"".join(payloads)[:MAX_SAMPLE]
    blocks = {wide: {ord(char) >> 8 for char in sample.decode(wide, errors="replace")} for wide in WIDE.values()}
    return min(blocks, key=lambda wide: len(blocks[wide]))


def _decoded_as_found(payloads: Sequence[bytes], language: str | None) -> Decoded:
    sample = b"\n".join(payloads)[:MAX_SAMPLE]
    for encoding in _candidates(sample, language):
        try:
            texts = [payload.decode(encoding) for payload in payloads]
        except UnicodeDecodeError:
            continue
        if not any(_is_control(char) for text in texts for char in text):
            return Decoded(texts, repaired_from=encoding)
    return Decoded([payload.decode("utf-8", errors="replace") for payload in payloads], lost=True)


def _candidates(sample: bytes, language: str | None) -> list[str]:
    """The track's language is believed before statistics where there is little to count."""
    usual = LANGUAGE_ENCODINGS.get((language or "").split("-")[0], WESTERN if language else [])
    found = [match.encoding for match in from_bytes(sample)]
    strange = sum(byte >= 0x80 for byte in sample)
    if strange < ENOUGH:
        likely = [encoding for encoding in found if encoding in usual]
        return [*likely, *usual, *found, *WESTERN]
    return [*found, *usual, *WESTERN]


def _is_control(char: str) -> bool:
    return (char < " " and char not in "\t\n\r\0") or "\x7f" <= char < "\xa0"


def _unmixed(texts: Sequence[str]) -> list[str] | None:
    """UTF-8 that somebody took for Windows-1252 and encoded again: `Ã©`. None unless all of it can be taken back, which
    does not happen to text by chance."""
    if not any("\xc2" <= char <= "\xf4" for text in texts for char in text):
        return None
    try:
        return [b"".join(map(_byte, text)).decode() for text in texts]
    except UnicodeError:
        return None


def _byte(char: str) -> bytes:
    """Windows-1252, with the five bytes it has no character for."""
    return char.encode("latin-1") if "\x80" <= char <= "\x9f" else char.encode("cp1252")


# ── formats ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def payload(codec: str, packet: bytes) -> bytes:
    """The text in a packet, in whatever encoding. MP4 puts its length before it and its styles behind it (3GPP TS 26.245)."""
    if codec == "mov_text":
        return packet[2 : 2 + int.from_bytes(packet[:2])]
    return packet


def plain(codec: str, text: str) -> str:
    """Lines of plain text, without markup, empty lines and characters that cannot be shown."""
    shown = READERS.get(codec, _as_it_is)(text.replace("\r\n", "\n").replace("\r", "\n"))
    lines = ("".join(char for char in line if char == "\t" or not _is_control(char)) for line in shown.split("\n"))
    return "\n".join(stripped for line in lines if (stripped := line.replace("\0", "").strip()))


def _as_it_is(text: str) -> str:
    return text


def _subrip(text: str) -> str:
    return _TAGS.sub("", _POSITION.sub("", text))


def _webvtt(text: str) -> str:
    return html.unescape(_TAGS.sub("", text))


def _ass(text: str) -> str:
    """ReadOrder, Layer, Style, Name, three margins, Effect, and then the text, in which drawings are no text."""
    spoken = text.split(",", 8)[-1]
    kept, drawing, at = "", False, 0
    for block in _OVERRIDES.finditer(spoken):
        kept += "" if drawing else spoken[at : block.start()]
        for scale in _DRAWING.findall(block.group()):
            drawing = int(scale) > 0
        at = block.end()
    kept += "" if drawing else spoken[at:]
    return kept.replace("\\N", "\n").replace("\\n", "\n").replace("\\h", " ")


READERS: dict[str, Callable[[str], str]] = {
    "subrip": _subrip,
    "srt": _subrip,
    "webvtt": _webvtt,
    "ass": _ass,
    "ssa": _ass,
}
