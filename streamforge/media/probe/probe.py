"""What is in this file, and can it be processed? Reads every packet header once and decodes a few frames.

The header's own claims (duration, frame count, frame rate) are not trusted: WebM from a browser has no duration, and
truncated or hostile files lie.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from av.audio.stream import AudioStream
from av.container import InputContainer
from av.video.stream import VideoStream

from streamforge.contracts.media.source import Source
from streamforge.contracts.tasks import PROBE, PacketsRead, ProbeTask
from streamforge.errors import NoVideoStream, SourceTooLong, TruncatedSource, UndecodableSource, UnsupportedDimensions
from streamforge.media.container.avi_index import null_frames
from streamforge.media.container.cut_off import is_cut_off
from streamforge.media.container.early_end import ReadExtent, refuse_early_end, unread_share
from streamforge.media.container.late_streams import analysis_needed
from streamforge.media.container.opening import open_source, stream_by_index
from streamforge.media.probe.complexity import refuse_too_much
from streamforge.media.probe.film import Film, continuing_streams
from streamforge.media.probe.film_description import DescribedFilm
from streamforge.media.probe.packets import (
    SEND_COMPLETE,
    Reading,
    as_declared,
    check_complete,
    only_keys_are_timed,
    read_packets,
)
from streamforge.media.probe.tallies import Tallies
from streamforge.media.probe.tracks import Found, captions_in, describe_audio, describe_subtitles
from streamforge.media.process.performing import Tell, performs
from streamforge.planning.stream_choice import Seen, choose, why_no_picture, why_no_sound
from streamforge.timeline.clocks import sound_clock
from streamforge.timeline.notes import from_start, warnings_of

ISO_MEDIA = "mov,mp4,m4a,3gp,3g2,mj2"

MICROSECONDS = 1_000_000

MEDIA_TO_THE_END = {"flv", "matroska,webm", "wav", "ogg"}
UNREAD_SHARE = 0.2
"""Of the file. Indexes, fonts and streams without a decoder may lie at its end, too."""

MIN_SIDE = 16
MAX_ASPECT = 32


@performs(PROBE)
def run(task: ProbeTask, on_progress: Tell[PacketsRead]) -> Source:
    """Raises NotAVideo, NoVideoStream, TruncatedSource, UndecodableSource, UnsupportedDimensions, SourceTooLong,
    SourceTooComplex."""
    file = _read(task, on_progress)
    return _only_sound(task, file) if file.found.choice.film is None else _film(task, file, file.found.choice.film)


@dataclass(frozen=True)
class _File:
    """What came of reading every packet: those of pictures and of sound, what there is of all streams, and which of them are
    used. `main` is the stream that the timeline is that of, `continuing` only go on where others end; `damage` is the
    sentence that says what is missing, where damage is kept. `declared_end` is when the picture is over by an index, which
    has pictures that FFmpeg does not: those that are the one before them again (AVI), and the last one, which may stay
    (MP4)."""

    container: str
    analysed_bytes: int
    reading: Reading
    streams: Sequence[Seen]
    found: Found
    main: int
    continuing: frozenset[int]
    damage: str | None
    declared_end: float | None


def _read(task: ProbeTask, on_progress: Tell[PacketsRead]) -> _File:
    """Raises TruncatedSource, UndecodableSource, NoVideoStream: there is neither a picture nor a sound that can be
    decoded."""
    analysed_bytes = analysis_needed(task.path)
    with open_source(task.path, analysed_bytes) as container:
        refuse_too_much(container, task)
        tallies = Tallies(container)
        reading = read_packets(container, tallies, task, on_progress)
        every = [_with_repeated(stream, task.path, container) for stream in tallies.seen()]
        kind = container.format.name
        continuing = continuing_streams(reading, kind, _usable(every))
        streams = [stream for stream in every if stream.index not in continuing]
        found = Found(choose(streams), tallies.sound(), tallies.captions())
        main = _main(streams, found)
        stream = container.streams[main]
        assert isinstance(stream, VideoStream | AudioStream)
        if main in reading.films and reading.films[main].frame_count == 0:
            raise UndecodableSource("There is no picture in the video stream; it is empty, or damaged beyond reading.")
        repeated = null_frames(task.path, main) if kind == "avi" and isinstance(stream, VideoStream) else 0
        track = reading.track(main)
        # Not behind an edit list, of which FFmpeg tells neither what it hides nor how long the rest is.
        is_whole_film = kind == ISO_MEDIA and stream.frames > 0 and not is_cut_off(task.path)
        there = stream.frames if is_whole_film else as_declared(container, track) + repeated
        extent = track.extent
        if kind == "flv" and isinstance(stream, VideoStream) and stream.average_rate:
            # Its clock may wrap, or stand still: then so many pictures last as long as they should.
            counted = (extent.begin or 0.0) + track.packet_count / float(stream.average_rate)
            extent = replace(extent, seconds=max(extent.seconds, counted))
        damage = _damage(task, there, stream.frames, extent, analysed_bytes)
        shown = reading.films[main].frame_count if main in reading.films else track.packet_count
        untrimmed = _untrimmed(extent, shown, stream.frames) if is_whole_film and shown < stream.frames else None
        return _File(
            container=kind,
            analysed_bytes=analysed_bytes,
            reading=reading,
            streams=streams,
            found=found,
            main=main,
            continuing=frozenset(continuing),
            damage=damage,
            declared_end=_declared_end(container, stream, untrimmed) if repeated or is_whole_film else None,
        )


def _with_repeated(stream: Seen, path: Path, container: InputContainer) -> Seen:
    """In AVI a picture that stays for long is one packet, and a row of empty ones: no cover."""
    if container.format.name != "avi" or stream.kind != "video" or not stream.packets:
        return stream
    return replace(stream, packets=stream.packets + null_frames(path, stream.index))


def _usable(streams: Sequence[Seen]) -> frozenset[int]:
    return frozenset(stream.index for stream in streams if not stream.obstacle and not stream.is_cover)


def _main(streams: Sequence[Seen], found: Found) -> int:
    """The stream whose timeline is that of the result: the film, or the first track where there is only sound."""
    choice = found.choice
    usable = [choice.film] if choice.film is not None else choice.sound
    if usable:
        return usable[0].index
    if (why := why_no_picture(streams) or why_no_sound(streams)) is not None:
        raise UndecodableSource(why)
    held = "only pictures, text or data" if streams else "nor anything else that can be read"
    raise NoVideoStream(f"The file has neither video nor sound, {held}; send a file with video.")


def _damage(task: ProbeTask, found: int, declared: int, extent: ReadExtent, analysed_bytes: int) -> str | None:
    """What speaks for it that the file was cut off; None when nothing does. Of `declared` packets so many were found; 0 =
    no index says. Raises TruncatedSource, unless damage is to be kept."""
    try:
        check_complete(found, declared)
        if declared == 0:
            refuse_early_end(task.path, extent, analysed_bytes)
    except TruncatedSource as error:
        if not task.keep_damaged:
            raise
        return f"{error.message.removesuffix(SEND_COMPLETE)}What is there was kept."
    return None


SAME_LENGTH = 0.1
"""Seconds."""


def _untrimmed(extent: ReadExtent, shown: int, frames: int) -> float:
    """Seconds that a track of so many `frames` lasts of which an edit list shows some: the others as long as these."""
    each = (extent.seconds - max(0.0, extent.begin or 0.0)) / max(1, shown)  # What is hidden lies in front of 0.
    return extent.seconds + (frames - shown) * each


def _declared_end(
    container: InputContainer, stream: VideoStream | AudioStream, untrimmed: float | None
) -> float | None:
    """By the stream itself, and by the container: an edit list makes the film shorter than its track. None where it says that the
    film lasts as long as the whole track (`untrimmed`), of which it hides a part."""
    if stream.duration is None or stream.time_base is None or container.duration is None:
        return None
    of_track = float(((stream.start_time or 0) + stream.duration) * stream.time_base)
    of_film = ((container.start_time or 0) + container.duration) / MICROSECONDS
    end = min(of_track, of_film)
    return None if untrimmed is not None and abs(end - untrimmed) < SAME_LENGTH else end


# ── what came of it ─────────────────────────────────────────────────────────────────────────────────────────────────
def _film(task: ProbeTask, file: _File, chosen: Seen) -> Source:
    heard = {track.index for track in file.found.choice.sound} | file.continuing
    are_only_keys_timed = partial(only_keys_are_timed, task.path, chosen.index, file.analysed_bytes)
    film = Film(
        file.reading, chosen.index, file.container, heard, file.declared_end, are_only_keys_timed=are_only_keys_timed
    )
    with open_source(task.path, file.analysed_bytes) as container:
        stream = stream_by_index(container, chosen.index)
        _check_dimensions(stream.width, stream.height, task)
        described = DescribedFilm(container, stream, film)
        video = described.video
        for variant in described.variants:
            _check_not_too_large(variant.width, variant.height, task)
        _check_dimensions(video.width, video.height, task)
        _check_length(video.duration, task)
        notes = film.notes(described.times, video.start)
        source = _source(task, container, file, video.start if film.has_times else None, video.duration)
        audio = [track.model_copy(update={"clock": film.sound_clock(track.index)}) for track in source.audio]
        warnings = [
            *([file.damage] if file.damage else []),
            *_unread(task, file),
            *file.found.choice.warnings,
            *described.warnings(),
            *warnings_of(notes),
        ]
        return source.model_copy(update={"video": video, "audio": audio, "timeline_notes": notes, "warnings": warnings})


def _only_sound(task: ProbeTask, file: _File) -> Source:
    """The timeline is that of the first track. Whether sound is wanted without pictures is for the plan to say."""
    sound = sound_clock({index: track.finder for index, track in file.reading.sounds.items()}, file.main)
    if sound is None:
        raise UndecodableSource("The sound in this file has no time stamps; it is damaged.")
    _check_length(sound.end - sound.start, task)
    with open_source(task.path, file.analysed_bytes) as container:
        source = _source(task, container, file, sound.start, sound.end - sound.start)
    notes = from_start(sound.notes, sound.start)
    return source.model_copy(
        update={
            "audio": [track.model_copy(update={"clock": sound.clocks[track.index]}) for track in source.audio],
            "unusable_video": why_no_picture(file.streams),
            "timeline_notes": notes,
            "warnings": [*([file.damage] if file.damage else []), *file.found.choice.warnings, *warnings_of(notes)],
        }
    )


def _unread(task: ProbeTask, file: _File) -> Iterator[str]:
    """Of containers in which media lies to the end: another recording behind the first is not read on by FFmpeg."""
    furthest = max((track.extent.bytes for track in file.reading.all), default=0.0)
    share = unread_share(task.path, ReadExtent(bytes=furthest))
    if file.container in MEDIA_TO_THE_END and share > UNREAD_SHARE:
        yield (
            f"The last {100 * share:.0f} % of the file are not read: its container ends before them. Files that were "
            "only put one behind the other have to be joined by a program that knows their format."
        )


def _source(task: ProbeTask, container: InputContainer, file: _File, start: float | None, duration: float) -> Source:
    return Source(
        container=file.container,
        analysed_bytes=file.analysed_bytes,
        size_bytes=task.path.stat().st_size,
        start=start,
        duration=duration,
        audio=list(describe_audio(container, file.found)),
        audio_track_count=len(file.found.choice.sound),
        subtitles=[*describe_subtitles(container, file.found), *captions_in(file.found.choice.film, file.found)],
        keeps_damage=task.keep_damaged,
    )


def _check_length(seconds: float, task: ProbeTask) -> None:
    if seconds > task.max_duration:
        raise SourceTooLong(
            f"The video is {seconds / 3600:.1f} hours long; the limit is {task.max_duration / 3600:.1f}."
        )


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
