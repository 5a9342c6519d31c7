"""Which streams of a file are the film: its picture, and the sound that belongs to it.

The film is what moves. What a header says of its streams is a hint among others: a cover may be called the default, the
still beside a phone's film is larger than it, and each program of a broadcast has a picture and sounds of its own.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

MAX_NAMED = 5

PICTURE_CODECS = {"png", "mjpeg", "bmp", "webp"}
"""Of which one alone is a picture, and not a film of one."""

FEW_PICTURES = 12
SLOWEST_FILM = 0.5
"""Pictures a second. What has fewer is a row of stills, where something moves beside it."""

OUTNUMBERED = 10
"""Times as many pictures as a stream that is left out for having few, or for being short, has the stream that has most."""


@dataclass(frozen=True)
class Seen:
    """One stream, as its header and, once they are read, its packets describe it. `begin` and `seconds` say which time its
    packets cover, `programs` are the numbers of the programs it is in, `obstacle` is what stands against decoding it, if
    anything. Size is 0×0 for sound, and where nobody knows it yet."""

    index: int
    kind: Literal["video", "audio", "subtitle"]
    codec: str
    packets: int = 0
    begin: float = 0
    seconds: float = 0
    width: int = 0
    height: int = 0
    language: str | None = None
    is_default: bool = False
    is_cover: bool = False
    programs: frozenset[int] = frozenset()
    obstacle: str | None = None


@dataclass(frozen=True)
class Choice:
    """`sound` and `text` are what belongs to the film and can be decoded; without a film, whatever can be."""

    film: Seen | None
    sound: list[Seen]
    text: list[Seen]
    warnings: list[str]


def choose(streams: Sequence[Seen]) -> Choice:
    film = film_of(streams)
    sound = [each for each in streams if each.kind == "audio" and not each.obstacle and _goes_with(film, each)]
    text = [each for each in streams if each.kind == "subtitle" and _goes_with(film, each)]
    return Choice(film, sound, text, list(_left_out(streams, film)))


def film_of(streams: Sequence[Seen]) -> Seen | None:
    """Of what moves, what the file calls its default; the largest of several that are, or if none is; the first of
    equals. None where no picture can be decoded."""
    candidates = _candidates(streams)
    fullest = max(candidates, key=lambda each: each.packets, default=None)
    moving = [each for each in candidates if fullest is not None and not _is_secondary(each, fullest)]
    return max(moving, key=lambda each: (each.is_default, each.width * each.height), default=None)


def _pictures(streams: Sequence[Seen]) -> list[Seen]:
    return [each for each in streams if each.kind == "video" and not each.is_cover]


def _candidates(streams: Sequence[Seen]) -> list[Seen]:
    """A single picture beside sound is its cover, though nobody has marked it so."""
    pictures = [each for each in _pictures(streams) if not each.obstacle]
    has_sound = any(each.kind == "audio" and not each.obstacle for each in streams)
    return [each for each in pictures if not (has_sound and each.packets == 1 and each.codec in PICTURE_CODECS)]


def _is_secondary(stream: Seen, fullest: Seen) -> bool:
    """Whether it is a still, some stills, or a short clip beside the film."""
    outnumbered = stream.packets * OUTNUMBERED <= fullest.packets and fullest.packets > 0
    is_still = stream.packets <= FEW_PICTURES or stream.packets < stream.seconds * SLOWEST_FILM
    return outnumbered and (is_still or stream.seconds * OUTNUMBERED <= fullest.seconds)


def _goes_with(film: Seen | None, stream: Seen) -> bool:
    """Programs belong together; what is in none goes with all."""
    return film is None or not film.programs or not stream.programs or bool(film.programs & stream.programs)


# ── what is said about the others ───────────────────────────────────────────────────────────────────────────────────
def _left_out(streams: Sequence[Seen], film: Seen | None) -> Iterator[str]:
    if film is not None:
        yield from _other_films([each for each in _pictures(streams) if not each.obstacle], film)
        yield from _other_programs(streams, film)
    for kind in ("video", "audio"):
        stuck = [each for each in streams if each.kind == kind and each.obstacle and not each.is_cover]
        yield from _undecodable([each for each in stuck if _goes_with(film, each)])


def _other_films(films: Sequence[Seen], film: Seen) -> Iterator[str]:
    """What a viewer would miss. Cover art, timecode, data and attachments are none."""
    others = [each for each in films if each.index != film.index]
    if others and all(_takes_over(each, film) for each in others):
        ends = f"{_numbered(film)} ends at {film.seconds:.1f} s"
        yield f"The picture goes on in another stream when {ends}; that, {_named(others)}, is left out."
    elif others:
        used = f"{_numbered(film)} is used, {_named(others)} left out"
        yield f"The file has {len(films)} video streams; {used}."


def _takes_over(stream: Seen, film: Seen) -> bool:
    """As in a broadcast whose streams get other numbers on the way."""
    return stream.packets > FEW_PICTURES and stream.begin > film.begin + film.seconds - 1


def _other_programs(streams: Sequence[Seen], film: Seen) -> Iterator[str]:
    others = [each for each in streams if each.kind != "video" and not _goes_with(film, each)]
    if others:
        count = len({number for each in streams for number in each.programs})
        yield f"The file has {count} programs; of those that the video is not in, {_named(others)} left out, too."


def _undecodable(stuck: Sequence[Seen]) -> Iterator[str]:
    for each in stuck[:MAX_NAMED]:
        yield f"The {each.kind} track {_numbered(each)} is left out: {each.obstacle}."
    if (more := len(stuck) - MAX_NAMED) > 0:
        yield f"{more} more {stuck[0].kind} {'tracks' if more > 1 else 'track'} cannot be decoded."


def _named(streams: Sequence[Seen]) -> str:
    more = " and more" if len(streams) > MAX_NAMED else ""
    return ", ".join(_numbered(each) for each in streams[:MAX_NAMED]) + more


def _numbered(stream: Seen) -> str:
    size = [f"{stream.width}×{stream.height}"] if stream.width and stream.height else []
    about = size if size and not stream.obstacle else [stream.codec, *size]
    return f"number {stream.index} ({', '.join([*about, *([stream.language] if stream.language else [])])})"


def why_no_picture(streams: Sequence[Seen]) -> str | None:
    """The sentence for a file that has video, of which none can be decoded. None where it has no video."""
    stuck = next((each for each in _pictures(streams) if each.obstacle), None)
    return f"The video in this file, {_numbered(stuck)}, cannot be decoded: {stuck.obstacle}." if stuck else None


def why_no_sound(streams: Sequence[Seen]) -> str | None:
    """The same for sound."""
    stuck = next((each for each in streams if each.kind == "audio" and each.obstacle), None)
    return f"The sound in this file, {_numbered(stuck)}, cannot be decoded: {stuck.obstacle}." if stuck else None
