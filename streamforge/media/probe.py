"""What is in this file, and can it be processed? Reads every packet header once and decodes one frame.

The header's own claims (duration, frame count, frame rate) are not trusted: WebM from a browser has no duration, and
truncated or hostile files lie.
"""

from collections.abc import Iterator
from contextlib import suppress
from fractions import Fraction
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from pydantic import BaseModel

from streamforge.contracts.media import (
    VIDEO_TIMESCALE,
    AudioRole,
    AudioSource,
    Source,
    SubtitleSource,
    VideoSource,
)
from streamforge.errors import (
    NotAVideo,
    NoVideoStream,
    SourceTooLong,
    UndecodableSource,
    UnsupportedDimensions,
    UnsupportedDolbyVision,
)
from streamforge.media import first_picture
from streamforge.media.container_header import DolbyVision, read_header
from streamforge.media.extent import refuse_early_end
from streamforge.media.fields import alone, is_field
from streamforge.media.looks import Look, LookReader, display_size, within
from streamforge.media.nal_units import has_alpha_layer
from streamforge.media.progress import Progress
from streamforge.media.source import decoded, films, main_video, open_source, stream_by_index
from streamforge.media.timeline import Timeline, as_declared, check_complete, read_timeline
from streamforge.media.variety import largest, variants
from streamforge.planning.color_tags import Understood, agree, understand
from streamforge.settings import InputSettings

MIN_SIDE = 16
MAX_ASPECT = 32
FALLBACK_FRAME_RATE = 25.0
MAX_FRAME_RATE = 1000
"""More than this per second are not shown by anything: the time stamps, or the header, are wrong."""

MAX_FAILURES = 1000
"""Packets in front of the first picture that may be broken."""

MAX_AUDIO_TRACKS = 64
MAX_SUBTITLE_TRACKS = 64
MAX_NAMED = 5
MAX_TITLE = 200
MAX_LANGUAGE = 35
"""What is told of a source goes along with every chunk of it; a megabyte of title in each would stop the job."""

DENSE_KEY_FRAMES = 1.0
"""Seconds between neighbours, on average. Below this, decoding from the one before costs nothing worth planning for."""

DOLBY_ONLY = {5, 10, 20}
"""Profiles of Dolby Vision that may have no base layer for others; of the rest, 4, 7, 8 and 9, all do."""

NEVER_INTERLACED = {"av1", "gif", "hevc", "png", "theora", "vp8", "vp9", "webp"}
INTERLACE_SAMPLES = (0.25, 0.5, 0.75)
"""Shares of the length at which a picture is looked at: an opening is often of another making than the rest."""


class ProbeTask(BaseModel):
    path: Path
    max_width: int
    max_height: int
    max_duration: float


def probe_task(path: Path, limits: InputSettings) -> ProbeTask:
    return ProbeTask(
        path=path,
        max_width=limits.max_width,
        max_height=limits.max_height,
        max_duration=limits.max_duration_seconds,
    )


def run(task: ProbeTask, on_progress: Progress) -> Source:
    """Raises NotAVideo, NoVideoStream, TruncatedSource, UndecodableSource, UnsupportedDimensions, SourceTooLong."""
    with open_source(task.path) as container:
        stream = main_video(container)
        if stream is None:
            return _only_sound(task, container, on_progress)
        _check_dimensions(stream.width, stream.height, task)
        index, declared_frames = stream.index, stream.frames
        timeline = read_timeline(container, stream, on_progress)
        found = as_declared(container, timeline)
    if timeline.frame_count == 0:
        raise UndecodableSource("The video stream is empty; there is no picture in this file.")
    check_complete(found, declared_frames)
    if declared_frames == 0:
        refuse_early_end(task.path, timeline.extent)
    with open_source(task.path) as container:
        stream = stream_by_index(container, index)
        declared = first_picture.declared_tags(stream)
        frame = _first_frame(container, stream)
        if fields := is_field(frame, stream.codec_context.name):
            frame = alone(frame)
        colors = understand(first_picture.color_tags(frame, stream), first_picture.samples(frame))
        look = LookReader().of(frame)
        video = _as_it_changes(_describe_video(stream, frame, look, timeline, colors), look, stream, timeline, task)
        if fields:
            video = _of_fields(video)
        _check_dimensions(video.width, video.height, task)
        _check_length(video.duration, task)
        if video.coding is not None:
            video.coding.tags_agree = agree(declared, look.tags)
        source = _source(task, container, video.start if video.seekable else None, video.duration, video)
        video.interlaced = fields or _is_interlaced(container, stream, frame, video)
        warnings = [*_left_out(container, stream), *_doubts(timeline), *_unseen(stream, timeline), *colors.warnings]
        return source.model_copy(update={"warnings": warnings})


