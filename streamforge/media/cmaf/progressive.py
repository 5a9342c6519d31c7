"""A stream's segments as one progressive MP4 file, to be downloaded: nothing is encoded again, only packed anew."""

import heapq
import time
from collections.abc import Iterator
from contextlib import ExitStack
from fractions import Fraction
from typing import TYPE_CHECKING, TypeAlias

import av
from av.container import InputContainer, OutputContainer
from av.packet import Packet
from av.stream import Stream

from streamforge.codecs.registry import CODECS
from streamforge.contracts.media.source import VIDEO_TIMESCALE
from streamforge.contracts.tasks import PROGRESSIVE, PacketsRead, Progressive, ProgressiveTask
from streamforge.media.process.performing import Tell, performs

if TYPE_CHECKING:
    AnyPacket: TypeAlias = Packet[Stream]
else:
    AnyPacket = Packet  # Generic for type checkers only.

INTERLEAVED_SECONDS = 1
"""Of each track in one piece: players read ahead further than that, and the index stays small."""

INDEX_BASE_BYTES = 8192
INDEX_BYTES_OF_PICTURE = 24
INDEX_BYTES_OF_SOUND = 12
INDEX_BYTES_OF_PIECE = 24
PIECE_BYTES = 2**20
"""What the index in front takes at most: for each sample 4 bytes of size and 8 of duration; for pictures 8 of reordering,
and 4 of a key frame; for each piece, which ends after so many bytes at the latest, 8 of offset and 12 of what is in it."""

REPORT_EVERY_SECONDS = 0.5


@performs(PROGRESSIVE)
def run(task: ProgressiveTask, on_progress: Tell[PacketsRead]) -> Progressive:
    """Time 0, durations and what is cut by edit lists stay what they are in the stream. The index (`moov`) comes first,
    into room that is left for it: to make room afterwards would be to write the whole file again."""
    with ExitStack() as stack:
        sources = [stack.enter_context(av.open(str(path))) for path in task.tracks]
        options = {
            "moov_size": str(_index_bytes(task)),
            "chunk_duration": str(INTERLEAVED_SECONDS * 1_000_000),
            "video_track_timescale": str(VIDEO_TIMESCALE),
        }
        target = stack.enter_context(av.open(str(task.target), "w", format="mp4", options=options))
        streams = [_add_stream(target, source.streams[0]) for source in sources]
        packets, reported = 0, time.monotonic()
        for _, number, packet in heapq.merge(*map(_packets, sources, range(len(sources))), key=lambda each: each[:2]):
            packet.stream = streams[number]
            target.mux(packet)
            packets += 1
            if time.monotonic() - reported > REPORT_EVERY_SECONDS:
                reported = time.monotonic()
                on_progress(PacketsRead(packets=packets))
    return Progressive(packets=packets)


def _add_stream(target: OutputContainer, template: Stream) -> Stream:
    # Opaque: else PyAV looks for an encoder with the name of the decoder, and there is none called libdav1d.
    stream = target.add_stream_from_template(template, opaque=True)
    if (codec := CODECS.get(stream.codec_context.codec.canonical_name)) is not None:
        stream.codec_context.codec_tag = codec.sample_entry
    return stream


def _index_bytes(task: ProgressiveTask) -> int:
    size = sum(path.stat().st_size for path in task.tracks)
    pieces = len(task.tracks) * (task.seconds / INTERLEAVED_SECONDS + 2) + size / PIECE_BYTES
    pictures, sounds = task.frames[0], sum(task.frames[1:])
    samples = INDEX_BYTES_OF_PICTURE * pictures + INDEX_BYTES_OF_SOUND * sounds
    return INDEX_BASE_BYTES + samples + round(INDEX_BYTES_OF_PIECE * pieces)


def _packets(source: InputContainer, number: int) -> Iterator[tuple[Fraction, int, AnyPacket]]:
    """Each with its decode time in seconds, by which tracks are interleaved."""
    for packet in source.demux(source.streams[0]):
        if packet.size and packet.dts is not None:
            yield packet.dts * packet.time_base, number, packet
