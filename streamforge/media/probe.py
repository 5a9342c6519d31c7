"""What is in this file, and can it be processed? Reads every packet header once and decodes one frame.

The header's own claims (duration, frame count, frame rate) are not trusted: WebM from a browser has no duration, and
truncated or hostile files lie.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from pathlib import Path

import av
from av.audio.stream import AudioStream
from av.container import InputContainer
from av.stream import Disposition
from av.video.frame import VideoFrame
from av.video.stream import VideoStream
from pydantic import BaseModel

from streamforge.contracts.media import VIDEO_TIMESCALE, AudioRole, AudioSource, Source, SubtitleSource, VideoSource
from streamforge.errors import (
    NotAVideo,
    NoVideoStream,
    SourceTooLong,
    UndecodableSource,
    UnsupportedDimensions,
)
from streamforge.media import first_picture
from streamforge.media.extent import refuse_early_end
from streamforge.media.late_streams import analysis_needed
from streamforge.media.progress import Progress
from streamforge.media.source import decoded, open_source, stream_by_index
from streamforge.media.tallies import CAPTIONS, SoundFormat, Tallies
from streamforge.media.timeline import Timeline, as_declared, check_complete, read_timeline
from streamforge.planning.color_tags import Understood, understand
from streamforge.planning.frame_rates import highest_rate
from streamforge.planning.stream_choice import (
    PICTURE_CODECS,
    Choice,
    Seen,
    choose,
    why_no_picture,
    why_no_sound,
)
from streamforge.planning.text import CEA_608
from streamforge.settings import InputSettings

MIN_SIDE = 16
MAX_ASPECT = 32
FALLBACK_FRAME_RATE = 25.0
MAX_FRAME_RATE = 1000
"""More than this per second are not shown by anything: the time stamps, or the header, are wrong."""

ALMOST_SQUARE = Fraction(1, 50)
"""Pixel shapes this close to 1 are somebody's rounding, not an intention."""

MAX_FAILURES = 1000
"""Packets in front of the first picture that may be broken."""

MAX_AUDIO_TRACKS = 64
MAX_SUBTITLE_TRACKS = 64
MAX_TITLE = 200
"""What is told of a source goes along with every chunk of it; a megabyte of title in each would stop the job."""

DENSE_KEY_FRAMES = 1.0
"""Seconds between neighbours, on average. Below this, decoding from the one before costs nothing worth planning for."""

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
    reading = _read_all(task, on_progress)
    film = reading.choice.film
    if film is None:
        return _only_sound(task, reading)
    timeline = reading.timeline
    if timeline.frame_count == 0:
        raise UndecodableSource("There is no picture in the video stream; it is empty, or damaged beyond reading.")
    _check_complete(task, reading)
    with open_source(task.path, reading.analysed_bytes) as container:
        stream = stream_by_index(container, film.index)
        _check_dimensions(stream.width, stream.height, task)
        frame = _first_frame(container, stream)
        colors = understand(first_picture.color_tags(frame, stream), first_picture.samples(frame))
        video = _describe_video(stream, frame, timeline, colors)
        _check_dimensions(video.width, video.height, task)
        _check_length(video.duration, task)
        source = _source(task, container, reading, video.start if video.seekable else None, video.duration)
        video.interlaced = _is_interlaced(container, stream, frame, video)
        warnings = [*reading.choice.warnings, *_doubts(timeline), *colors.warnings]
        return source.model_copy(update={"video": video, "warnings": warnings})


@dataclass(frozen=True)
class _Reading:
    """What came of reading every packet: the timeline of one stream, `index`, and what there is of all. `declared` is how
    many frames its index lists, 0 where it has none; `found` is how many of them are there."""

    analysed_bytes: int
    index: int
    timeline: Timeline
    declared: int
    found: int
    streams: Sequence[Seen]
    sound: Mapping[int, SoundFormat]
    captions: Mapping[int, Sequence[int]]

    @cached_property
    def choice(self) -> Choice:
        return choose(self.streams)


def _read_all(task: ProbeTask, on_progress: Progress) -> _Reading:
    """What the header speaks for is taken for the film; where the packets speak for another stream the file is read again.

    Raises UndecodableSource, NoVideoStream: there is neither a picture nor a sound that can be decoded.
    """
    analysed_bytes = analysis_needed(task.path)
    reading = _read(task, analysed_bytes, None, on_progress)
    right = _main(reading.streams)
    return reading if right == reading.index else _read(task, analysed_bytes, right, on_progress)