def _source(
    task: ProbeTask, container: InputContainer, start: float | None, duration: float, video: VideoSource | None
) -> Source:
    return Source(
        container=container.format.name,
        size_bytes=task.path.stat().st_size,
        start=start,
        duration=duration,
        video=video,
        audio=list(_describe_audio(container)),
        audio_track_count=len(container.streams.audio),
        subtitles=list(_describe_subtitles(container)),
    )


def _only_sound(task: ProbeTask, container: InputContainer, on_progress: Progress) -> Source:
    """The timeline is that of the first track. Whether sound is wanted without pictures is for the plan to say."""
    tracks = list(_describe_audio(container))
    if not tracks:
        raise NoVideoStream("The file has no video stream, only pictures or data; send a file with video.")
    stream = container.streams[tracks[0].index]
    assert isinstance(stream, AudioStream)
    declared_packets = stream.frames
    timeline = read_timeline(container, stream, on_progress)
    check_complete(as_declared(container, timeline), declared_packets)
    if declared_packets == 0:
        refuse_early_end(task.path, timeline.extent)
    if not timeline.times:
        raise UndecodableSource("The sound in this file has no time stamps; it is damaged.")
    start = float(min(timeline.times) * timeline.time_base)
    _check_length(timeline.extent.seconds - start, task)
    return _source(task, container, start, timeline.extent.seconds - start, None)


def _check_length(seconds: float, task: ProbeTask) -> None:
    if seconds > task.max_duration:
        raise SourceTooLong(
            f"The video is {seconds / 3600:.1f} hours long; the limit is {task.max_duration / 3600:.1f}."
        )


def _as_it_changes(
    video: VideoSource, first: Look, stream: VideoStream, timeline: Timeline, task: ProbeTask
) -> VideoSource:
    """Its size is the largest that the film really uses; no picture may be larger than is accepted."""
    assert timeline.set_ups is not None
    found = variants(video, first, stream, timeline.set_ups)
    for each, _ in found:
        _check_not_too_large(each.width, each.height, task)
    size = largest(found)
    return video.model_copy(update={"width": size.width, "height": size.height, "changing": size.changing})


def _check_dimensions(width: int, height: int, task: ProbeTask) -> None:
    if width == 0 and height == 0:
        return  # Some streams only tell with the first frame.
    _check_not_too_large(width, height, task)
    if min(width, height) < MIN_SIDE or max(width, height) > MAX_ASPECT * min(width, height):
        raise UnsupportedDimensions(f"A picture of {width}×{height} is too small or too narrow to be a video.")


def _check_not_too_large(width: int, height: int, task: ProbeTask) -> None:
    if width > task.max_width or height > task.max_height:
        raise UnsupportedDimensions(
            f"The picture is {width}×{height}; the largest that is accepted is {task.max_width}×{task.max_height}."
        )


# ── the first picture ───────────────────────────────────────────────────────────────────────────────────────────────
def _first_frame(container: InputContainer, stream: VideoStream) -> VideoFrame:
    """Proof that the stream decodes, and the only trustworthy word on size, rotation and pixel format."""
    failures: list[Exception] = []

    def refused(error: Exception | None) -> UndecodableSource:
        message = "No picture in this video can be decoded; it is damaged or encrypted."
        return UndecodableSource(message, debug=str(error))

    def note(error: Exception) -> None:
        failures.append(error)
        if len(failures) > MAX_FAILURES:
            raise refused(error)

    for frame in decoded(container, stream, on_failure=note):
        return frame
    raise refused(failures[-1] if failures else None)


def _left_out(container: InputContainer, used: VideoStream) -> Iterator[str]:
    """What a viewer would miss: other films. Cover art, timecode, data and attachments are none."""
    streams = films(container)
    if len(streams) > 1:
        others = [_named(stream) for stream in streams if stream.index != used.index]
        told = ", ".join(others[:MAX_NAMED]) + (" and more" if len(others) > MAX_NAMED else "")
        yield f"The file has {len(streams)} video streams; {_named(used)} is used, {told} left out."


