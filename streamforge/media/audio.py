"""Encode one audio track, whole: AAC cut into chunks clicks at every joint, because each frame overlaps its neighbours."""

import hashlib
import struct
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import InputContainer, OutputContainer
from av.filter import Graph
from pydantic import BaseModel, ConfigDict

from streamforge.contracts.media import AudioRendition, EncodedTrack, Protection, Segment, Source, segment_name
from streamforge.keys import ContentKey
from streamforge.media.cmaf import MUXER_OPTIONS, FragmentSplitter, codec_string, init_segment
from streamforge.media.progress import Progress
from streamforge.media.protection import lock_for
from streamforge.media.source import decoded, open_source
from streamforge.planning.manifests import INIT_SEGMENT

AAC_FRAME = 1024
PRIMING = AAC_FRAME
"""Samples the encoder puts before the first real one. Kept, and cut by the edit list, so that time 0 is exact."""

LATEST_SOUND_SECONDS = 600
"""Sound this long after the last picture is cut: a forged time stamp must not make us encode days of silence."""


class AudioTask(BaseModel):
    """`target` is an existing folder; the rendition gets a folder in it."""

    model_config = ConfigDict(hide_input_in_errors=True)

    path: Path
    source: Source
    rendition: AudioRendition
    segment_seconds: float
    target: Path
    protection: Protection | None = None
    key: ContentKey | None = None


def run(task: AudioTask, on_progress: Progress) -> EncodedTrack:
    """Time 0 of the result is the source's, its first picture: silence fills what is missing, what comes before is cut.

    Segments are told as soon as they lie in the target folder, `{"track": …}` first and then `{"segment": …}` for each:
    a long film's sound takes a minute, and its viewers shall not wait for the end of it.
    A track of which nothing decodes comes back without segments; a film is worth showing without its third language.
    """
    writer = SegmentWriter(task, on_progress)
    sink = FragmentSplitter(writer.write_init, writer.write_segment)
    with open_source(task.path) as source, av.open(sink, "w", format="mp4", options=_options(task)) as target:
        writer.track.frames = _encode(task, source, target)
    return writer.track


class SegmentWriter:
    """Writes init segment and segments into the rendition's folder, and knows the track as far as it is."""

    def __init__(self, task: AudioTask, on_progress: Progress) -> None:
        self._folder = task.target / task.rendition.name
        self._folder.mkdir(parents=True)
        self._on_progress = on_progress
        self._lock = lock_for(task.protection, task.key, task.rendition.name)
        self.track = EncodedTrack(
            name=task.rendition.name,
            timescale=task.rendition.sample_rate,
            codec_string="",
            init_sha256="",
            init_size_bytes=0,
            frames=0,
            segments=[],
        )

    def write_init(self, moov: bytes) -> None:
        init = self._lock.init(init_segment(moov, PRIMING))
        (self._folder / INIT_SEGMENT).write_bytes(init)
        self.track.codec_string = codec_string(init)
        self.track.init_sha256 = hashlib.sha256(init).hexdigest()
        self.track.init_size_bytes = len(init)
        self._on_progress({"track": self.track.model_dump(mode="json")})

    def write_segment(self, fragment: bytes) -> None:
        """Times of a fragment from its own boxes: `tfdt` says when it begins, `trun` how many AAC frames it has."""
        decode_time, count = _decode_time(fragment), _sample_count(fragment)
        start = max(0, decode_time - PRIMING)
        data = self._lock.segment(segment_name(start), self._lock.fragment(fragment))
        segment = Segment(
            start_ticks=start,
            duration_ticks=decode_time - PRIMING + count * AAC_FRAME - start,
            size_bytes=len(data),
        )
        (self._folder / segment.file_name).write_bytes(data)
        self.track.segments.append(segment)
        self._on_progress({"segment": segment.model_dump(mode="json")})


def _options(task: AudioTask) -> dict[str, str]:
    """Every AAC frame is a key frame, so here fragments are cut by duration."""
    flags = MUXER_OPTIONS["movflags"].removeprefix("frag_keyframe+")
    return MUXER_OPTIONS | {"movflags": flags, "frag_duration": str(round(task.segment_seconds * 1_000_000))}


