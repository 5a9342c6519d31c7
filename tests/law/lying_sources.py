"""A source for every seed: some material in some container, with some lies. The same seed makes the same bytes."""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from fractions import Fraction
from functools import partial
from random import Random

import mutations as lies
from avi import avi
from film import Film
from flash_video import flash_video
from iso_media import iso_media
from material import PCM, RATES, VARIABLE, Making, material
from matroska import matroska
from mpeg_systems import program_stream, transport_stream

ANY = (
    lies.sound_begins_late, lies.sound_begins_early, lies.begins_in_a_gop, lies.last_picture_stays, lies.badly_interleaved
)  # fmt: skip
GAPS = (lies.pictures_lost, lies.packets_lost, lies.all_lost, lies.sound_lost)
LEAPS = (
    lies.resets,
    lies.resets_twice,
    lies.resets_within_a_gop,
    lies.leaps_an_hour,
    lies.leaps_ahead,
    lies.falls_back,
)
STRAYS = (lies.strays, lies.sound_strays)
UNTIMED = (lies.one_untimed, lies.some_untimed, lies.many_untimed, lies.sound_untimed)

FULL = (Fraction(25), Fraction(30000, 1001), Fraction(60))
"""What MPEG-2 has a number for."""
STEADY = tuple(rate for rate in RATES if rate != VARIABLE)


@dataclass(frozen=True)
class Container:
    write: Callable[[Film], bytes]
    pictures: tuple[str, ...]
    sounds: tuple[str, ...]
    lies: tuple[lies.Lie, ...]
    elementary: bool = False
    rates: tuple[Fraction, ...] = RATES
    has_times: bool = True


_mpeg = partial(Container, elementary=True)
_late = (lies.begins_late,)
_iso = (lies.begins_late, lies.begins_below_zero, lies.strays)

IN_ORDER = {lies.null_frames, lies.ends_in_null_frames}
"""A chunk of no bytes among reordered pictures could stand for any of them."""
UNTIMED_PICTURES = {lies.one_untimed, lies.some_untimed, lies.many_untimed}
"""Of a variable frame rate nobody could say when they are to be shown."""
HOLES_IN_SOUND = {lies.all_lost, lies.sound_lost, lies.sound_strays}
"""FFmpeg's muxer of MOV closes them where sound is not coded."""

CONTAINERS = {
    "ts": _mpeg(
        transport_stream,
        ("h264-b", "h264", "hevc-b", "mpeg2-b", "mpeg2", "mpeg4"),
        ("aac", "mp2", "ac3", "mp3"),
        (*ANY, *GAPS, *LEAPS, *STRAYS, *UNTIMED, *_late, lies.wraps, lies.changes_pids, lies.torn),
    ),
    "ps": _mpeg(
        program_stream,
        ("mpeg2-b", "mpeg2", "h264-b"),
        ("mp2", "ac3"),
        (*ANY, *GAPS, *LEAPS, *STRAYS, *UNTIMED, *_late, lies.wraps),
    ),
    "flv": Container(flash_video, ("h264-b", "h264"), ("aac", "mp3"), (*ANY, *GAPS, *LEAPS, *STRAYS, *_late)),
    "mkv": Container(
        matroska,
        ("h264-b", "vp9", "hevc-b", "mpeg2-b", "mpeg4-b", "mjpeg"),
        ("aac", "opus", "mp3", "ac3", "flac", "mp2", "pcm_s16le"),
        (*ANY, *GAPS, *LEAPS, *STRAYS, *_late),
    ),
    "mp4": Container(
        partial(iso_media, kind="mp4"),
        ("h264-b", "hevc-b", "h264", "vp9", "mpeg4-b"),
        ("aac", "mp3", "ac3", "opus"),
        (*ANY, *GAPS, *_iso),
    ),
    "fmp4": Container(
        partial(iso_media, kind="mp4", fragmented=True),
        ("h264-b", "hevc-b", "vp9"),
        ("aac", "opus"),
        (*ANY, *GAPS, *_late),
    ),
    "mov": Container(
        partial(iso_media, kind="mov"), ("h264-b", "mjpeg", "mpeg4"), ("pcm_s16le", "aac"), (*ANY, *GAPS, *_iso)
    ),
    "avi": Container(
        avi,
        ("mpeg4", "h264", "mjpeg", "mpeg4-b", "h264-b"),
        ("mp3", "pcm_s16le", "ac3"),
        (*ANY, lies.null_frames, lies.ends_in_null_frames),
        elementary=True,
        rates=STEADY,
        has_times=False,
    ),
}