def _unseen(stream: VideoStream, timeline: Timeline) -> Iterator[str]:
    """What is in the video stream itself and cannot be shown."""
    key_frames = timeline.set_ups.all if timeline.set_ups is not None else []
    extradata = stream.codec_context.extradata or b""
    if stream.codec_context.name == "hevc" and key_frames and has_alpha_layer(extradata, key_frames[0].packet):
        yield "The video has a layer that says where it is transparent, which cannot be read; it is shown as opaque."


def _named(stream: VideoStream) -> str:
    return f"number {stream.index} ({stream.width}×{stream.height})"


def _doubts(timeline: Timeline) -> Iterator[str]:
    if (rate := timeline.average_rate) > MAX_FRAME_RATE:
        yield (
            f"By its time stamps the video has {rate:,.0f} pictures a second, which cannot be; {FALLBACK_FRAME_RATE:.0f} "
            "are assumed."
        )


def _is_interlaced(container: InputContainer, stream: VideoStream, first: VideoFrame, video: VideoSource) -> bool:
    """By what decoded pictures say of themselves; containers say it seldom, and not of those that differ."""
    if video.codec in NEVER_INTERLACED:
        return False
    if first.interlaced_frame or not video.seekable:
        return first.interlaced_frame
    return any(_sampled(container, stream, video.start + share * video.duration) for share in INTERLACE_SAMPLES)


def _sampled(container: InputContainer, stream: VideoStream, seconds: float) -> bool:
    with suppress(av.error.FFmpegError):
        container.seek(round(seconds / (stream.time_base or 1)), stream=stream)
        for frame in decoded(container, stream):
            return frame.interlaced_frame
    return False