def _encode(task: AudioTask, source: InputContainer, target: OutputContainer) -> int:
    """How many packets there were."""
    rendition = task.rendition
    stream = target.add_stream("aac", rate=rendition.sample_rate)
    assert isinstance(stream, AudioStream)
    stream.codec_context.bit_rate = rendition.bitrate
    stream.codec_context.layout = "stereo"
    packets = 0
    frames: Iterator[AudioFrame | None] = Resampler(task).frames(source)
    for frame in frames:
        for packet in stream.encode(frame):
            packet.pts = packet.dts = (packet.pts or 0) + PRIMING
            target.mux(packet)
            packets += 1
    return packets


class Resampler:
    """Decoded frames of one track, in stereo at the rendition's rate, on the video's timeline and without holes."""

    def __init__(self, task: AudioTask) -> None:
        self._rendition = task.rendition
        self._start = None if task.source.start is None else Fraction(task.source.start)
        self._latest = task.source.duration + LATEST_SOUND_SECONDS
        self._graph: Graph | None = None
        self._shape: tuple[object, ...] | None = None
        self._next_sample = 0
        self._resampled = 0
        self._ended = False

    def frames(self, source: InputContainer) -> Iterator[AudioFrame | None]:
        """Ends with None, as an encoder wants it. Nothing at all when nothing decodes."""
        for frame in self._decoded(source):
            shape = (frame.format.name, frame.layout.name, frame.sample_rate)
            if shape != self._shape:
                yield from self._drained()
                self._build(frame)
                self._shape = shape
            assert self._graph is not None
            self._graph.push(frame)
            yield from self._pulled()
        if self._graph is not None:
            self._ended = True
            yield from self._drained()
            yield None

    def _decoded(self, source: InputContainer) -> Iterator[AudioFrame]:
        stream = source.streams[self._rendition.stream_index]
        if not isinstance(stream, AudioStream):
            return
        for frame in decoded(source, stream):  # A broken packet is a moment of silence.
            if frame.sample_rate and self._place(frame):
                yield frame

    def _place(self, frame: AudioFrame) -> bool:
        """Move the frame to the video's clock, in samples of its own rate. False = too late to be kept."""
        rate = frame.sample_rate
        if self._start is None or frame.pts is None or frame.time_base is None:
            frame.pts = self._next_sample
        else:
            frame.pts = round((frame.pts * frame.time_base - self._start) * rate)
        frame.time_base = Fraction(1, rate)
        self._next_sample = frame.pts + frame.samples
        return frame.pts < self._latest * rate

    def _build(self, frame: AudioFrame) -> None:
        graph = Graph()
        source = graph.add_abuffer(
            sample_rate=frame.sample_rate,
            format=frame.format.name,
            layout=frame.layout.name,
            time_base=Fraction(1, frame.sample_rate),
        )
        # async fills holes with silence and squeezes overlaps; first_pts (in samples of the input) makes time 0 the first
        # picture, and lets a graph go on where the one before it ended.
        rate = self._rendition.sample_rate
        first = self._resampled * frame.sample_rate // rate
        resample = graph.add("aresample", f"{rate}:async=1000:first_pts={first}")
        layout = graph.add("aformat", f"sample_fmts=fltp:channel_layouts=stereo:sample_rates={rate}")
        sink = graph.add("abuffersink")
        graph.link_nodes(source, resample, layout, sink).configure(auto_buffer=False)
        graph.set_audio_frame_size(AAC_FRAME)
        self._graph = graph

    def _pulled(self) -> Iterator[AudioFrame]:
        assert self._graph is not None
        while True:
            try:
                frame = self._graph.pull()
            except (av.error.BlockingIOError, av.error.EOFError):
                return
            assert isinstance(frame, AudioFrame)
            if frame.samples == AAC_FRAME or self._ended:  # Only the last frame of all may be shorter.
                frame.pts = self._resampled
                self._resampled += frame.samples
                yield frame

    def _drained(self) -> Iterator[AudioFrame]:
        if self._graph is not None:
            self._graph.push(None)
            yield from self._pulled()


def _decode_time(fragment: bytes) -> int:
    """ISO/IEC 14496-12 §8.8.12: version 1 has 64 bits."""
    at = fragment.index(b"tfdt") + 4
    return int(struct.unpack_from(">Q" if fragment[at] == 1 else ">I", fragment, at + 4)[0])


def _sample_count(fragment: bytes) -> int:
    """ISO/IEC 14496-12 §8.8.8."""
    return int(struct.unpack_from(">I", fragment, fragment.index(b"trun") + 8)[0])
