"""How a stream is coded and cut into packets, found out while the probe reads them: can it be copied as it is?"""

from collections.abc import Callable, Iterator, Sequence
from fractions import Fraction
from itertools import pairwise

from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamforge.contracts.media import VIDEO_TIMESCALE, Coding
from streamforge.media.cmaf.boxes import configuration_string
from streamforge.media.container.packet_clock import AnyPacket

CONFIGURATIONS = {"h264": "avcC", "hevc": "hvcC", "av1": "av1C"}
ONE_TICK = Fraction(1, VIDEO_TIMESCALE)


class PacketLog:
    """Takes all packets of one stream in the order of the file; see Coding for what is noted."""

    def __init__(self, codec: str, extradata: bytes | None) -> None:
        self._configuration = _configuration(codec, extradata or b"")
        self._starts_anew = _fresh_start(codec, self._configuration or b"")
        self._size = 0
        self._is_whole = self._one_configuration = self._closed_gops = True
        self._key_times: list[int] = []
        self._latest: int | None = None
        self._codec = codec

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

    def coding(self, stream: VideoStream, first: VideoFrame, times: Sequence[int], duration: float) -> Coding:
        """`first` is the first picture, `times` are those of all packets that are shown, in the order of the file."""
        seconds = stream.time_base or ONE_TICK
        shown = sorted(times)
        return Coding(
            codec=self._codec,
            profile=stream.profile,
            codec_string=self._configuration and configuration_string(CONFIGURATIONS[self._codec], self._configuration),
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


def _configuration(codec: str, extradata: bytes) -> bytes | None:
    """What a header in MP4's way says, with its parameter sets; None for anything else, as Annex B of H.264 and HEVC."""
    is_there = {
        "h264": extradata[:1] == b"\1" and len(extradata) > 8 and extradata[5] & 0x1F > 0,
        "hevc": extradata[:1] == b"\1" and len(extradata) > 23 and extradata[22] >= 3,
        "av1": extradata[:1] == b"\x81" and len(extradata) >= 4,
    }
    return extradata if is_there[codec] else None


# ── fresh starts ────────────────────────────────────────────────────────────────────────────────────────────────────
def _fresh_start(codec: str, configuration: bytes) -> Callable[[AnyPacket], bool]:
    """Whether a packet that its container calls a key frame also is one to a decoder. H.264's recovery points are not:
    what comes behind them may refer to what lies before. AV1's key frames always are."""
    if codec == "h264" and configuration:
        return lambda packet: _is_idr(memoryview(packet), (configuration[4] & 3) + 1)
    if codec == "hevc" and configuration:
        return lambda packet: _is_irap(memoryview(packet), (configuration[21] & 3) + 1)
    return lambda packet: True


def _is_idr(data: memoryview, length_bytes: int) -> bool:
    """By its first slice (ISO/IEC 14496-10 table 7-1)."""
    slices = (byte & 31 for byte in _first_bytes(data, length_bytes) if 1 <= byte & 31 <= 5)
    return next(slices, 0) == 5


def _is_irap(data: memoryview, length_bytes: int) -> bool:
    """ISO/IEC 23008-2 table 7-1: 16 to 21 are random access points."""
    slices = (byte >> 1 & 63 for byte in _first_bytes(data, length_bytes) if byte >> 1 & 63 < 32)
    return 16 <= next(slices, 0) <= 21


def _first_bytes(data: memoryview, length_bytes: int) -> Iterator[int]:
    """Of each NAL unit, which come behind their lengths (ISO/IEC 14496-15 §5.3.3)."""
    at = 0
    while at + length_bytes < len(data):
        yield data[at + length_bytes]
        at += length_bytes + int.from_bytes(data[at : at + length_bytes])