def _describe_video(
    stream: VideoStream, frame: VideoFrame, look: Look, timeline: Timeline, colors: Understood
) -> VideoSource:
    seconds = timeline.time_base
    gaps = sorted(timeline.gaps())
    usual_gap = gaps[len(gaps) // 2] if gaps else 0
    seekable = timeline.without_time == 0 and 0 < timeline.average_rate <= MAX_FRAME_RATE
    frame_rate = _frame_rate(stream, float(usual_gap * seconds)) if seekable else _claimed_rate(stream)
    duration = _duration(timeline, usual_gap, seconds) if seekable else timeline.frame_count / frame_rate
    header = read_header(stream)
    _refuse_dolby_vision(header.dolby_vision)
    crop = within(header.crop, look)
    pixel_shape = float(stream.sample_aspect_ratio or 1)
    width, height = display_size(look, crop, pixel_shape)
    start = float((frame.pts or 0) * (frame.time_base or seconds)) if seekable else 0.0
    if stream.codec_context.name in {"png", "mjpeg", "bmp", "webp"} and timeline.frame_count == 1:
        raise NotAVideo("This is a single picture, not a video.")
    return VideoSource(
        index=stream.index,
        codec=stream.codec_context.name,
        coded_width=frame.width,
        coded_height=frame.height,
        width=width,
        height=height,
        rotation=look.rotation,
        pixel_format=frame.format.name,
        frame_rate=_plausible(frame_rate, timeline.frame_count, duration),
        frame_count=timeline.frame_count,
        start=start,
        duration=duration,
        reorder_gap=_reorder_gap(timeline),
        variable_frame_rate=bool(gaps) and gaps[-1] > 1.5 * gaps[0] + 2,
        seekable=seekable,
        key_frame_ticks=_key_frame_ticks(timeline, start, duration),
        mirrored=look.mirrored,
        bit_depth=look.samples.bit_depth,
        has_alpha=look.has_alpha,
        dynamic_range=colors.dynamic_range,
        color=colors.color,
        full_range=colors.full_range,
        mastering_display=first_picture.mastering_display(frame),
        content_light=first_picture.content_light(frame),
        crop=crop,
        pixel_shape=pixel_shape,
        told_shape=look.shape,
        told_tags=look.tags.as_tuple(),
        coding=timeline.log and timeline.log.coding(stream, frame, timeline.times, duration),
    )


def _of_fields(video: VideoSource) -> VideoSource:
    """Packets and times were those of fields. Where there are no times, places are counted in fields."""
    return video.model_copy(
        update={
            "fields": True,
            "frame_count": -(-video.frame_count // 2),
            "frame_rate": video.frame_rate / 2 if video.seekable else video.frame_rate,
            "reorder_gap": 2 * video.reorder_gap,
        }
    )


def _refuse_dolby_vision(kind: DolbyVision | None) -> None:
    """Pictures of these profiles are in a colour space of Dolby's own, and nothing says so to a decoder that does not know
    it: they would come out green and purple."""
    if kind is not None and kind.profile in DOLBY_ONLY and kind.compatible_with == 0:
        raise UnsupportedDolbyVision(
            f"The video is Dolby Vision profile {kind.profile} without a picture that other decoders can show; its colours "
            "would be wrong. Send it as profile 8, or as HDR10, HLG or SDR."
        )


def _key_frame_ticks(timeline: Timeline, start: float, duration: float) -> list[int]:
    if len(timeline.key_times) * DENSE_KEY_FRAMES > duration:
        return []
    return sorted(round((time * timeline.time_base - Fraction(start)) * VIDEO_TIMESCALE) for time in timeline.key_times)


def _duration(timeline: Timeline, usual_gap: int, seconds: Fraction) -> float:
    span = max(timeline.times) - min(timeline.times)
    last = timeline.last_duration if 0 < timeline.last_duration < 100 * usual_gap else usual_gap
    return float((span + last) * seconds)


def _reorder_gap(timeline: Timeline) -> float:
    ordered = sorted(timeline.times)
    gap = max((later - earlier for earlier, later in zip(ordered, ordered[2:], strict=False)), default=0)
    return float(gap * timeline.time_base)


def _frame_rate(stream: VideoStream, usual_gap: float) -> float:
    """The claimed rate where time stamps cannot say it better: Matroska rounds them to milliseconds. Else the usual
    one: what is claimed is an average, and a hole or two make it odd."""
    claimed = _claimed_rate(stream)
    if usual_gap == 0 or abs(1 / claimed - usual_gap) <= float(stream.time_base or 0):
        return claimed
    return 1 / usual_gap


def _claimed_rate(stream: VideoStream) -> float:
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    return rate if 0 < rate <= MAX_FRAME_RATE else FALLBACK_FRAME_RATE


def _plausible(frame_rate: float, frame_count: int, duration: float) -> float:
    """The usual rate, unless a few bursts made it absurd: then the average."""
    average = frame_count / duration if duration > 0 else frame_rate
    return frame_rate if 0.1 <= frame_rate <= MAX_FRAME_RATE and frame_rate < 8 * average else average


def _describe_audio(container: InputContainer) -> Iterator[AudioSource]:
    for stream in container.streams.audio[:MAX_AUDIO_TRACKS]:
        context = stream.codec_context
        if context is None or context.channels < 1 or context.sample_rate < 1:
            continue  # A track whose header is empty cannot be decoded.
        yield AudioSource(
            index=stream.index,
            codec=context.name,
            channels=context.channels,
            layout=context.layout.name,
            sample_rate=context.sample_rate,
            language=_language(stream.metadata.get("language")),
            title=stream.metadata.get("title", "")[:MAX_TITLE] or None,
            default=bool(stream.disposition & Disposition.default),
            role=_role(stream.disposition),
        )


def _describe_subtitles(container: InputContainer) -> Iterator[SubtitleSource]:
    for stream in container.streams.subtitles[:MAX_SUBTITLE_TRACKS]:
        context, about = stream.codec_context, stream.disposition
        yield SubtitleSource(
            index=stream.index,
            codec=context.name if context is not None else "unknown",
            language=_language(stream.metadata.get("language")),
            title=stream.metadata.get("title", "")[:MAX_TITLE] or None,
            default=bool(about & Disposition.default),
            forced=bool(about & Disposition.forced),
            hearing_impaired=bool(about & (Disposition.hearing_impaired | Disposition.captions)),
        )


def _role(disposition: Disposition) -> AudioRole:
    if disposition & (Disposition.visual_impaired | Disposition.descriptions):
        return AudioRole.DESCRIPTION
    if disposition & Disposition.hearing_impaired:
        return AudioRole.CLEAR_SPEECH
    return AudioRole.COMMENTARY if disposition & Disposition.comment else AudioRole.PROGRAMME


def _language(tag: str | None) -> str | None:
    return (
        tag
        if tag and tag != "und" and len(tag) <= MAX_LANGUAGE and tag.isascii() and tag.replace("-", "").isalnum()
        else None
    )
