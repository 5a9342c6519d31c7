"""The law: what goes in comes out, or the job says what did not.

`Truth` is what goes in, by the film as it was before anybody lied about it, as far as a plain decoder can read it.
`differences` compares it with what came out, `untold` leaves those that the job says nothing about.
"""

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate, groupby, pairwise, permutations
from statistics import median

from film import Film, Packet, seconds
from marks import BEEP_AT, BEEP_SECONDS
from oracle import Seen

from streamforge.contracts.media.account import Account

MISSING_PICTURES = 2
"""So many may be missing in the whole film without a word, …"""
MISSING_SOUND = 0.1
"""… and so many seconds of sound."""
LENGTH = 0.1
IN_SYNC = 0.06
DAMAGE = 0.5
JITTER = 0.02
"""Beside one picture's time, that a picture may be off."""


@dataclass(frozen=True)
class Truth:
    """Pictures by number and moment, from the first that can be decoded; beeps by second and moment. Moment 0 is the first
    picture's; `ends` is when pictures and sound are over, `picture` the longest usual time between two pictures."""

    pictures: list[tuple[int, float]]
    beeps: list[tuple[int, float]]
    ends: float
    picture: float
    loose: float = 0.0
    """How far off sound may be where a container has no times and pictures are reordered."""
    early: float = 0.0
    """How long sound goes on before the first picture."""
    over: float = 0.0
    """When all is over that is there, also what a plain decoder cannot show."""
    rubble: float = 0.0
    """How long what a decoder makes of the remains of a GOP lasts, before the first picture that can be read."""


@dataclass(frozen=True)
class Difference:
    """`at` and `seconds` in the stream."""

    kind: str
    at: float
    seconds: float
    text: str

    def __str__(self) -> str:
        return f"{self.kind} at {self.at:.2f} s ({self.seconds:.2f} s): {self.text}"


@dataclass(frozen=True)
class Told:
    """One thing that a job says about its source, in its words and in numbers."""

    text: str
    at: float | None = None
    seconds: float | None = None


# ── what goes in ────────────────────────────────────────────────────────────────────────────────────────────────────
class NothingToSee(Exception):
    """A plain decoder makes nothing of this, and nobody else has to."""


