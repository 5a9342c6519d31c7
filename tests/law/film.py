"""A film as its packets: what each holds and when that is due (the truth), and what the file will say of it (the lie)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction

TICKS = 90_000
"""To the second; all times here are counted in them."""


@dataclass(frozen=True)
class Packet:
    """`at` and `due` are when its content is to be shown and decoded, and stay true whatever the file says.

    `moved` is how far the clock of the file is off here, `stray` how far this packet alone is off it; an `untimed` packet
    has no time in the file at all. `part` counts the recordings that were put one behind the other."""

    data: bytes
    at: int
    due: int
    lasts: int
    key: bool = True
    number: int | None = None
    moved: int = 0
    stray: int = 0
    untimed: bool = False
    part: int = 0

    @property
    def pts(self) -> int:
        return self.at + self.moved + self.stray

    @property
    def dts(self) -> int:
        return self.due + self.moved + self.stray

    @property
    def clock(self) -> int:
        return self.due + self.moved

    @property
    def ends(self) -> int:
        return self.at + self.lasts


@dataclass(frozen=True)
class Track:
    """Packets in the order in which they are decoded. `private` is what the container's header holds for the decoder."""

    codec: str
    private: bytes
    packets: tuple[Packet, ...]
    rate: Fraction
    """Pictures, or samples, a second."""

    def changed(self, change: Callable[[Packet], Packet]) -> "Track":
        return replace(self, packets=tuple(change(packet) for packet in self.packets))

    def kept(self, keep: Callable[[Packet], bool]) -> "Track":
        return replace(self, packets=tuple(packet for packet in self.packets if keep(packet)))


@dataclass(frozen=True)
class Film:
    """`hidden_before` is where an edit list lets the film begin; `null_frames` have their place in the file and nothing
    in it; `sound_behind` is how much later than its pictures sound lies in the file; `torn` are the places, in thousandths
    of it, at which a packet of the transport is lost."""

    pictures: Track
    sound: Track
    hidden_before: int = 0
    null_frames: frozenset[int] = frozenset()
    sound_behind: int = 0
    torn: frozenset[int] = frozenset()

    def with_pictures(self, change: Callable[[Packet], Packet]) -> "Film":
        return replace(self, pictures=self.pictures.changed(change))

    def with_sound(self, change: Callable[[Packet], Packet]) -> "Film":
        return replace(self, sound=self.sound.changed(change))

    def with_both(self, change: Callable[[Packet], Packet]) -> "Film":
        return self.with_pictures(change).with_sound(change)

    @property
    def interleaved(self) -> list[tuple[Track, Packet]]:
        """All packets in the order in which a recorder would have written them."""
        both = [(track, packet) for track in (self.pictures, self.sound) for packet in track.packets]

        def place(one: tuple[Track, Packet]) -> tuple[int, int, bool]:
            track, packet = one
            is_sound = track is self.sound
            return packet.part, packet.due + (self.sound_behind if is_sound else 0), is_sound

        return sorted(both, key=place)


def seconds(ticks: float) -> float:
    return ticks / TICKS


def ticks(seconds: float | Fraction) -> int:
    return round(seconds * TICKS)


def keys(packets: Sequence[Packet]) -> list[int]:
    """Where in decode order the key frames are."""
    return [number for number, packet in enumerate(packets) if packet.key]
