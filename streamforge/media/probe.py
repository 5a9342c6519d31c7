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

from streamforge.contracts.media import AudioRole, AudioSource, Source, SubtitleSource, VideoSource
from streamforge.errors import (
    NotAVideo,
    NoVideoStream,
    SourceTooLong,
    TruncatedSource,
    UndecodableSource,
    UnsupportedDimensions,
)
from streamforge.media import first_picture
from streamforge.media.avi_index import null_frames
from streamforge.media.extent import refuse_early_end
from streamforge.media.film import MAX_FRAME_RATE, Film
from streamforge.media.progress import Progress
from streamforge.media.source import decoded, films, main_video, open_source, stream_by_index
from streamforge.media.timeline import SEND_COMPLETE, TrackReading, as_declared, check_complete, read_packets
from streamforge.planning.clocks import sound_clock
from streamforge.planning.color_tags import Understood, understand
from streamforge.planning.film_times import FilmTimes
from streamforge.planning.timeline_notes import from_start, warnings_of
from streamforge.settings import InputSettings

MIN_SIDE = 16
MAX_ASPECT = 32
FALLBACK_FRAME_RATE = 25.0
ALMOST_SQUARE = Fraction(1, 50)
"""Pixel shapes this close to 1 are somebody's rounding, not an intention."""

MAX_FAILURES = 1000
"""Packets in front of the first picture that may be broken."""

MAX_AUDIO_TRACKS = 64
MAX_SUBTITLE_TRACKS = 64
MAX_NAMED = 5
MAX_TITLE = 200
MAX_LANGUAGE = 35
"""What is told of a source goes along with every chunk of it; a megabyte of title in each would stop the job."""

MAX_WITHOUT_TIME = 64
"""Pictures at the beginning that may have no time, before the one by which theirs is reckoned."""

NEVER_INTERLACED = {"av1", "gif", "hevc", "png", "theora", "vp8", "vp9", "webp"}
INTERLACE_SAMPLES = (0.25, 0.5, 0.75)
"""Shares of the length at which a picture is looked at: an opening is often of another making than the rest."""


class ProbeTask(BaseModel):
    path: Path
    max_width: int
    max_height: int
    max_duration: float
    keep_damaged: bool = False


def probe_task(path: Path, limits: InputSettings, *, keep_damaged: bool = False) -> ProbeTask:
    return ProbeTask(
        path=path,
        max_width=limits.max_width,
        max_height=limits.max_height,
        max_duration=limits.max_duration_seconds,
        keep_damaged=keep_damaged,
    )


def run(task: ProbeTask, on_progress: Progress) -> Source:
    """Raises NotAVideo, NoVideoStream, TruncatedSource, UndecodableSource, UnsupportedDimensions, SourceTooLong."""
    with open_source(task.path) as container:
        stream = main_video(container)
        if stream is None:
            return _only_sound(task, container, on_progress)
        _check_dimensions(stream.width, stream.height, task)
        reading = read_packets(container, films(container), on_progress)
        if reading.films[stream.index].frame_count == 0:
            raise UndecodableSource("The video stream is empty; there is no picture in this file.")
        repeated = null_frames(task.path, stream.index) if container.format.name == "avi" else 0
        damage = _damage(task, container, stream, reading.films[stream.index], repeated)
        film = Film(reading, stream.index, container.format.name, _declared_end(stream) if repeated else None)
    with open_source(task.path) as container:
        stream = stream_by_index(container, film.index)
        frame, start = _first_picture(container, stream, film)
        colors = understand(first_picture.color_tags(frame, stream), first_picture.samples(frame))
        video, times = _describe_video(stream, frame, film, start, colors)
        _check_dimensions(video.width, video.height, task)
        _check_length(video.duration, task)
        source = _source(task, container, video.start if film.has_times else None, video.duration, video)
        video.interlaced = _is_interlaced(container, stream, frame, video)
        notes = film.notes(times, video.start)
        warnings = [
            *([damage] if damage else []),
            *_left_out(container, stream, film),
            *_doubts(film),
            *colors.warnings,
        ]
        audio = [track.model_copy(update={"clock": film.sound_clock(track.index)}) for track in source.audio]
        found = {
            "warnings": [*warnings, *warnings_of(notes)],
            "timeline_notes": notes,
            "keeps_damage": task.keep_damaged,
            "audio": [track for track in audio if track.index not in film.continuing_sounds],
        }
        return source.model_copy(update=found)


def _damage(
    task: ProbeTask,
    container: InputContainer,
    stream: VideoStream | AudioStream,
    track: TrackReading,
    repeated: int = 0,
) -> str | None:
    """What speaks for it that the file was cut off; None when nothing does. `repeated` pictures of the index are not in
    the file, as they should not be. Raises TruncatedSource, unless damage is to be kept."""
    try:
        check_complete(as_declared(container, track) + repeated, stream.frames)
        if stream.frames == 0:
            refuse_early_end(task.path, track.extent)
    except TruncatedSource as error:
        if not task.keep_damaged:
            raise
        return f"{error.message.removesuffix(SEND_COMPLETE)} What is there was kept."
    return None