@dataclass(frozen=True)
class LyingSource:
    """`film` is the truth. `has_times`: whether the container says when a picture is shown, or only how many there are."""

    name: str
    container: str
    making: Making
    film: Film
    told: tuple[str, ...]
    content: bytes
    has_times: bool

    def __str__(self) -> str:
        making = self.making
        rate = "variable" if making.rate == VARIABLE else f"{float(making.rate):.2f}"
        return (
            f"{self.name}: {making.pictures} + {making.sound} in {self.container}, {rate} pictures a second, "
            f"GOPs of {making.gop}; {'; '.join(self.told)}"
        )


def control(container: str, pictures: str, sound: str, rate: Fraction = Fraction(25)) -> LyingSource:
    making = Making(pictures, sound, rate, elementary=CONTAINERS[container].elementary)
    return _made(f"{container}-{pictures}-{sound}", container, making, [lies.honest], Random(0))


def one_lie(container: str, lie: lies.Lie, seed: int) -> LyingSource:
    """Five seconds, of 60 pictures each at no time: there are a hundred of these."""
    chance = Random(f"{container} {lie.__name__} {seed}")
    making = _making(container, [lie], chance)
    short = replace(making, seconds=5, rate=Fraction(25) if making.rate == 60 else making.rate)
    return _made(f"{container}:{lie.__name__}:{seed}", container, short, [lie], chance)


BESIDE_UNTIMED = {
    lies.begins_late,
    lies.sound_begins_late,
    lies.sound_begins_early,
    lies.badly_interleaved,
}
"""Where only key frames have times, nobody can say when a clock was set back, or what is missing, between two of them."""


BEHIND_AN_EDIT = {lies.all_lost, lies.pictures_lost, lies.begins_in_a_gop}
"""Where nothing is left at the moment that an edit list begins with, FFmpeg moves the picture and not the sound."""


def some_lies(seed: int) -> LyingSource:
    """One to three lies, in a container and codecs that can hold them."""
    chance = Random(seed)
    container = chance.choice(list(CONTAINERS))
    chosen = chance.sample(CONTAINERS[container].lies, chance.choice([1, 1, 2, 2, 3]))
    if lies.many_untimed in chosen:
        chosen = [lie for lie in chosen if lie is lies.many_untimed or lie in BESIDE_UNTIMED]
    if container == "fmp4" and lies.begins_late in chosen:
        chosen = [lies.begins_late]  # FFmpeg's muxer keeps no clock of a fragmented film whose tracks begin apart.
    if lies.begins_below_zero in chosen:
        chosen = [lie for lie in chosen if lie not in BEHIND_AN_EDIT]
    return _made(f"seed {seed}", container, _making(container, chosen, chance), chosen, chance)


def _making(container: str, chosen: list[lies.Lie], chance: Random) -> Making:
    kind = CONTAINERS[container]
    pictures = chance.choice([p for p in kind.pictures if not (p.endswith("-b") and IN_ORDER.intersection(chosen))])
    holes = container == "mov" and HOLES_IN_SOUND.intersection(chosen)
    sound = chance.choice([s for s in kind.sounds if not (s == PCM and holes)])
    rates = FULL if pictures.startswith("mpeg2") else kind.rates
    if UNTIMED_PICTURES.intersection(chosen):
        rates = tuple(rate for rate in rates if rate != VARIABLE)
    return Making(
        pictures=pictures,
        sound=sound,
        rate=chance.choice(rates),
        gop=chance.choice([8, 15, 15, 25, 50]),
        seconds=chance.choice([5, 6]),
        elementary=kind.elementary,
    )


def _made(name: str, container: str, making: Making, chosen: list[lies.Lie], chance: Random) -> LyingSource:
    film, told = material(making), []
    for lie in chosen:
        with suppress(lies.CannotBeTold):
            lied, words = lie(film, chance)
            lies.check_clocks(lied)
            film = lied
            told.append(words)
    kind = CONTAINERS[container]
    write = partial(transport_stream, new_pids=True) if lies.changes_pids in chosen else kind.write
    return LyingSource(name, container, making, film, tuple(told), write(film), kind.has_times)
