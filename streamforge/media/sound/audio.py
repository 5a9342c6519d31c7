"""Encode one audio track, whole: AAC cut into chunks clicks at every joint, because each frame overlaps its neighbours."""

import hashlib
import struct
from collections.abc import Iterator

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.container import OutputContainer

from streamforge.contracts.media.encoded import EncodedTrack, Segment, segment_name
from streamforge.contracts.tasks import AUDIO, AudioTask, SoundEncoded
from streamforge.media.cmaf.boxes import MUXER_OPTIONS, FragmentSplitter, codec_string, init_segment
from streamforge.media.cmaf.encryption import encryption_for
from streamforge.media.container.opening import open_source
from streamforge.media.process.performing import Tell, performs
from streamforge.media.sound.loudness import LoudnessMeter
from streamforge.media.sound.resampling import AAC_FRAME, Resampler
from streamforge.packaging.presentation import INIT_SEGMENT
from streamforge.planning.sound.downmix import LAYOUTS

PRIMING = AAC_FRAME
"""Samples the encoder puts before the first real one. Kept, and cut by the edit list, so that time 0 is exact."""

MEASURED_FRAMES = 2000
"""So often the first pass, which writes nothing, says that it is still at work."""


@performs(AUDIO)
def run(task: AudioTask, on_progress: Tell[SoundEncoded]) -> EncodedTrack:
    """Time 0 of the result is the source's, its first picture: silence fills what is missing, what comes before is cut.

    Segments are told as soon as they lie in the target folder, behind the track that they belong to: a long film's sound
    takes a minute, and its viewers shall not wait for the end of it. Only where a loudness is asked for all of it is
    measured before.
    A track of which nothing decodes comes back without segments; a film is worth showing without its third language.
    """
    gain = _gain(task, on_progress)
    writer = SegmentWriter(task, on_progress)
    meter = _meter(task)
    sink = FragmentSplitter(writer.write_init, writer.write_segment)
    with (
        open_source(task.path, task.source.analysed_bytes) as source,
        av.open(sink, "w", format="mp4", options=_options(task)) as target,
    ):
        resampler = Resampler(task.source, task.rendition, gain)
        writer.track.frames = _encode(task, resampler.frames(source), meter, target)
    writer.track.sound = resampler.count
    writer.track.loudness = meter.result()
    writer.track.gain = gain
    return writer.track


def _gain(task: AudioTask, on_progress: Tell[SoundEncoded]) -> float | None:
    """dB for the whole track, so that its dynamics stay what they are. None when no loudness is asked for."""
    rendition = task.rendition
    if rendition.loudness_target is None:
        return None
    meter = _meter(task)
    with open_source(task.path, task.source.analysed_bytes) as source:
        for number, frame in enumerate(Resampler(task.source, rendition, gain=0.0).frames(source)):
            meter.take(frame)
            if number % MEASURED_FRAMES == 0:
                on_progress(SoundEncoded(measured=number * AAC_FRAME / rendition.sample_rate))
    return meter.gain_towards(rendition.loudness_target, rendition.true_peak_ceiling)


def _meter(task: AudioTask) -> LoudnessMeter:
    return LoudnessMeter(LAYOUTS[task.rendition.channels], task.rendition.sample_rate)


class SegmentWriter:
    """Writes init segment and segments into the rendition's folder, and knows the track as far as it is."""

    def __init__(self, task: AudioTask, on_progress: Tell[SoundEncoded]) -> None:
        self._folder = task.target / task.rendition.name
        self._folder.mkdir(parents=True)
        self._on_progress = on_progress
        self._lock = encryption_for(task.protection, task.key, task.rendition.name)
        self.track = EncodedTrack(
            name=task.rendition.name,
            timescale=task.rendition.sample_rate,
            codec_string="",
            init_sha256="",
            init_size_bytes=0,
            frames=0,
            segments=[],
            encoders={task.rendition.codec: 1},
        )

    def write_init(self, moov: bytes) -> None:
        init = self._lock.init(init_segment(moov, PRIMING))
        (self._folder / INIT_SEGMENT).write_bytes(init)
        self.track.codec_string = codec_string(init)
        self.track.init_sha256 = hashlib.sha256(init).hexdigest()
        self.track.init_size_bytes = len(init)
        self._on_progress(SoundEncoded(track=self.track))

    def write_segment(self, fragment: bytes) -> None:
        """Times of a fragment from its own boxes: `tfdt` says when it begins, `trun` how many AAC frames it has."""
        decode_time, count = _decode_time(fragment), _sample_count(fragment)
        start = max(0, decode_time - PRIMING)
        data = self._lock.segment(segment_name(start), self._lock.fragment(fragment))
        segment = Segment(
            start_ticks=start,
            duration_ticks=decode_time - PRIMING + count * AAC_FRAME - start,
            size_bytes=len(data),
            sha256=hashlib.sha256(data).hexdigest(),
        )
        (self._folder / segment.file_name).write_bytes(data)
        self.track.segments.append(segment)
        self._on_progress(SoundEncoded(segment=segment))


def _options(task: AudioTask) -> dict[str, str]:
    """Every AAC frame is a key frame, so here fragments are cut by duration."""
    flags = MUXER_OPTIONS["movflags"].removeprefix("frag_keyframe+")
    return MUXER_OPTIONS | {"movflags": flags, "frag_duration": str(round(task.segment_seconds * 1_000_000))}


def _encode(task: AudioTask, frames: Iterator[AudioFrame | None], meter: LoudnessMeter, target: OutputContainer) -> int:
    """How many packets there were."""
    rendition = task.rendition
    stream = target.add_stream("aac", rate=rendition.sample_rate)
    assert isinstance(stream, AudioStream)
    stream.codec_context.bit_rate = rendition.bitrate
    stream.codec_context.layout = LAYOUTS[rendition.channels]
    packets = 0
    for frame in frames:
        meter.take(frame)
        for packet in stream.encode(frame):
            packet.pts = packet.dts = (packet.pts or 0) + PRIMING
            target.mux(packet)
            packets += 1
    return packets


def _decode_time(fragment: bytes) -> int:
    """ISO/IEC 14496-12 §8.8.12: version 1 has 64 bits."""
    at = fragment.index(b"tfdt") + 4
    return int(struct.unpack_from(">Q" if fragment[at] == 1 else ">I", fragment, at + 4)[0])


def _sample_count(fragment: bytes) -> int:
    """ISO/IEC 14496-12 §8.8.8."""
    return int(struct.unpack_from(">I", fragment, fragment.index(b"trun") + 8)[0])
