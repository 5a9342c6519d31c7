"""Runs: packets of one track, one behind the other, whose clock is continuous. See streamforge.timeline.alignment."""

from bisect import bisect_right
from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from math import floor

from streamforge.contracts.media.source import VIDEO_TIMESCALE

LEAPS = 3
"""Of the clock: a picture that is shown before others in front of it belongs to one of the last groups."""

SPARSE = 5
"""A pause this many times as long as those before it is one of them: slides come a minute apart."""

BACKWARD = VIDEO_TIMESCALE // 10
"""Ticks that a clock may go back without having been set: senders round and stumble."""

MOST_OUTLIERS = 5
"""Packets in a row. More of them go their own way, and are a run."""

LONGEST_PAUSE = 10
"""Seconds for which a clock may say nothing, where packets in front of the pause and behind it agree that those between them
are wrong."""

MOST_RUNS = 20_000
MOST_PAUSES = 5_000
"""Of one track. A clock that breaks more often says nothing, and pauses are many in a film of slides: they are held in
memory."""

STANDING = 2
"""Times as long as its clock says, and so many seconds more, is what is in a track whose clock stands still."""


@dataclass
class Run:
    """Packets of a track, from number `number` on, whose clock is continuous. `end` is when the last one's showing ends."""

    number: int
    position: int
    last_position: int
    first: int
    end: int
    packets: int = 1
    goes_back: bool = False
    """Whether its clock begins before the end of that of the run before it."""
    is_seam: bool = False
    """Its clock goes on with that of the run before it, and between the two, in the file, another track's seems to break."""
    in_doubt: "Run | None" = None
    """Packets between the two that lie elsewhere, and are taken for outliers."""

    def goes_on_with(self, later: "Run") -> None:
        self.last_position = later.last_position
        self.first, self.end = min(self.first, later.first), max(self.end, later.end)
        self.packets += later.packets

    def takes(self, packet: "Packet") -> None:
        self.last_position = packet.position
        self.first = min(self.first, packet.shown)
        self.end = max(self.end, packet.shown + packet.duration)
        self.packets += 1


@dataclass(slots=True)
class Packet:
    """What a packet's header says, in units of its track's clock. `time` never falls in an ordinary file: it is that of
    decoding, where there is one."""

    number: int
    position: int
    time: int
    shown: int
    duration: int
    is_reordered: bool = False
    """Whether `time` is that of showing, of a picture that may be shown before some in front of it: it then lies behind what
    was shown before the last leaps of the clock."""
    is_at_seam: bool = False
    """Whether another track's clock seems to break in front of it."""


