"""Makers of sources, plans and tracks, and hypothesis strategies for them."""

from collections.abc import Sequence
from dataclasses import replace
from math import ceil

from hypothesis import strategies as st

from streamforge.contracts.media.encoded import EncodedTrack, Segment
from streamforge.contracts.media.source import VIDEO_TIMESCALE, AudioSource, Coding, Source, VideoSource
from streamforge.contracts.media.stills import Storyboard
from streamforge.packaging.presentation import Presentation, presentation, seconds
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings, TranscodeSettings


def video(
    width: int = 1920, height: int = 1080, duration: float = 60, rate: float = 24, **changes: object
) -> VideoSource:
    facts = {
        "index": 0,
        "codec": "h264",
        "coded_width": width,
        "coded_height": height,
        "width": width,
        "height": height,
        "rotation": 0,
        "pixel_format": "yuv420p",
        "frame_rate": rate,
        "frame_count": round(duration * rate),
        "start": 0.0,
        "duration": duration,
        "reorder_gap": 2 / rate,
        "variable_frame_rate": False,
        "seekable": True,
    }
    return VideoSource.model_validate(facts | changes)


def coding(**changes: object) -> Coding:
    """Of a stream that can be copied."""
    facts = {
        "codec": "h264",
        "profile": "High",
        "codec_string": "avc1.640028",
        "bitrate": 3_000_000,
        "is_whole": True,
        "one_configuration": True,
        "exact_times": True,
        "closed_gops": True,
        "longest_gop": 2.5,
        "reorder_delay": 0.1,
    }
    return Coding.model_validate(facts | changes)


def audio(index: int = 1, **changes: object) -> AudioSource:
    return AudioSource.model_validate({"index": index, "codec": "aac", "channels": 2, "sample_rate": 48_000} | changes)


def source(picture: VideoSource | None = None, *tracks: AudioSource) -> Source:
    picture = picture or video()
    start, duration = picture.start, picture.duration
    return Source(container="mp4", size_bytes=1000, start=start, duration=duration, video=picture, audio=list(tracks))


def transcode(**changes: object) -> TranscodeSettings:
    return TranscodeSettings.model_validate(changes)


def track(
    name: str,
    durations: Sequence[int],
    sizes: Sequence[int],
    *,
    timescale: int = VIDEO_TIMESCALE,
    codec: str = "avc1.640028",
    start: int = 0,
) -> EncodedTrack:
    segments = []
    for duration, size in zip(durations, sizes, strict=True):
        segments.append(Segment(start_ticks=start, duration_ticks=duration, size_bytes=size))
        start += duration
    return EncodedTrack(
        name=name,
        timescale=timescale,
        codec_string=codec,
        init_sha256="0" * 64,
        init_size_bytes=800,
        frames=len(segments),
        segments=segments,
    )


def stream(
    *tracks: AudioSource,
    picture: VideoSource | None = None,
    durations: Sequence[int] = (360_000, 360_000, 90_000),
    codecs: Sequence[str] = ("h264",),
) -> Presentation:
    """A presentation of the ladder that the source gets; every rendition has segments of the given durations."""
    found = source(picture, *tracks)
    plan = make_plan(found, Settings.model_validate({"transcode": {"codecs": list(codecs)}}))
    videos = [
        track(rendition.name, durations, [rendition.max_bitrate // 16 + 1000 * n for n in range(len(durations))])
        for rendition in plan.renditions
    ]
    audios = [
        track(r.name, [192_512, 190_464], [64_000, 63_000], timescale=r.sample_rate, codec="mp4a.40.2")
        for r in plan.audio
    ]
    return presentation(found, plan, videos, audios)


def with_storyboard(found: Presentation, per_second: int = 20) -> Presentation:
    """So many tiles for each of its seconds, on sheets of 10×10, in 300,000 bytes."""
    interval = VIDEO_TIMESCALE // per_second
    count = ceil(max(seconds(track) for track in found.tracks) * VIDEO_TIMESCALE / interval)
    board = Storyboard(
        interval_ticks=interval, tile_width=160, tile_height=90, columns=10, rows=10, count=count, size_bytes=300_000
    )
    return replace(found, storyboard=board)


tracks = st.lists(
    st.tuples(st.integers(1, 10 * VIDEO_TIMESCALE), st.integers(1, 10_000_000)), min_size=1, max_size=30
).map(lambda pairs: track("720p", [duration for duration, _ in pairs], [size for _, size in pairs]))