def _read(task: ProbeTask, analysed_bytes: int, index: int | None, on_progress: Progress) -> _Reading:
    with open_source(task.path, analysed_bytes) as container:
        tallies = Tallies(container)
        stream = container.streams[_main(tallies.declared()) if index is None else index]
        assert isinstance(stream, VideoStream | AudioStream)
        declared = stream.frames
        timeline = read_timeline(container, stream, tallies, on_progress)
        found = as_declared(container, timeline)
        return _Reading(
            analysed_bytes=analysed_bytes,
            index=stream.index,
            timeline=timeline,
            declared=declared,
            found=found,
            streams=tallies.seen(),
            sound=tallies.sound(),
            captions=tallies.captions(),
        )


def _main(streams: Sequence[Seen]) -> int:
    """The stream whose timeline is that of the result: the film, or the first track where there is only sound."""
    choice = choose(streams)
    found = [choice.film] if choice.film is not None else choice.sound
    if found:
        return found[0].index
    if (why := why_no_picture(streams) or why_no_sound(streams)) is not None:
        raise UndecodableSource(why)
    held = "only pictures, text or data" if streams else "nor anything else that can be read"
    raise NoVideoStream(f"The file has neither video nor sound, {held}; send a file with video.")


def _check_complete(task: ProbeTask, reading: _Reading) -> None:
    check_complete(reading.found, reading.declared)
    if reading.declared == 0:
        refuse_early_end(task.path, reading.timeline.extent, reading.analysed_bytes)


def _source(
    task: ProbeTask, container: InputContainer, reading: _Reading, start: float | None, duration: float
) -> Source:
    return Source(
        container=container.format.name,
        analysed_bytes=reading.analysed_bytes,
        size_bytes=task.path.stat().st_size,
        start=start,
        duration=duration,
        audio=list(_describe_audio(container, reading)),
        audio_track_count=len(reading.choice.sound),
        subtitles=[*_describe_subtitles(container, reading), *_captions_in(reading.choice.film, reading)],
    )


def _only_sound(task: ProbeTask, reading: _Reading) -> Source:
    """The timeline is that of the first track. Whether sound is wanted without pictures is for the plan to say."""
    _check_complete(task, reading)
    timeline = reading.timeline
    if not timeline.times:
        raise UndecodableSource("The sound in this file has no time stamps; it is damaged.")
    start = float(min(timeline.times) * timeline.time_base)
    _check_length(timeline.extent.seconds - start, task)
    with open_source(task.path, reading.analysed_bytes) as container:
        source = _source(task, container, reading, start, timeline.extent.seconds - start)
    told = {"unusable_video": why_no_picture(reading.streams), "warnings": reading.choice.warnings}
    return source.model_copy(update=told)


def _check_length(seconds: float, task: ProbeTask) -> None:
    if seconds > task.max_duration:
        raise SourceTooLong(
            f"The video is {seconds / 3600:.1f} hours long; the limit is {task.max_duration / 3600:.1f}."
        )


def _check_dimensions(width: int, height: int, task: ProbeTask) -> None:
    if width == 0 and height == 0:
        return  # Some streams only tell with the first frame.
    if width > task.max_width or height > task.max_height:
        raise UnsupportedDimensions(
            f"The picture is {width}×{height}; the largest that is accepted is {task.max_width}×{task.max_height}."
        )
    if min(width, height) < MIN_SIDE or max(width, height) > MAX_ASPECT * min(width, height):
        raise UnsupportedDimensions(f"A picture of {width}×{height} is too small or too narrow to be a video.")


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


