"""How a stream is coded and cut into packets, found out while the probe reads them: can it be copied as it is?"""

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamforge.codecs.registry import CODECS
from streamforge.contracts.media.source import VIDEO_TIMESCALE, Coding
from streamforge.media.container.packet_clock import AnyPacket

ONE_TICK = Fraction(1, VIDEO_TIMESCALE)


class PacketLog:
    """Takes all packets of one stream in the order of the file; see Coding for what is noted."""

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        self._codec = CODECS[codec]
        self._configuration = extradata if extradata and self._codec.is_configuration(extradata) else None
        self._is_fresh_start = self._codec.fresh_starts(self._configuration) if self._configuration else None
        self._size = 0
        self._is_whole = self._one_configuration = self._closed_gops = True
        self._key_times: list[int] = []
        self._latest: int | None = None

    def take(self, packet: AnyPacket) -> None:
        self._size += packet.size
        self._is_whole &= not (packet.is_discard or packet.is_corrupt)
        self._one_configuration &= not packet.has_sidedata("new_extradata")
        if packet.pts is None:
            return
        if packet.is_keyframe:
            self._closed_gops &= (self._latest is None or packet.pts > self._latest) and self._starts_anew(packet)
            self._key_times.append(packet.pts)
        else:
            self._closed_gops &= bool(self._key_times) and packet.pts > self._key_times[-1]
        self._latest = packet.pts if self._latest is None else max(self._latest, packet.pts)

    def _starts_anew(self, packet: AnyPacket) -> bool:
        return self._is_fresh_start is None or self._is_fresh_start(memoryview(packet))

    def coding(self, stream: VideoStream, first: VideoFrame, times: Sequence[int], duration: float) -> Coding:
        """`first` is the first picture, `times` are those of all packets that are shown, in the order of the file."""
        seconds = stream.time_base or ONE_TICK
        shown = sorted(times)
        return Coding(
            codec=self._codec.name,
            profile=stream.profile,
            codec_string=self._configuration and self._codec.codec_string(self._configuration),
            bitrate=round(8 * self._size / duration) if duration > 0 else 0,
            is_whole=self._is_whole,
            one_configuration=self._one_configuration,
            exact_times=bool(shown)
            and times[0] == shown[0] == first.pts
            and all((later - earlier) * seconds >= ONE_TICK for earlier, later in pairwise(shown)),
            closed_gops=self._closed_gops and bool(self._key_times),
            longest_gop=self._longest_gop(shown, float(seconds), duration),
            reorder_delay=max((a - b for a, b in zip(shown, times, strict=True)), default=0) * float(seconds),
        )

    def _longest_gop(self, shown: list[int], seconds: float, duration: float) -> float:
        if not self._key_times or not shown:
            return duration
        end = shown[0] * seconds + duration
        starts = sorted(time * seconds for time in self._key_times)
        return max(later - earlier for earlier, later in pairwise([*starts, max(end, starts[-1])]))
