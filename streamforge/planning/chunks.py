"""Where the timeline is cut. Chunks begin on segment boundaries, so segments are written once, by the chunk they are in."""

from bisect import bisect_right
from itertools import pairwise

from streamforge.contracts.media.plan import Chunk
from streamforge.contracts.media.source import VIDEO_TIMESCALE, VideoSource
from streamforge.settings import TranscodeSettings

PRICE_OF_A_CHUNK = 1 * VIDEO_TIMESCALE
"""What a chunk costs beside its pictures, in ticks of film that could be decoded meanwhile; about 0.2 CPU seconds."""


def cut_into_chunks(video: VideoSource, settings: TranscodeSettings) -> list[Chunk]:
    """The first chunk is one segment, so that there is something to play soon; each next one is up to twice as long, to
    `max_chunk_seconds`, because every chunk pays once for seeking and for the encoder's ramp-up. None is longer than what
    is left behind it: else the last one would be long, and all workers but one would wait for it.

    A source that cannot be cut (frames without time stamps) is one chunk.
    """
    edges = [edge / VIDEO_TIMESCALE for edge in _edges(video, settings)] if video.seekable else []
    bounds = [0.0, *edges, None]
    return [
        Chunk(index=index, start=start, end=end, expected_frames=_frames(start, end, video), entry=_entry(start, video))
        for index, (start, end) in enumerate(pairwise(bounds))
        if start is not None
    ]


def _edges(video: VideoSource, settings: TranscodeSettings) -> list[int]:
    """Inner cuts, on the very ticks where the encoder's segments begin. A last piece shorter than half a segment is left
    to its neighbour."""
    segment = round(settings.segment_seconds * VIDEO_TIMESCALE)
    longest = settings.max_chunk_seconds * VIDEO_TIMESCALE
    edges: list[int] = []
    end = video.duration * VIDEO_TIMESCALE
    edge, length = 0, segment
    while edge + (wanted := _length(length, end - edge, segment)) < end - segment / 2:
        edge = _best_edge(edge, wanted, segment, video.key_frame_ticks)
        edges.append(edge)
        length = length * 2 if length * 2 <= longest else length
    return edges


def _length(length: int, left: float, segment: int) -> int:
    """No more than half of what is left, but two segments are not worth being shared out."""
    half = int(left / 2 / segment) * segment
    return min(length, max(half, 2 * segment))


def _best_edge(start: int, length: int, segment: int, key_frames: list[int]) -> int:
    """A chunk is decoded from the key frame before it. Of the segment boundaries that leave this one at least three
    quarters of its length, that at which the next one has the least to decode in vain for what this one gains; the last
    of equals. Three quarters: a film of twelve hours must not come to many more chunks."""

    def price(edge: int) -> float:
        return (PRICE_OF_A_CHUNK + _behind_key_frame(edge, key_frames)) / (edge - start)

    return min(range(start + length, start + (3 * length - 1) // 4, -segment), key=price)


def _behind_key_frame(edge: int, key_frames: list[int]) -> int:
    position = bisect_right(key_frames, edge)
    return edge - key_frames[position - 1] if position else 0


def _entry(start: float, video: VideoSource) -> int | None:
    """Where in the file the key frame lies that the chunk is decoded from, if its clock cannot say that. The one before it
    where pictures are made with the help of their neighbours."""
    latest = round((start - (1 / video.frame_rate if video.interlaced else 0)) * VIDEO_TIMESCALE)
    position = bisect_right(video.key_frame_ticks, latest) if video.key_positions else 0
    return video.key_positions[position - 1] if position and start > 0 else None


def _frames(start: float, end: float | None, video: VideoSource) -> int:
    share = ((video.duration if end is None else end) - start) / video.duration if video.duration > 0 else 1.0
    return max(1, round(video.frame_count * min(1.0, share)))
