"""Where the timeline is cut. Chunks begin on segment boundaries, so segments are written once, by the chunk they are in."""

from itertools import pairwise

from streamforge.contracts.media import VIDEO_TIMESCALE, Chunk, VideoSource
from streamforge.settings import TranscodeSettings


def cut_into_chunks(video: VideoSource, settings: TranscodeSettings) -> list[Chunk]:
    """The first chunk is one segment, so that there is something to play soon; each next one is twice as long, up to
    `max_chunk_seconds`, because every chunk pays once for seeking and for the encoder's ramp-up.

    A source that cannot be cut (frames without time stamps) is one chunk.
    """
    edges = _edges(video.duration, settings) if video.seekable else []
    bounds = [0.0, *edges, None]
    return [
        Chunk(index=index, start=start, end=end, expected_frames=_frames(start, end, video))
        for index, (start, end) in enumerate(pairwise(bounds))
        if start is not None
    ]


def _edges(duration: float, settings: TranscodeSettings) -> list[float]:
    """Inner cuts, on the very ticks where the encoder's segments begin. A last piece shorter than half a segment is left
    to its neighbour."""
    segment = round(settings.segment_seconds * VIDEO_TIMESCALE)
    longest = settings.max_chunk_seconds * VIDEO_TIMESCALE
    edges = []
    edge = length = segment
    while edge < duration * VIDEO_TIMESCALE - segment / 2:
        edges.append(edge / VIDEO_TIMESCALE)
        length = length * 2 if length * 2 <= longest else length
        edge += length
    return edges


def _frames(start: float, end: float | None, video: VideoSource) -> int:
    share = ((video.duration if end is None else end) - start) / video.duration if video.duration > 0 else 1.0
    return max(1, round(video.frame_count * min(1.0, share)))