def truth_of(film: Film, decodable: Seen, has_times: bool = True) -> Truth:
    """What a plain decoder can show of a film, at the moments that nobody has lied about. Raises NothingToSee."""
    readable = _reliable(decodable.numbers) - _behind_a_loss(film)
    shown = [
        packet for packet in film.pictures.packets if packet.number in readable and packet.at >= film.hidden_before
    ]
    if not shown:
        raise NothingToSee
    shown.sort(key=lambda packet: packet.at)
    begins = shown[0].at
    heard = {second for _, second in decodable.beeps}
    # Lies about sound may leave none of it.
    first_sound = film.sound.packets[0].at if film.sound.packets else begins
    reordered = 0 if has_times else max(packet.at - packet.due for packet in film.pictures.packets)
    return Truth(
        pictures=[(packet.number, seconds(packet.at - begins)) for packet in shown if packet.number is not None],
        beeps=[(second, at - seconds(begins)) for second, at in _whole_beeps(film) if second in heard],
        early=seconds(max(0, begins - max(film.hidden_before, first_sound))),
        rubble=_rubble(film, decodable, shown[0]),
        ends=seconds(_end(film, shown) - begins),
        over=seconds(_end(film, film.pictures.packets) - begins),
        picture=max(
            1 / float(film.pictures.rate), seconds(sorted(packet.lasts for packet in shown)[len(shown) * 9 // 10])
        ),
        loose=seconds(reordered) + 1 / float(film.pictures.rate) if reordered else 0.0,
    )


def _reliable(numbers: list[int]) -> set[int]:
    """A decoder that misses a picture shows an old one in its place: such numbers come twice, or go back."""
    once = [number for number in numbers if numbers.count(number) == 1]
    highest = list(accumulate(once, max))
    return {number for number, most in zip(once, highest, strict=True) if number == most}


def _behind_a_loss(film: Film) -> set[int]:
    """What a decoder makes of pictures that lack one they refer to is nobody's business: those that are coded behind it, up to
    the next key frame, and those coded behind that and shown before it."""
    packets = film.pictures.packets
    moments = sorted({moment for packet in packets for moment in (packet.at, packet.ends, packet.due)})
    unsure: set[int] = set()
    is_harmed = was_harmed = False
    key = packets[0]
    for before, packet in pairwise(packets):
        is_harmed |= bisect_right(moments, before.due) < bisect_left(moments, packet.due)
        if packet.key:
            key, was_harmed, is_harmed = packet, is_harmed, False
        elif packet.number is not None and (is_harmed or (was_harmed and packet.at < key.at)):
            unsure.add(packet.number)
    return unsure


def is_damaged(film: Film, truth: Truth) -> bool:
    """Whether half a second of pictures, or more, lacks what it refers to, with those among them that are lost."""
    unsure = _behind_a_loss(film)
    numbers = sorted(packet.number for packet in film.pictures.packets if packet.number is not None)
    lost = sum(later - earlier - 1 for earlier, later in pairwise(numbers) if later in unsure)
    return (len(unsure) + lost) * truth.picture > DAMAGE or bool(film.torn)


def _rubble(film: Film, decodable: Seen, first: Packet) -> float:
    if not decodable.pictures or decodable.pictures[0][1] == first.number:
        return 0.0
    return seconds(first.at - min(packet.at for packet in film.pictures.packets))


def _end(film: Film, shown: Sequence[Packet]) -> int:
    """Null frames let the last picture stay, too."""
    pictures = max(packet.ends for packet in [*shown, *_null(film)])
    return max([pictures, *(packet.ends for packet in film.sound.packets)])


def _null(film: Film) -> list[Packet]:
    return [packet for packet in film.pictures.packets if packet.number in film.null_frames]


def _whole_beeps(film: Film) -> Iterator[tuple[int, float]]:
    """Those of which all sound is there."""
    spans = [(seconds(p.at), seconds(p.ends)) for p in film.sound.packets if p.at >= film.hidden_before]
    for second in range(int(spans[-1][1]) + 1 if spans else 0):
        begin, end = second + BEEP_AT, second + BEEP_AT + BEEP_SECONDS
        there = sum(max(0.0, min(end, last) - max(begin, first)) for first, last in spans)
        if there > BEEP_SECONDS - 0.001:
            yield second, begin


# ── what comes out ──────────────────────────────────────────────────────────────────────────────────────────────────
def differences(truth: Truth, seen: Seen) -> list[Difference]:
    moments = dict(truth.pictures)
    shown = [(time, number) for time, number in seen.pictures if time is not None and number in moments]
    if not shown:
        return [Difference("no picture", 0.0, truth.ends, f"none of {len(truth.pictures)} comes out")]
    clock = _Clock(truth, shown)
    return [
        *_missing_pictures(truth, shown),
        *_disorder(shown),
        *clock.steps(),
        *_early_sound(truth, seen),
        *_beeps(truth, clock, seen),
        *_length(truth, clock, seen),
    ]


class _Clock:
    """How far what comes out is behind the truth, picture for picture."""

    def __init__(self, truth: Truth, shown: list[tuple[float, int]]) -> None:
        moments = dict(truth.pictures)
        self._tolerated = max(truth.picture + JITTER, IN_SYNC)
        self._behind = [(moments[number], time - moments[number]) for time, number in shown]
        self._begins = min(max(0.0, self._behind[0][1]), truth.rubble)

    def at(self, moment: float) -> float:
        """By the last pictures before that moment, or the first of all."""
        before = [behind for at, behind in self._behind if at <= moment]
        return median(before[-3:] or [behind for _, behind in self._behind[:3]])

    def steps(self) -> Iterator[Difference]:
        """Where the film waits or leaps: pictures from there on come later, or sooner, than those before them."""
        usual = self._begins
        for number, (at, _) in enumerate(self._behind):
            near = median(behind for _, behind in self._behind[number : number + 3])
            if abs(near - usual) > self._tolerated:
                step = near - usual
                text = f"from here on pictures come {abs(step):.2f} s too {'late' if step > 0 else 'soon'}"
                yield Difference("time", at + usual, abs(step), text)
                usual = near


def _missing_pictures(truth: Truth, shown: list[tuple[float, int]]) -> Iterator[Difference]:
    there = {number for _, number in shown}
    if sum(number not in there for number, _ in truth.pictures) <= MISSING_PICTURES:
        return
    for is_there, run in groupby(truth.pictures, lambda one: one[0] in there):
        if not is_there:
            lost = list(run)
            length = lost[-1][1] - lost[0][1] + truth.picture
            numbers = f"{lost[0][0]}-{lost[-1][0]}" if len(lost) > 1 else str(lost[0][0])
            yield Difference("missing pictures", lost[0][1], length, f"{len(lost)} pictures, number {numbers}")


def _disorder(shown: list[tuple[float, int]]) -> Iterator[Difference]:
    """Repeated pictures are in order; those that go back are not."""
    highest = -1
    for time, number in shown:
        if number < highest:
            yield Difference("disorder", time, 0.0, f"picture {number} comes behind {highest}")
        highest = max(highest, number)


def _early_sound(truth: Truth, seen: Seen) -> Iterator[Difference]:
    """Moment 0 is the first picture's; what was to be heard before it is gone. So little as nobody has to tell may take away
    enough of a beep for it to be heard no more."""
    gone = {second for second, moment in truth.beeps if moment < 0} - {second for _, second in seen.beeps}
    if gone and truth.early > MISSING_SOUND:
        yield Difference(
            "early sound", 0.0, truth.early, f"{truth.early:.2f} s of it before the first picture are gone"
        )


def _beeps(truth: Truth, clock: _Clock, seen: Seen) -> Iterator[Difference]:
    tolerated = max(IN_SYNC, truth.picture + JITTER) + truth.loose
    heard: dict[int, list[float]] = {}
    for time, second in seen.beeps:
        heard.setdefault(second, []).append(time)
    for second, moment in truth.beeps:
        if moment < 0:
            continue
        if not (times := heard.pop(second, [])):
            yield Difference("missing sound", moment, BEEP_SECONDS, f"the beep of second {second}")
            continue
        off = min((time - moment - clock.at(moment) for time in times), key=abs)
        if abs(off) > tolerated:
            text = f"the beep of second {second} comes {1000 * off:+.0f} ms off its picture"
            yield Difference("out of sync", moment, abs(off), text)
        if len(times) > 1:
            yield Difference("repeated sound", moment, BEEP_SECONDS, f"the beep of second {second} is heard at {times}")


def _length(truth: Truth, clock: _Clock, seen: Seen) -> Iterator[Difference]:
    """Of pictures and sound together; what the film's clock has gained on its way has been told already."""
    ends = max(seen.ends, seen.sound_ends)
    gained = clock.at(truth.ends)
    over = min(0.0, ends - truth.ends - gained) or max(0.0, ends - max(truth.ends, truth.over) - gained)
    if abs(over) > LENGTH + truth.picture:
        what = "longer" if over > 0 else "shorter"
        yield Difference(
            "length", min(ends, truth.ends), abs(over), f"{ends:.2f} s, {abs(over):.2f} s {what} than it should"
        )


# ── what the job says ───────────────────────────────────────────────────────────────────────────────────────────────
SECONDS = re.compile(r"(\d[\d,]*(?:\.\d+)?) s\b")
NEAR = 1.0
"""Seconds that a sentence may be off, of place and of length."""


def told_by(account: Account, warnings: list[str]) -> list[Told]:
    """All that a job says of the clock of its source, and of what is missing: the only place that knows how."""
    notes = [Told(note.text, note.at, note.seconds) for note in account.timeline]
    missing = account.pictures.missing if account.pictures else []
    gaps = [gap for sound in account.sounds for gap in sound.gaps]
    return [
        *notes,
        *(Told("cannot be decoded", at, length) for at, length in missing),
        *(Told("silence", at, length) for at, length in gaps),
        *(Told(warning) for warning in [*warnings, *account.lines]),
    ]


def untold(found: list[Difference], told: list[Told]) -> list[Difference]:
    return [difference for difference in found if not any(_names(one, difference) for one in told)]


def _names(told: Told, difference: Difference) -> bool:
    """Whether it says when, and how much: in numbers of its own or in those of its sentence."""
    if told.at is not None and told.seconds is not None:
        begins, ends = difference.at, difference.at + difference.seconds
        there = told.at - NEAR <= ends and begins <= told.at + told.seconds + NEAR
        return there and difference.seconds <= told.seconds + NEAR
    numbers = [float(number.replace(",", "")) for number in SECONDS.findall(told.text)]
    return any(
        abs(at - difference.at) <= NEAR and abs(length - difference.seconds) <= NEAR
        for at, length in permutations(numbers, 2)
    )
