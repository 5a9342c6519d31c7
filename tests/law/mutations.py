"""What recorders, networks and editors do to clocks. Each takes a film and gives it back with a lie in it, and says which.

None of them moves what a packet holds: `at` stays the truth, so the law needs no list of exceptions.
"""

from collections.abc import Callable
from dataclasses import replace
from itertools import chain, pairwise
from random import Random

from film import TICKS, Film, Packet, keys, seconds
from mpeg_systems import CLOCK, STARTS_AT

HOUR = 3600 * TICKS
HOLE = TICKS // 4
CLOSE = TICKS // 25
"""Packets that are this close follow each other: what is missing between them, if anything, is less than can be told."""
PAUSE = 2 * TICKS
"""A clock that leaps ahead by less might as well have been held."""
ENDS = 3
"""Pictures at the beginning, and at the end, whose times are right: nothing could say that they are wrong."""

Lie = Callable[[Film, Random], tuple[Film, str]]


class CannotBeTold(Exception):
    """This film has no place for such a lie: another one has taken it."""


# ── clocks of the whole file ────────────────────────────────────────────────────────────────────────────────────────
def begins_late(film: Film, chance: Random) -> tuple[Film, str]:
    offset = chance.choice([7 * TICKS, 100 * TICKS, 10 * HOUR, 20 * HOUR + 12_345])
    return _all(film, offset), f"the clock begins at {seconds(offset):.1f} s"


def wraps(film: Film, chance: Random) -> tuple[Film, str]:
    """The clock of 33 bits passes its end within the film."""
    at = _some_time(film, chance)
    return _all(film, CLOCK - STARTS_AT - at), f"the clock of 33 bits ends at {seconds(at):.2f} s"


# ── clocks that leap ────────────────────────────────────────────────────────────────────────────────────────────────
def resets(film: Film, chance: Random) -> tuple[Film, str]:
    """Two recordings, one behind the other: both clocks begin at the same value."""
    at = _key_time(film, chance)
    return _joined(film, at, -at), f"joined at {seconds(at):.2f} s, both clocks begin at the same value"


def resets_within_a_gop(film: Film, chance: Random) -> tuple[Film, str]:
    """The second recording was switched on while the film was running: its first pictures cannot be decoded."""
    at, gone = _key_time(film, chance), chance.randint(1, 4)
    joined, words = _joined(film, at, -at), f"joined at {seconds(at):.2f} s, both clocks begin at the same value"
    packets = joined.pictures.packets
    second = next(number for number, packet in enumerate(packets) if packet.part == packets[-1].part)
    kept = replace(joined.pictures, packets=packets[:second] + packets[second + gone :])
    return replace(joined, pictures=kept), f"{words}; the second one's first {gone} pictures are missing"


def resets_twice(film: Film, chance: Random) -> tuple[Film, str]:
    times = _key_times(film)
    if len(times) < 2:
        raise CannotBeTold
    first, second = sorted(chance.sample(times, 2))
    twice = _joined(_joined(film, first, -first), second, first - second)
    return twice, f"joined at {seconds(first):.2f} s and {seconds(second):.2f} s, all clocks begin at the same value"


def leaps_an_hour(film: Film, chance: Random) -> tuple[Film, str]:
    at = _key_time(film, chance)
    return _from(film, at, HOUR), f"at {seconds(at):.2f} s the clock leaps an hour ahead"


def leaps_ahead(film: Film, chance: Random) -> tuple[Film, str]:
    at, leap = _key_time(film, chance), chance.choice([2, 3, 8]) * TICKS
    return _from(film, at, leap), f"at {seconds(at):.2f} s the clock leaps {seconds(leap):.0f} s ahead"