def _describe_video(stream: VideoStream, frame: VideoFrame, timeline: Timeline, colors: Understood) -> VideoSource:
    seconds = timeline.time_base
    gaps = sorted(timeline.gaps())
    usual_gap = gaps[len(gaps) // 2] if gaps else 0
    seekable = timeline.without_time == 0 and 0 < timeline.average_rate <= MAX_FRAME_RATE
    frame_rate = _frame_rate(stream, float(usual_gap * seconds)) if seekable else _claimed_rate(stream)
    duration = _duration(timeline, usual_gap, seconds) if seekable else timeline.frame_count / frame_rate
    rotation, mirrored = first_picture.orientation(frame)
    width, height = _display_size(stream, frame, rotation)
    start = float((frame.pts or 0) * (frame.time_base or seconds)) if seekable else 0.0
    if stream.codec_context.name in PICTURE_CODECS and timeline.frame_count == 1:
        raise NotAVideo("This is a single picture, not a video.")
    return VideoSource(
        index=stream.index,
        codec=stream.codec_context.name,
        coded_width=frame.width,
        coded_height=frame.height,
        width=width,
        height=height,
        rotation=rotation,
        pixel_format=frame.format.name,
        frame_rate=_plausible(frame_rate, timeline.frame_count, duration),
        frame_count=timeline.frame_count,
        start=start,
        duration=duration,
        reorder_gap=_reorder_gap(timeline),
        variable_frame_rate=bool(gaps) and gaps[-1] > 1.5 * gaps[0] + 2,
        seekable=seekable,
        key_frame_ticks=_key_frame_ticks(timeline, start, duration),
        mirrored=mirrored,
        bit_depth=first_picture.samples(frame).bit_depth,
        has_alpha=first_picture.has_alpha(frame),
        dynamic_range=colors.dynamic_range,
        color=colors.color,
        full_range=colors.full_range,
        mastering_display=first_picture.mastering_display(frame),
        content_light=first_picture.content_light(frame),
        highest_frame_rate=highest_rate(sorted(timeline.times), seconds, frame_rate) if seekable else 0.0,
        coding=timeline.log and timeline.log.coding(stream, frame, timeline.times, duration),
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


def _display_size(stream: VideoStream, frame: VideoFrame, rotation: int) -> tuple[int, int]:
    """The picture with square pixels, as a viewer sees it: the longer reading of the pixel shape, so no detail is lost."""
    shape = stream.sample_aspect_ratio or Fraction(1)
    width, height = Fraction(frame.width), Fraction(frame.height)
    if Fraction(1, 16) <= shape <= 16 and abs(shape - 1) > ALMOST_SQUARE:
        width, height = (width * shape, height) if shape >= 1 else (width, height / shape)
    if rotation in {90, 270}:
        width, height = height, width
    return round(width), round(height)


def _describe_audio(container: InputContainer, reading: _Reading) -> Iterator[AudioSource]:
    for seen in reading.choice.sound[:MAX_AUDIO_TRACKS]:
        stream, sound = container.streams[seen.index], reading.sound[seen.index]
        yield AudioSource(
            index=seen.index,
            codec=sound.codec,
            channels=sound.channels,
            layout=sound.layout,
            sample_rate=sound.sample_rate,
            language=seen.language,
            title=stream.metadata.get("title", "")[:MAX_TITLE] or None,
            default=seen.is_default,
            role=_role(stream.disposition),
        )


def _describe_subtitles(container: InputContainer, reading: _Reading) -> Iterator[SubtitleSource]:
    for seen in reading.choice.text[:MAX_SUBTITLE_TRACKS]:
        if seen.codec == CAPTIONS:
            yield from _captions_in(seen, reading)
            continue
        stream = container.streams[seen.index]
        about = stream.disposition
        yield SubtitleSource(
            index=seen.index,
            codec=seen.codec,
            language=seen.language,
            title=stream.metadata.get("title", "")[:MAX_TITLE] or None,
            default=seen.is_default,
            forced=bool(about & Disposition.forced),
            hearing_impaired=bool(about & (Disposition.hearing_impaired | Disposition.captions)),
        )


def _captions_in(seen: Seen | None, reading: _Reading) -> Iterator[SubtitleSource]:
    """A track for each channel, of which nobody says what language it is in; in a track of their own, at least the first."""
    if seen is None:
        return
    for channel in reading.captions.get(seen.index, [1] if seen.kind == "subtitle" else []):
        yield SubtitleSource(
            index=seen.index,
            codec=CEA_608,
            language=seen.language if seen.kind == "subtitle" else None,
            title=f"CC{channel}",
            hearing_impaired=True,
            channel=channel,
        )


def _role(disposition: Disposition) -> AudioRole:
    if disposition & (Disposition.visual_impaired | Disposition.descriptions):
        return AudioRole.DESCRIPTION
    if disposition & Disposition.hearing_impaired:
        return AudioRole.CLEAR_SPEECH
    return AudioRole.COMMENTARY if disposition & Disposition.comment else AudioRole.PROGRAMME
