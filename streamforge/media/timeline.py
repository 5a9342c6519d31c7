"""When the pictures of a stream are shown, and whether all are there: from its packets, without decoding one."""

import itertools
from array import array
from collections.abc import Iterator
from dataclasses import dataclass, field
from fractions import Fraction

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from streamforge.errors import TruncatedSource
from streamforge.media.coding import CONFIGURATIONS, PacketLog
from streamforge.media.extent import Extent
from streamforge.media.progress import Progress
from streamforge.media.source import AnyPacket, packets
from streamforge.media.tallies import Tallies

COMPLETE = 0.98
"""A source with less than this share of the frames its index lists was cut off."""


@dataclass
class Timeline:
    """Presentation times of all packets of one stream, in its time base."""

    time_base: Fraction
    times: "array[int]" = field(default_factory=lambda: array("q"))
    key_times: "array[int]" = field(default_factory=lambda: array("q"))
    without_time: int = 0
    packet_count: int = 0
    last_duration: int = 0
    extent: Extent = field(default_factory=Extent)
    log: PacketLog | None = None

    @property
    def frame_count(self) -> int:
        return len(self.times) + self.without_time

    @property
    def average_rate(self) -> float:
        """Pictures per second by their time stamps; 0 where those do not say."""
        span = (max(self.times) - min(self.times)) * self.time_base if self.times else 0
        return float((len(self.times) - 1) / span) if span > 0 else 0.0

    def gaps(self) -> Iterator[int]:
        """Times between neighbours on screen; packets come in decode order."""
        ordered = sorted(self.times)
        return (later - earlier for earlier, later in itertools.pairwise(ordered) if later > earlier)


def read_timeline(
    container: InputContainer, stream: VideoStream | AudioStream, tallies: Tallies, on_progress: Progress
) -> Timeline:
    """In one pass, in which the tallies see the packets of all pictures and sounds, too."""
    timeline = Timeline(time_base=stream.time_base or Fraction(1, 90_000), log=_packet_log(stream))
    for packet in packets(container, *tallies.streams):
        tallies.take(packet)
        if packet.stream_index != stream.index:
            continue
        _add_packet(timeline, packet)
        if timeline.packet_count % 5000 == 1:
            on_progress({"packets": timeline.packet_count})
    return timeline


def _packet_log(stream: VideoStream | AudioStream) -> PacketLog | None:
    context = stream.codec_context
    codec = context.codec.canonical_name
    return PacketLog(codec, context.extradata) if codec in CONFIGURATIONS else None


def _add_packet(timeline: Timeline, packet: AnyPacket) -> None:
    timeline.packet_count += 1
    timeline.extent.take(packet)
    if timeline.log is not None:
        timeline.log.take(packet)
    if packet.is_discard:
        return  # Outside the edit list: decoded for reference, never shown.
    if packet.pts is None:
        timeline.without_time += 1
    else:
        timeline.times.append(packet.pts)
        if packet.is_keyframe:
            timeline.key_times.append(packet.pts)
    if packet.duration:
        timeline.last_duration = packet.duration


def as_declared(container: InputContainer, timeline: Timeline) -> int:
    """How much is there, in what the index counts: packets; in AVI ticks of its clock, most of which may have none when
    a codec with reordering was put there."""
    if container.format.name != "avi":
        return timeline.packet_count
    return max(timeline.packet_count, round(timeline.extent.seconds / timeline.time_base))


def check_complete(found: int, declared: int) -> None:
    if declared > 1 and found < declared * COMPLETE - 1:
        raise TruncatedSource(
            f"The video is cut off: its index lists {declared} frames, but only {found} are there "
            f"({100 * found // declared} %). Send the complete file."
        )