def _declared_end(stream: VideoStream) -> float | None:
    if stream.duration is None or stream.time_base is None:
        return None
    return float(((stream.start_time or 0) + stream.duration) * stream.time_base)


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
    reading = read_packets(container, [], on_progress)
    first = reading.sounds[stream.index]
    damage = _damage(task, container, stream, first)
    sound = sound_clock({index: track.finder for index, track in reading.sounds.items()}, stream.index)
    if sound is None:
        raise UndecodableSource("The sound in this file has no time stamps; it is damaged.")
    _check_length(sound.end - sound.start, task)
    source = _source(task, container, sound.start, sound.end - sound.start, None)
    audio = [track.model_copy(update={"clock": sound.clocks[track.index]}) for track in source.audio]
    notes = from_start(sound.notes, sound.start)
    warnings = [*([damage] if damage else []), *warnings_of(notes)]
    return source.model_copy(update={"audio": audio, "timeline_notes": notes, "warnings": warnings})


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
def _first_picture(container: InputContainer, stream: VideoStream, film: Film) -> tuple[VideoFrame, Fraction]:
    """Proof that the stream decodes, and the only trustworthy word on size, rotation and pixel format; and its time, in
    seconds of the film's clock."""
    failures: list[Exception] = []

    def refused(error: Exception | None) -> UndecodableSource:
        message = "No picture in this video can be decoded; it is damaged or encrypted."
        return UndecodableSource(message, debug=str(error))

    def note(error: Exception) -> None:
        failures.append(error)
        if len(failures) > MAX_FAILURES:
            raise refused(error)

    first: VideoFrame | None = None
    for number, frame in enumerate(decoded(container, stream, film.clock.clock, on_failure=note)):
        first = first or frame
        start = film.start_of(frame, number)
        if start is not None or number > MAX_WITHOUT_TIME:
            return first, start or Fraction(0)
    if first is None:
        raise refused(failures[-1] if failures else None)
    return first, film.start_of(first, 0) or Fraction(0)


def _left_out(container: InputContainer, used: VideoStream, film: Film) -> Iterator[str]:
    """What a viewer would miss: other films. Cover art, timecode, data and attachments are none."""
    streams = [stream for stream in films(container) if stream.index not in film.clock.clock.continued_by]
    if len(streams) > 1:
        others = [_named(stream) for stream in streams if stream.index != used.index]
        told = ", ".join(others[:MAX_NAMED]) + (" and more" if len(others) > MAX_NAMED else "")
        yield f"The file has {len(streams)} video streams; {_named(used)} is used, {told} left out."


def _named(stream: VideoStream) -> str:
    return f"number {stream.index} ({stream.width}×{stream.height})"


def _doubts(film: Film) -> Iterator[str]:
    if (rate := film.average_rate) > MAX_FRAME_RATE:
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
    stream: VideoStream, frame: VideoFrame, film: Film, start: Fraction, colors: Understood
) -> tuple[VideoSource, FilmTimes]:
    times = film.times_from(start)
    count = film.timeline.frame_count
    seekable = film.is_seekable
    frame_rate = _frame_rate(stream, times.usual_gap) if seekable else _claimed_rate(stream)
    duration = times.duration if film.has_times else max(times.duration, count / frame_rate)
    rotation, mirrored = first_picture.orientation(frame)
    width, height = _display_size(stream, frame, rotation)
    if stream.codec_context.name in {"png", "mjpeg", "bmp", "webp"} and count == 1:
        raise NotAVideo("This is a single picture, not a video.")
    video = VideoSource(
        index=stream.index,
        codec=stream.codec_context.name,
        coded_width=frame.width,
        coded_height=frame.height,
        width=width,
        height=height,
        rotation=rotation,
        pixel_format=frame.format.name,
        frame_rate=_plausible(frame_rate, times.average_rate if film.has_times else count / duration),
        frame_count=count,
        start=float(start),
        duration=duration,
        reorder_gap=times.reorder_gap,
        variable_frame_rate=times.is_variable,
        seekable=seekable,
        key_frame_ticks=times.key_frame_ticks,
        key_positions=times.key_positions,
        clock=film.clock.clock,
        undecodable=times.in_front + film.clock.lead_in,
        mirrored=mirrored,
        bit_depth=first_picture.samples(frame).bit_depth,
        has_alpha=first_picture.has_alpha(frame),
        dynamic_range=colors.dynamic_range,
        color=colors.color,
        full_range=colors.full_range,
        mastering_display=first_picture.mastering_display(frame),
        content_light=first_picture.content_light(frame),
        coding=film.coding(stream, frame, duration),
    )
    return video, times


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


def _plausible(frame_rate: float, average: float) -> float:
    """The usual rate, unless a few bursts made it absurd: then the average."""
    average = average or frame_rate
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
