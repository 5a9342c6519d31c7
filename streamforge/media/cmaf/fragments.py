"""From packets to files: the muxer of one video rendition, and the folder that its segments are written into."""

import hashlib
from collections.abc import Callable, Sequence
from itertools import accumulate
from pathlib import Path
from typing import NamedTuple

import av
from av.container import OutputContainer
from av.packet import Packet
from av.video.stream import VideoStream

from streamforge.contracts.media.encoded import EncodedTrack, KeyFrame, Segment, segment_name
from streamforge.contracts.media.source import VIDEO_TIMESCALE
from streamforge.media.cmaf.boxes import MUXER_OPTIONS, FragmentSplitter, codec_string, first_sample_end, init_segment
from streamforge.media.cmaf.encryption import SegmentEncryption
from streamforge.packaging.presentation import INIT_SEGMENT


class PictureTiming(NamedTuple):
    """When a picture begins and how long it stays, in ticks from the source's first one."""

    ticks: int
    duration: int


class GopMuxer:
    """FFmpeg's muxer: takes packets GOP by GOP, and writes each GOP as one fragment.

    The n-th packet's decode time is the n-th picture's presentation time; presentation times are shifted up by the edit
    offset to make room. So a chunk's decode times span exactly its own piece of the timeline, and chunks encoded apart
    cannot overlap at their joint, also with a variable frame rate (an encoder's own decode times do).
    """

    def __init__(self, on_moov: Callable[[bytes], None], on_fragment: Callable[[bytes], None]) -> None:
        """Streams are added to `container` by whoever has the packets. What is told: see FragmentSplitter."""
        options = MUXER_OPTIONS | {"video_track_timescale": str(VIDEO_TIMESCALE)}
        sink = FragmentSplitter(on_moov, on_fragment)
        self.container: OutputContainer = av.open(sink, "w", format="mp4", options=options)
        self.packets = 0

    def write(self, gop: "Sequence[Packet[VideoStream]]", pictures: Sequence[PictureTiming]) -> None:
        """Packets in decode order, with presentation times in ticks, shifted already; pictures in the order they are
        seen."""
        latest: int | None = None
        for packet, shown in zip(reversed(gop), reversed(pictures), strict=True):
            # Never after its own presentation, should reordering need more room than the edit offset gives.
            limit = packet.pts if latest is None else min(packet.pts or 0, latest - 1)
            packet.dts = latest = min(shown.ticks, limit or 0)
            packet.duration = shown.duration
        self.container.mux(gop)
        self.packets += len(gop)

    def close(self) -> None:
        self.container.close()


class TrackFolder:
    """Writes init segment and segments. GOPs that begin in the same slot of the timeline are one segment, which is
    written when the next one begins: no more than one is held in memory."""

    def __init__(self, folder: Path, segment_ticks: int, encryption: SegmentEncryption) -> None:
        """The folder, which is made, has the name of the rendition. `encryption` gets everything before it is written."""
        folder.mkdir(parents=True)
        self._encryption = encryption
        self._folder = folder
        self._segment_ticks = segment_ticks
        self._init = b""
        self._segments: list[Segment] = []
        self._gops: list[tuple[int, bytes]] = []

    def write_init(self, moov: bytes, edit_offset_ticks: int) -> None:
        self._init = self._encryption.init(init_segment(moov, edit_offset_ticks))
        (self._folder / INIT_SEGMENT).write_bytes(self._init)

    def add(self, start: int, fragment: bytes) -> None:
        """The fragment of a GOP whose first picture begins at `start`."""
        if self._gops and self._slot(start) != self._slot(self._gops[0][0]):
            self._write_segment(start)
        self._gops.append((start, self._encryption.fragment(fragment)))

    def finish(self, end: int, frames: int, written_by: str) -> EncodedTrack:
        if self._gops:
            self._write_segment(end)
        return EncodedTrack(
            name=self._folder.name,
            timescale=VIDEO_TIMESCALE,
            codec_string=codec_string(self._init) if self._init else "",
            init_sha256=hashlib.sha256(self._init).hexdigest(),
            init_size_bytes=len(self._init),
            frames=frames,
            segments=self._segments,
            encoders={written_by: 1} if self._segments else {},
        )

    def _slot(self, ticks: int) -> int:
        """One tick of slack: 29.97 does not divide evenly."""
        return (ticks + 1) // self._segment_ticks

    def _write_segment(self, end: int) -> None:
        start = self._gops[0][0]
        data = self._encryption.segment(segment_name(start), b"".join(fragment for _, fragment in self._gops))
        segment = Segment(
            start_ticks=start,
            duration_ticks=end - start,
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
            key_frames=_key_frames(self._gops) if self._encryption.has_byte_ranges else [],
        )
        (self._folder / segment.file_name).write_bytes(data)
        self._segments.append(segment)
        self._gops = []


def _key_frames(gops: list[tuple[int, bytes]]) -> list[KeyFrame]:
    """Each fragment is one GOP and begins with its key frame."""
    offsets = accumulate((len(fragment) for _, fragment in gops[:-1]), initial=0)
    return [
        KeyFrame(ticks=ticks, offset=offset, size_bytes=first_sample_end(fragment))
        for (ticks, fragment), offset in zip(gops, offsets, strict=True)
    ]
