"""The plan of one job: everything that can be decided is decided here, before the first frame is encoded."""

from math import ceil

from streamforge.contracts.media import VIDEO_TIMESCALE, AudioRendition, Plan, Source, VideoSource
from streamforge.errors import NoAudioStream, NoVideoStream
from streamforge.planning.audio import audio_renditions, audio_warnings
from streamforge.planning.chunks import cut_into_chunks
from streamforge.planning.ladder import build_ladder
from streamforge.planning.protection import with_protection
from streamforge.planning.quality import no_quality, quality_target
from streamforge.planning.text import with_text
from streamforge.settings import Settings

MAX_EDIT_OFFSET_SECONDS = 60
"""Enough for any slide show; the field in the edit list ends at six hours."""


def make_plan(source: Source, settings: Settings) -> Plan:
    """Raises NoVideoStream, NoAudioStream: what the profile is for is not in the file; InvalidSettings for a
    codec that cannot be protected."""
    audio = audio_renditions(source.audio, settings.audio)
    sound_alone = not settings.transcode.codecs
    plan = _plan_of_sound(source, audio, settings) if sound_alone else _plan_of_film(source, audio, settings)
    return with_protection(with_text(plan, source, settings.captions), settings.protection)


def _plan_of_film(source: Source, audio: list[AudioRendition], settings: Settings) -> Plan:
    if source.video is None:
        raise NoVideoStream(
            "The file has no video stream, only sound; send a file with video, or ask for a profile of sound alone."
        )
    renditions = build_ladder(source.video, settings.transcode)
    chunks = cut_into_chunks(source.video, settings.transcode)
    return Plan(
        renditions=renditions,
        audio=audio,
        chunks=chunks,
        segment_seconds=settings.transcode.segment_seconds,
        gop_seconds=settings.transcode.gop_seconds,
        max_frame_rate=settings.transcode.max_frame_rate,
        edit_offset_ticks=_edit_offset(source.video, settings.transcode.max_frame_rate),
        quality=quality_target(renditions, source.video, settings.validation),
        opening_seconds=chunks[0].end,
        warnings=[*source.warnings, *audio_warnings(source)],
    )


def _plan_of_sound(source: Source, audio: list[AudioRendition], settings: Settings) -> Plan:
    if not audio:
        raise NoAudioStream("There is no sound in the file that could be decoded; send one with sound.")
    return Plan(
        renditions=[],
        audio=audio,
        chunks=[],
        segment_seconds=settings.transcode.segment_seconds,
        gop_seconds=settings.transcode.gop_seconds,
        max_frame_rate=settings.transcode.max_frame_rate,
        edit_offset_ticks=0,
        quality=no_quality(),
        warnings=audio_warnings(source),
    )


def _edit_offset(video: VideoSource, max_frame_rate: float) -> int:
    """Room for decode times before presentation times: x264, x265 and SVT-AV1 look at most two frames ahead."""
    longest = max(video.reorder_gap, 2 / min(video.frame_rate, max_frame_rate))
    return ceil(min(longest, MAX_EDIT_OFFSET_SECONDS) * VIDEO_TIMESCALE)