def falls_back(film: Film, chance: Random) -> tuple[Film, str]:
    at, leap = _key_time(film, chance), chance.randrange(TICKS // 2, 2 * TICKS)
    return _joined(film, at, -leap), f"at {seconds(at):.2f} s the clock falls back by {seconds(leap):.2f} s"


def changes_pids(film: Film, chance: Random) -> tuple[Film, str]:
    at = _key_time(film, chance)
    return _joined(film, at, 0), f"at {seconds(at):.2f} s both PIDs change"


# ── single time stamps ──────────────────────────────────────────────────────────────────────────────────────────────
def strays(film: Film, chance: Random) -> tuple[Film, str]:
    """One to three pictures have a time far off, ahead or behind."""
    far = chance.choice([60 * TICKS, 7 * TICKS, -TICKS // 2])
    which = _some_pictures(film, chance, chance.randint(1, 3))
    told = film.with_pictures(lambda packet: replace(packet, stray=far) if packet.number in which else packet)
    return told, f"pictures {sorted(which)} carry a time that is {seconds(far):+.1f} s off"


def sound_strays(film: Film, chance: Random) -> tuple[Film, str]:
    which = set(chance.sample(range(len(film.sound.packets)), 2))
    told = [replace(p, stray=60 * TICKS) if n in which else p for n, p in enumerate(film.sound.packets)]
    at = [round(seconds(film.sound.packets[number].at), 2) for number in sorted(which)]
    return replace(film, sound=replace(film.sound, packets=tuple(told))), f"sound at {at} s carries a time 60 s off"


def one_untimed(film: Film, chance: Random) -> tuple[Film, str]:
    which = _some_pictures(film, chance, 1)
    return _untimed(film, which), f"picture {sorted(which)[0]} has no time"


def many_untimed(film: Film, chance: Random) -> tuple[Film, str]:
    """Only key frames have times: all that ISO 13818-1 asks of some recorders, who take 0.7 s very literally."""
    which = {packet.number for packet in film.pictures.packets if not packet.key}
    return _untimed(film, which), "only key frames have times"


def some_untimed(film: Film, chance: Random) -> tuple[Film, str]:
    which = _some_pictures(film, chance, len(film.pictures.packets) // 5)
    return _untimed(film, which), f"{len(which)} pictures have no time"


def sound_untimed(film: Film, chance: Random) -> tuple[Film, str]:
    """Every tenth packet of sound has a time."""
    packets = [replace(packet, untimed=number % 10 > 0) for number, packet in enumerate(film.sound.packets)]
    return replace(film, sound=replace(film.sound, packets=tuple(packets))), "nine of ten packets of sound have no time"


# ── what is not there ───────────────────────────────────────────────────────────────────────────────────────────────
def pictures_lost(film: Film, chance: Random) -> tuple[Film, str]:
    """All from a key frame to another one, so that none of the others is harmed."""
    first, second = _two_keys(film, chance)
    packets = film.pictures.packets
    kept = replace(film, pictures=replace(film.pictures, packets=packets[:first] + packets[second:]))
    return kept, f"pictures of {_span(packets[first].at, packets[second].at)} are lost"


def packets_lost(film: Film, chance: Random) -> tuple[Film, str]:
    """Few pictures anywhere, and with them what needed them."""
    which = _some_pictures(film, chance, chance.randint(1, 6))
    return replace(
        film, pictures=film.pictures.kept(lambda p: p.number not in which)
    ), f"pictures {sorted(which)} are lost"


def torn(film: Film, chance: Random) -> tuple[Film, str]:
    """Bad reception: packets of the transport are lost, of pictures, sound and tables alike."""
    places = frozenset(chance.sample(range(50, 950), chance.choice([1, 3, 10])))
    return replace(film, torn=places), f"{len(places)} transport packets are lost"


def all_lost(film: Film, chance: Random) -> tuple[Film, str]:
    """Nothing came through for a while, of pictures and sound alike."""
    first, second = _two_keys(film, chance)
    packets = film.pictures.packets
    begins, ends = packets[first].at, packets[second].at
    pictures = replace(film.pictures, packets=packets[:first] + packets[second:])
    sound = film.sound.kept(lambda packet: not begins <= packet.at < ends)
    return replace(film, pictures=pictures, sound=sound), f"all of {_span(begins, ends)} is lost"


def sound_lost(film: Film, chance: Random) -> tuple[Film, str]:
    first = _some_time(film, chance) - TICKS // 2
    second = first + chance.randrange(TICKS // 2, 2 * TICKS)
    kept = film.sound.kept(lambda packet: not first <= packet.at < second)
    return replace(film, sound=kept), f"sound of {_span(first, second)} is lost"


def sound_begins_late(film: Film, chance: Random) -> tuple[Film, str]:
    at = _some_time(film, chance)
    return replace(film, sound=film.sound.kept(lambda p: p.at >= at)), f"sound begins at {seconds(at):.2f} s"


def sound_begins_early(film: Film, chance: Random) -> tuple[Film, str]:
    first = chance.choice(_inner_keys(film))
    packets = film.pictures.packets[first:]
    shown = tuple(packet for packet in packets if packet.at >= packets[0].at)
    _check_ends(shown)
    return replace(
        film, pictures=replace(film.pictures, packets=shown)
    ), f"sound begins {seconds(packets[0].at):.2f} s before the pictures"


def begins_in_a_gop(film: Film, chance: Random) -> tuple[Film, str]:
    """Switched on while the film was running."""
    second = _inner_keys(film)[0]
    lost = chance.randrange(1, second)
    at = film.pictures.packets[lost].due
    pictures = replace(film.pictures, packets=film.pictures.packets[lost:])
    _check_ends(pictures.packets)
    sound = film.sound.kept(lambda packet: packet.at >= at)
    return replace(film, pictures=pictures, sound=sound), f"recorded from {seconds(at):.2f} s on, within a GOP"


def last_picture_stays(film: Film, chance: Random) -> tuple[Film, str]:
    """Sound goes on; where the container can say how long the last picture lasts, it lasts as long."""
    at = _some_time(film, chance)
    if not film.sound.packets:
        raise CannotBeTold
    over = film.sound.packets[-1].ends  # Sound that was lost at the end may be over before the picture is.
    kept = film.pictures.kept(lambda packet: packet.at < at).packets
    _check_ends(kept)
    last = max(kept, key=lambda packet: packet.at)
    stays = tuple(replace(p, lasts=max(p.lasts, over - p.at)) if p is last else p for p in kept)
    return replace(
        film, pictures=replace(film.pictures, packets=stays)
    ), f"the picture at {seconds(last.at):.2f} s is the last"


def null_frames(film: Film, chance: Random) -> tuple[Film, str]:
    """In AVI, a picture that does not change is a chunk of no bytes."""
    first, second = _two_keys(film, chance)
    return _null(film, first, second)


def ends_in_null_frames(film: Film, chance: Random) -> tuple[Film, str]:
    return _null(film, chance.choice(_inner_keys(film)), len(film.pictures.packets))


def _null(film: Film, first: int, second: int) -> tuple[Film, str]:
    null = film.pictures.packets[first:second]
    which = frozenset(packet.number for packet in null if packet.number is not None)
    return replace(film, null_frames=film.null_frames | which), f"null frames at {_span(null[0].at, null[-1].ends)}"


# ── what is hidden or out of place ──────────────────────────────────────────────────────────────────────────────────
def begins_below_zero(film: Film, chance: Random) -> tuple[Film, str]:
    """As phones and editors trim: an edit list hides the beginning, from within a GOP on."""
    at = film.pictures.packets[chance.randrange(3, len(film.pictures.packets) // 2)].at
    return replace(film, hidden_before=at), f"an edit list hides what is before {seconds(at):.2f} s"


def badly_interleaved(film: Film, chance: Random) -> tuple[Film, str]:
    """Sound lies in the file a second behind the pictures it belongs to. Its times are right."""
    late = chance.randrange(TICKS // 2, 3 * TICKS // 2)
    return replace(film, sound_behind=late), f"sound lies {seconds(late):.2f} s behind its pictures in the file"


def honest(film: Film, chance: Random) -> tuple[Film, str]:
    return film, "no lie"


# ── where ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def _length(film: Film) -> int:
    return max(packet.ends for packet in film.pictures.packets)


def _some_time(film: Film, chance: Random) -> int:
    first, last = film.pictures.packets[0].at + TICKS, _length(film) - TICKS
    if first >= last:
        raise CannotBeTold
    return chance.randrange(first, last)


def _inner_keys(film: Film) -> list[int]:
    """Where in decode order key frames are that have half a second before and behind them, and no hole before them: what
    a clock did in a hole nobody can know."""
    packets = film.pictures.packets
    begins, ends = packets[0].at + TICKS // 2, _length(film) - TICKS // 2
    inner = [
        number
        for number in keys(packets)[1:]
        if begins < packets[number].at < ends and packets[number].due - packets[number - 1].due < HOLE
    ]
    if not inner:
        raise CannotBeTold
    return inner


def _key_times(film: Film) -> list[int]:
    return [film.pictures.packets[number].at for number in _inner_keys(film)]


def _key_time(film: Film, chance: Random) -> int:
    return chance.choice(_key_times(film))


def _two_keys(film: Film, chance: Random) -> tuple[int, int]:
    """Less than two seconds from each other, with one clock from before the first to the second: see `_inner_keys`."""
    packets, inner = film.pictures.packets, _inner_keys(film)
    pairs = [(one, two) for one in inner for two in inner if 0 < packets[two].at - packets[one].at < 2 * TICKS]
    if not pairs:
        raise CannotBeTold
    first, second = chance.choice(pairs)
    if packets[first - 1].moved != packets[second].moved:
        raise CannotBeTold
    return first, second


def _span(first: int, second: int) -> str:
    return f"{seconds(first):.2f}-{seconds(second):.2f} s"


def _some_pictures(film: Film, chance: Random, count: int) -> set[int]:
    """Neither the first nor the last."""
    numbers = sorted(packet.number for packet in film.pictures.packets if packet.number is not None)
    return set(chance.sample(numbers[ENDS:-ENDS], min(count, len(numbers) - 2 * ENDS)))


def check_clocks(film: Film) -> None:
    """Raises CannotBeTold where nobody could know how one clock goes on with the one before it: no track has something right
    in front of the break and right behind it, or two lies together made a break that is none, but a pause."""
    tracks = (film.pictures.packets, film.sound.packets)
    clocks = list(dict.fromkeys((p.part, p.moved) for p in sorted(chain(*tracks), key=lambda p: (p.part, p.at))))
    bridged = {
        ((one.part, one.moved), (two.part, two.moved))
        for packets in tracks
        for one, two in pairwise(packets)
        if two.due - one.due < min(HOLE, one.lasts + CLOSE)
    }
    steps = [later - earlier for (_, earlier), (_, later) in pairwise(clocks)]
    if any(pair not in bridged for pair in pairwise(clocks)) or any(-HOLE < step < PAUSE for step in steps if step):
        raise CannotBeTold


def _check_ends(packets: tuple[Packet, ...]) -> None:
    """Raises CannotBeTold where a cut made one of the first or last pictures of one whose time is wrong, or missing."""
    shown = sorted(packets, key=lambda packet: packet.at)
    if any(packet.stray or packet.untimed for packet in [*shown[:ENDS], *shown[-ENDS:]]):
        raise CannotBeTold


# ── how ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _all(film: Film, moved: int) -> Film:
    return film.with_both(lambda packet: replace(packet, moved=packet.moved + moved))


def _from(film: Film, at: int, moved: int) -> Film:
    """From a key frame on the clock is off, and sound's clock from the same moment on."""
    return _in_second_part(film, at, lambda packet: replace(packet, moved=packet.moved + moved))


def _joined(film: Film, at: int, moved: int) -> Film:
    """The same, as a recording of its own."""
    return _in_second_part(film, at, lambda packet: replace(packet, moved=packet.moved + moved, part=packet.part + 1))


def _in_second_part(film: Film, at: int, change: Callable[[Packet], Packet]) -> Film:
    """Pictures behind a key frame in decode order belong to its part, and sound that is heard from then on."""
    packets = film.pictures.packets
    begins = next((number for number, packet in enumerate(packets) if packet.key and packet.at >= at), len(packets))
    changed = tuple(change(packet) if number >= begins else packet for number, packet in enumerate(packets))
    return replace(film, pictures=replace(film.pictures, packets=changed)).with_sound(
        lambda packet: change(packet) if packet.at >= at else packet
    )


def _untimed(film: Film, which: set[int | None]) -> Film:
    return film.with_pictures(lambda packet: replace(packet, untimed=True) if packet.number in which else packet)
