"""Copying instead of encoding: which sources already are what a rendition should be."""

from streamforge.codecs.base import LONGEST_STILL_SECONDS
from streamforge.codecs.registry import CODECS
from streamforge.contracts.media.plan import COPY, VideoRendition
from streamforge.contracts.media.source import Coding, Crop, Source, VideoSource
from streamforge.planning.color.dynamic_range import needs_mapping
from streamforge.settings import Settings, TranscodeSettings

PIXEL_FORMATS = {"yuv420p", "yuvj420p"}

LONGEST_GOP_SECONDS = 10.0
"""A player can only begin at a key frame, and a segment is never shorter than the distance of two."""

SAME_RATE = 1.01
SAME_SHAPE = 0.02


def why_not(source: Source, wanted: Settings) -> str | None:
    """What speaks against copying, as a sentence for the job's warnings; None when the source fits."""
    video, settings = source.video_required, wanted.transcode
    if wanted.protection.scheme == "cbcs":
        # Its slices are found by headers as our own encoders write them, with one set of parameters for all.
        return not_copied("slices of other encoders cannot be protected by cbcs")
    if video.coding is None or video.coding.codec not in settings.codecs:
        return not_copied(f"its codec is {video.codec}, and the profile has {', '.join(settings.codecs)}")
    complaints = [*_about_pictures(video, video.coding, settings), *_about_packets(video, video.coding)]
    return next((not_copied(complaint) for is_so, complaint in complaints if is_so), None)


def not_copied(reason: str) -> str:
    return f"The video was encoded, not copied: {reason}."


def copied(video: VideoSource, settings: TranscodeSettings) -> VideoRendition:
    """The one rendition of a source that fits."""
    assert video.coding is not None
    return VideoRendition(
        name=f"{min(video.width, video.height)}p",
        width=video.width,
        height=video.height,
        codec=video.coding.codec,
        encoder=COPY,
        options={},
        max_bitrate=_ceiling(video, video.coding, settings),
        codec_string=video.coding.codec_string,
        pixel_format=video.pixel_format,
        color=video.color,
    )


def _about_pictures(video: VideoSource, coding: Coding, settings: TranscodeSettings) -> list[tuple[bool, str]]:
    lower = min(video.width, video.height)
    rate = max(video.frame_rate, video.highest_frame_rate)
    ceiling = _ceiling(video, coding, settings)
    return [
        (
            coding.profile not in CODECS[coding.codec].profiles_to_copy or video.pixel_format not in PIXEL_FORMATS,
            f"it is {coding.codec} {coding.profile} in {video.pixel_format}, which not every player has",
        ),
        (video.changing != [], _changes(video.changing)),
        (video.crop != Crop(), "its container cuts off edges, which are in its packets all the same"),
        (not coding.tags_agree, "its container tells other colours than its pictures"),
        (
            abs(video.pixel_shape - video.told_shape) > SAME_SHAPE,
            "its container tells another pixel shape than its pictures",
        ),
        (video.interlaced, "it is interlaced"),
        (needs_mapping("sdr", video), "its colours or its contrast are wider than most screens"),
        (video.mirrored, "it has to be mirrored"),
        (video.rotation != 0, f"it has to be turned by {video.rotation}°"),
        ((video.width, video.height) != (video.coded_width, video.coded_height), "its pixels are not square"),
        (video.width % 2 + video.height % 2 > 0, f"{video.width}×{video.height} is odd"),
        (lower > max(settings.heights), f"its {lower} lines are more than the {max(settings.heights)} of the profile"),
        (
            rate > settings.max_frame_rate * SAME_RATE,
            f"its {rate:g} frames per second are more than the {settings.max_frame_rate:g} of the profile",
        ),
        (
            coding.bitrate > ceiling,
            f"its {coding.bitrate / 1e6:.1f} Mbit/s are more than the {ceiling / 1e6:.1f} that the profile gives this size",
        ),
    ]


def _changes(aspects: list[str]) -> str:
    many = len(aspects) > 1 or aspects == ["colours"]
    return " and ".join(f"its {aspect}" for aspect in aspects) + f" change{'' if many else 's'} on the way"


def _about_packets(video: VideoSource, coding: Coding) -> list[tuple[bool, str]]:
    stays = max(video.reorder_gap / 2, video.duration / video.frame_count)
    return [
        (coding.codec_string is None, "its container does not say in its header how to set up a decoder"),
        (not coding.is_whole, "some of it is damaged, or cut away by an edit list"),
        (not coding.one_configuration, "its format changes on the way"),
        (not coding.exact_times, "not every picture has a time stamp of its own"),
        (
            stays > LONGEST_STILL_SECONDS,
            f"its pictures stay for up to {stays:.1f} s, and players that have no others ahead wait for more",
        ),
        (not coding.closed_gops, "its key frames are not fresh starts (open GOPs)"),
        (
            coding.longest_gop > LONGEST_GOP_SECONDS,
            f"its key frames are up to {coding.longest_gop:.1f} s apart; {LONGEST_GOP_SECONDS:.0f} s is the most",
        ),
    ]


def _ceiling(video: VideoSource, coding: Coding, settings: TranscodeSettings) -> int:
    codec = CODECS[coding.codec]
    return codec.max_bitrate(video.width, video.height, video.frame_rate, settings.max_bitrate_1080p)
