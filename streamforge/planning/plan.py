"""The plan of one job: everything that can be decided is decided here, before the first frame is encoded."""

from math import ceil

from streamforge.codecs.base import LONGEST_REORDERED_SECONDS, reorders
from streamforge.contracts.media.plan import AudioRendition, Chunk, Plan
from streamforge.contracts.media.source import VIDEO_TIMESCALE, Source, VideoSource
from streamforge.errors import NoAudioStream, NoVideoStream, UndecodableSource
from streamforge.planning.chunks import cut_into_chunks
from streamforge.planning.encryption import with_protection
from streamforge.planning.ladder import build_ladder
from streamforge.planning.per_title.search import per_title_target
from streamforge.planning.remux import copied, why_not
from streamforge.planning.sound.renditions import audio_renditions, audio_warnings
from streamforge.planning.stills import stills_plan
from streamforge.planning.text.tracks import with_text_tracks
from streamforge.quality.floors import no_quality, quality_target
from streamforge.settings import Settings

TOO_SHORT_TO_SEARCH = "A per-title search would cost more than per_title.max_cost allows; the fixed ladder is used"

MAX_COPY_OFFSET_SECONDS = 1
"""hls.js knows nothing of edit lists: to it segments begin that much later than they do."""

ROUNDING_TICKS = 1
"""Time stamps of a source come to whole ticks one by one."""


def make_plan(source: Source, settings: Settings, copy_failed: str | None = None) -> Plan:
    """`copy_failed` is the sentence that says why a copy, which this source seemed fit for, failed: it is encoded.

    Raises NoVideoStream, NoAudioStream: what the profile is for is not in the file; UndecodableSource: it is there, but
    nobody can decode it; InvalidSettings for a codec that
    cannot be protected.
    """
    plan = _pictures_and_sound(source, settings, copy_failed)
    return with_protection(with_text_tracks(plan, source, settings.captions), settings.protection)


def _pictures_and_sound(source: Source, settings: Settings, copy_failed: str | None) -> Plan:
    audio = audio_renditions(source.audio, settings.audio)
    if not settings.transcode.codecs:
        return _plan_of_sound(source, audio, settings)
    return _plan_of_film(source, audio, settings, copy_failed)


def _plan_of_film(source: Source, audio: list[AudioRendition], settings: Settings, copy_failed: str | None) -> Plan:
    if source.unusable_video is not None:
        raise UndecodableSource(source.unusable_video)
    if source.video is None:
        raise NoVideoStream(
            "The file has no video, only sound (a single picture beside it counts as its cover); send a file with video, "
            "or ask for a profile of sound alone."
        )
    refusal = copy_failed or (why_not(source, settings) if settings.transcode.remux else None)
    if settings.transcode.remux and refusal is None:
        return _plan_of_copy(source, source.video, audio, settings)
    renditions = build_ladder(source.video, settings.transcode)
    chunks = cut_into_chunks(source.video, settings.transcode)
    per_title = per_title_target(source.video, renditions, settings.per_title)
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
        pictures=stills_plan(source.video, renditions, settings.pictures),
        downloads=settings.downloads.enabled,
        per_title=per_title,
        warnings=[
            *source.warnings,
            *audio_warnings(source),
            *([refusal] if refusal else []),
            *([TOO_SHORT_TO_SEARCH] if per_title is not None and not per_title.samples else []),
        ],
    )


def _plan_of_copy(source: Source, video: VideoSource, audio: list[AudioRendition], settings: Settings) -> Plan:
    """One rendition and one chunk: there is hardly anything to do that could be shared out. It is the source itself, so
    there is nothing to compare it with."""
    assert video.coding is not None
    return Plan(
        renditions=[copied(video, settings.transcode)],
        audio=audio,
        chunks=[Chunk(index=0, start=0.0, end=None, expected_frames=video.frame_count)],
        segment_seconds=settings.transcode.segment_seconds,
        gop_seconds=settings.transcode.gop_seconds,
        max_frame_rate=settings.transcode.max_frame_rate,
        edit_offset_ticks=_edit_offset_of_copy(video.coding.reorder_delay),
        quality=no_quality(),
        opening_seconds=None,
        downloads=settings.downloads.enabled,
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
        warnings=[*source.warnings, *audio_warnings(source)],
    )


def _edit_offset(video: VideoSource, max_frame_rate: float) -> int:
    """Room for decode times before presentation times: x264, x265 and SVT-AV1 look at most two frames ahead. A longer gap
    needs none, for nothing is reordered across it. 0 where nothing is reordered at all."""
    frame_rate = video.frame_rate_up_to(max_frame_rate)
    if not reorders(frame_rate):
        return 0
    return ceil(min(max(video.reorder_gap, 2 / frame_rate), 2 * LONGEST_REORDERED_SECONDS) * VIDEO_TIMESCALE)


def _edit_offset_of_copy(reorder_delay: float) -> int:
    """Of one that needs more room than this, the muxer moves decode times closer together."""
    room = min(reorder_delay, MAX_COPY_OFFSET_SECONDS)
    return ceil(room * VIDEO_TIMESCALE) + ROUNDING_TICKS if room else 0