@dataclass
class RunFinder:
    """Takes the packets of one track in the order of the file, and finds its runs. Holds no packet but a few.

    `rate` is how many ticks one unit of the track's own clock has: packets come in that, runs are in ticks once it is
    finished."""

    rate: Fraction = Fraction(1)
    runs: list[Run] = field(default_factory=list)
    outliers: list[int] = field(default_factory=list)
    """Positions of packets whose time stamps are not believed."""
    without_time: int = 0
    is_lost: bool = False
    """There are more runs than MOST_RUNS."""
    lasting: int = 0
    """How long all packets last together, by what each says of itself."""
    _last: int = 0
    _gap: int = 0
    """The last pause between two packets of the run."""
    _suspects: list[Packet] = field(default_factory=list)
    _leaps: deque[int] = field(default_factory=lambda: deque([0], maxlen=LEAPS))
    """The last ones of the clock, ahead."""
    beside: list["RunFinder"] = field(default_factory=list)
    """Of tracks that want to know where this one's clock seems to break."""
    asks_others: bool = False
    """Whether packets in doubt are kept as such, for those who know other tracks."""
    _is_at_seam: bool = False
    _second: int = field(init=False)
    _follows_within: int = field(init=False)
    _backward: int = field(init=False)

    def __post_init__(self) -> None:
        self._backward = round(BACKWARD / self.rate)
        self._second = self._follows_within = max(1, round(VIDEO_TIMESCALE / self.rate))

    def follows(self, position: int, time: int, shown: int, duration: int) -> bool:
        """The same as `take` for the ordinary packet, of which a film has a million; False, and nothing done, for others."""
        pause = time - self._last
        if self._suspects or not self.runs or not 0 <= pause <= self._follows_within:
            return False
        self.lasting += duration
        run = self.runs[-1]
        run.last_position = position
        run.packets += 1
        run.first = min(run.first, shown)
        run.end = max(run.end, shown + duration)
        self._gap = pause
        self._last = time
        self._leaps.append(pause)
        return True

    @property
    def stands_still(self) -> bool:
        """Whether it holds far more than there is time for: all its times are the same, or nearly."""
        span = sum(run.end - run.first for run in self.runs)
        return floor(self.lasting * self.rate) > STANDING * span + STANDING * VIDEO_TIMESCALE

    @property
    def is_usable(self) -> bool:
        """Once it is finished."""
        return bool(self.runs) and not self.is_lost and not self.stands_still

    def believe(self, runs: Sequence[Run]) -> None:
        """Packets that were in doubt are none; the runs lie one behind the other."""
        starts = [run.position for run in runs]

        def is_believed(position: int) -> bool:
            before = bisect_right(starts, position) - 1
            return before >= 0 and position <= runs[before].last_position

        self.outliers = [position for position in self.outliers if not is_believed(position)]

    def look_at_next(self) -> None:
        """Another track's clock seems to break here."""
        self._is_at_seam = True
        self._follows_within = -1

    def take(self, packet: Packet) -> None:
        if self._is_at_seam:
            self._is_at_seam, self._follows_within = False, self._second
            packet.is_at_seam = bool(self._suspects)
            if self.runs and not self._suspects and self._goes_on(packet, self._last) and len(self.runs) < MOST_PAUSES:
                self._begin_seam(packet)
                return
        if not self.runs:
            self._begin(packet)
        elif self._goes_on(packet, self._last) and not self._is_overtaken(packet):
            in_doubt = self._dismissed()
            if self.asks_others and in_doubt is not None and len(self.runs) < MOST_PAUSES:
                self._go_on_behind(in_doubt, packet)
            else:
                self._extend(packet)
        elif not self._suspects:
            self._suspects = [packet]
            for other in self.beside:
                other.look_at_next()
        elif self._goes_on(packet, self._suspects[-1].time):
            self._suspects.append(packet)
            if len(self._suspects) > MOST_OUTLIERS:
                self._accept()
        elif self._is_pause(packet):
            self._dismissed()
            self._begin(packet)
        else:
            self._accept()
            self.take(packet)

    def finish(self) -> None:
        """A lone packet at the end that lies elsewhere has a wrong time, unless it may lie behind a pause; several are a last,
        short run."""
        is_alone = len(self._suspects) == 1 and self._is_established()
        if is_alone and not 0 <= self._suspects[0].time - self._last <= LONGEST_PAUSE * self._second:
            self.outliers.append(self._suspects[0].position)
        elif self._suspects:
            self._accept()
        self._suspects = []
        for run in [*self.runs, *(run.in_doubt for run in self.runs if run.in_doubt)]:
            run.first, run.end = floor(run.first * self.rate), floor(run.end * self.rate)

    def _is_established(self) -> bool:
        """Whether there are more packets since the clock broke than may be outliers."""
        packets = 0
        for run in reversed(self.runs):
            packets += run.packets
            if packets > MOST_OUTLIERS or not run.is_seam:
                break
        return packets > MOST_OUTLIERS

    def _dismissed(self) -> Run | None:
        """The packets in doubt, which are outliers."""
        suspects, self._suspects = self._suspects, []
        self.outliers += [suspect.position for suspect in suspects]
        if not suspects:
            return None
        run = Run(suspects[0].number, suspects[0].position, suspects[0].position, suspects[0].shown, suspects[0].shown)
        run.packets = 0
        for suspect in suspects:
            run.takes(suspect)
        return run

    def _goes_on(self, packet: Packet, last: int) -> bool:
        usual = max(self._second, 2 * packet.duration, SPARSE * self._gap)
        slack = max(self._backward, sum(self._leaps) if packet.is_reordered else 0)
        return -slack <= packet.time - last <= usual

    def _is_overtaken(self, packet: Packet) -> bool:
        """Whether this one goes with the packets in doubt rather than with the run before them: they lie between the two,
        or it is nearer to them."""
        if not self._suspects:
            return False
        expected = packet.time - packet.duration
        is_nearer = abs(expected - self._suspects[-1].time) < abs(expected - self._last)
        return is_nearer or self._last < self._suspects[0].time <= packet.time

    def _is_pause(self, packet: Packet) -> bool:
        """Whether it goes on with the run before the packets in doubt, which lie far behind both: their time is wrong, and
        others were lost beside them."""
        near = self._last + LONGEST_PAUSE * self._second
        return self._last <= packet.time <= near < min(suspect.time for suspect in self._suspects)

    def _begin(self, packet: Packet) -> None:
        if len(self.runs) >= MOST_RUNS:
            self.is_lost = True
            return
        shown, end = packet.shown, packet.shown + packet.duration
        goes_back = bool(self.runs) and packet.time < self._last
        self.runs.append(Run(packet.number, packet.position, packet.position, shown, end, goes_back=goes_back))
        self._last, self._gap = packet.time, packet.duration

    def _begin_seam(self, packet: Packet, in_doubt: Run | None = None) -> None:
        self._begin(packet)
        run = self.runs[-1]
        run.goes_back, run.is_seam, run.in_doubt = False, True, in_doubt

    def _go_on_behind(self, in_doubt: Run, packet: Packet) -> None:
        """As if nothing had been between, whatever others make of it."""
        last = self._last
        self._begin_seam(packet, in_doubt)
        self._follow(packet, last)

    def _follow(self, packet: Packet, last: int) -> None:
        self._gap = packet.time - last
        if self._gap > 0:
            self._leaps.append(self._gap)
        self._last = max(last, packet.time)

    def _extend(self, packet: Packet) -> None:
        last = self._last
        if packet.time - last > max(self._second, 2 * packet.duration) and len(self.runs) < MOST_PAUSES:
            self._begin(packet)  # Not a break, but where one might be found when other tracks are looked at.
        else:
            self.runs[-1].takes(packet)
        self._follow(packet, last)

    def _accept(self) -> None:
        first, *others = self._suspects
        self._suspects = []
        self._begin(first)
        for packet in others:
            if packet.is_at_seam and len(self.runs) < MOST_PAUSES:
                self._begin_seam(packet)
            else:
                self._extend(packet)
