"""What HLS and DASH manifests have in common: what a track's segments say about its bit rate and length."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from fractions import Fraction
from itertools import accumulate, groupby
from math import inf
from typing import Protocol

from streamforge.contracts.media.encoded import EncodedTrack, Segment, StoredFile, TextTrack
from streamforge.contracts.media.plan import AudioRendition, StreamPlan, VideoRendition
from streamforge.contracts.media.source import VIDEO_TIMESCALE, Source
from streamforge.contracts.media.stills import Storyboard
from streamforge.planning.text.tracks import with_distinct_labels

HLS_MASTER = "master.m3u8"
DASH_MANIFEST = "manifest.mpd"
INIT_SEGMENT = "init.mp4"
PLAYLIST = "index.m3u8"
IFRAME_PLAYLIST = "iframes.m3u8"
GROWING_PLAYLIST = "growing.m3u8"
TEXT_FILE = "text.vtt"
"""All cues of a track: DASH knows WebVTT outside of MP4 only as one file, and players of HLS take it as one segment."""

SAME_RATE = 1e-4
"""Relative. Measured rates are this exact; 30 and 29.97 are ten times as far apart."""


@dataclass(frozen=True)
class VideoTrack:
    rendition: VideoRendition
    encoded: EncodedTrack


@dataclass(frozen=True)
class AudioTrack:
    rendition: AudioRendition
    encoded: EncodedTrack


@dataclass(frozen=True)
class GrowingStream:
    """A stream that is still being encoded. `began_at` stays the same for a job, `now` is when it is written; both UTC.

    `source_seconds` is how long it will be. `video` is every planned rendition with what there is of it, which may be
    nothing yet, or have gaps.
    """

    began_at: datetime
    now: datetime
    segment_seconds: float
    source_seconds: float
    video: list[VideoTrack]


@dataclass(frozen=True)
class Presentation:
    """All that manifests are written from. Every track's files lie in a folder of its name."""

    source: Source
    plan: StreamPlan
    video: list[VideoTrack]
    audio: list[AudioTrack]
    text: list[TextTrack] = field(default_factory=list)
    storyboard: Storyboard | None = None

    @property
    def seconds(self) -> float:
        return max(seconds(track) for track in self.tracks)

    @property
    def tracks(self) -> list[EncodedTrack]:
        return [*(track.encoded for track in self.video), *(track.encoded for track in self.audio)]

    @property
    def frame_rate(self) -> Fraction:
        return _exact(self.source.video_required.frame_rate_up_to(self.plan.max_frame_rate))

    @property
    def highest_frame_rate(self) -> Fraction:
        """In the fastest passage of the film."""
        video = self.source.video_required
        return _exact(min(max(video.frame_rate, video.highest_frame_rate), self.plan.max_frame_rate))


def _exact(rate: float) -> Fraction:
    """Broadcast rates are exact fractions: 29.97 means 30000/1001."""
    broadcast = Fraction(round(rate * 1.001) * 1000, 1001)
    if abs(float(broadcast) - rate) < rate * SAME_RATE:
        return broadcast
    # A slide show's rate is a small fraction, and must not become 0.
    return Fraction(rate).limit_denominator(100 if rate >= 1 else 10_000)


def presentation(
    source: Source,
    plan: StreamPlan,
    video: list[EncodedTrack],
    audio: list[EncodedTrack],
    text: Sequence[TextTrack] = (),
    *,
    storyboard: Storyboard | None = None,
) -> Presentation:
    """Pairs what was planned with what was encoded. Audio tracks of which nothing could be decoded are left out."""
    encoded = {track.name: track for track in [*video, *audio]}
    return Presentation(
        source=source,
        plan=plan,
        video=[VideoTrack(r, encoded[r.name]) for r in plan.renditions if r.name in encoded],
        audio=_with_default(
            [AudioTrack(r, encoded[r.name]) for r in plan.audio if r.name in encoded and encoded[r.name].segments]
        ),
        text=with_distinct_labels(text),
        storyboard=storyboard,
    )


def _with_default(audio: list[AudioTrack]) -> list[AudioTrack]:
    """Where the planned one is missing the first takes its place: some players begin silent without one."""
    if not audio or any(track.rendition.default for track in audio):
        return audio
    first = audio[0].rendition.track
    return [
        AudioTrack(a.rendition.model_copy(update={"default": a.rendition.track == first}), a.encoded) for a in audio
    ]


def ladders(video: list[VideoTrack]) -> list[list[VideoTrack]]:
    """One for each codec, in the order of the plan, each from its largest rendition to its smallest."""
    return [list(ladder) for _, ladder in groupby(video, key=lambda track: track.rendition.codec)]


def planned_so_far(plan: StreamPlan, parts: list[list[EncodedTrack]]) -> list[VideoTrack]:
    """Every rendition that can be announced: of those that are not begun, only where it is known what they will be."""
    encoded = {track.name: track for track in joined(parts)}
    return [
        VideoTrack(rendition, encoded.get(rendition.name) or _nothing_yet(rendition))
        for rendition in plan.renditions
        if rendition.name in encoded or rendition.codec_string
    ]


def _nothing_yet(rendition: VideoRendition) -> EncodedTrack:
    return EncodedTrack(
        name=rendition.name,
        timescale=VIDEO_TIMESCALE,
        codec_string=rendition.codec_string or "",
        init_sha256="",
        init_size_bytes=0,
        frames=0,
        segments=[],
    )


@dataclass(frozen=True)
class StandIn:
    """The first chunk of the smallest rendition, which stands in for that of all others in playlists that grow.

    Players read the list of renditions once. So all are named as soon as there is one to play, and what is told of one
    never changes: the opening stays the smallest one's, also when the others have theirs.
    """

    name: str
    segments: list[Segment]

    def followed_by(self, track: EncodedTrack) -> list[Segment]:
        """The track's own segments behind it, as far as there is no gap."""
        end = sum(segment.duration_ticks for segment in self.segments)
        own = [segment for segment in track.segments if segment.start_ticks >= end]
        return _unbroken([*self.segments, *own])[len(self.segments) :]


def stand_in_of(smallest: EncodedTrack, plan: StreamPlan) -> StandIn:
    end = inf if plan.opening_seconds is None else plan.opening_seconds * smallest.timescale
    return StandIn(smallest.name, [segment for segment in smallest.segments if segment.start_ticks < end])


def joined(parts: list[list[EncodedTrack]]) -> list[EncodedTrack]:
    """One track per rendition from those of all parts, in the order of their chunks.

    A chunk's last picture stays until the first one behind the chunk. In a damaged source the next chunk, which is
    decoded from elsewhere, may have found an earlier one: it has the say.
    """
    whole: dict[str, EncodedTrack] = {}
    for track in (track for tracks in parts for track in tracks if track.segments):
        if (before := whole.get(track.name)) is None:
            whole[track.name] = track.model_copy(update={"segments": list(track.segments)})
        else:
            before.segments[-1] = _ending_before(track.segments[0], before.segments[-1])
            before.segments.extend(track.segments)
            before.frames += track.frames
            before.encoders = dict(Counter(before.encoders) + Counter(track.encoders))
    return list(whole.values())


def _ending_before(following: Segment, last: Segment) -> Segment:
    room = following.start_ticks - last.start_ticks
    if not 0 < room < last.duration_ticks:
        return last
    kept = [key for key in last.key_frames if key.ticks < following.start_ticks]
    return replace(last, duration_ticks=room, key_frames=kept)


def playable_so_far(parts: list[list[EncodedTrack]]) -> list[EncodedTrack]:
    """What a player can be shown while parts are still missing: of each rendition the segments that follow each other
    from the start, and all renditions up to the same moment, that of the one which is furthest."""
    tracks = [track.model_copy(update={"segments": _unbroken(track.segments)}) for track in joined(parts)]
    furthest = max((_end(track) for track in tracks), default=0)
    return [track for track in tracks if track.segments and _end(track) == furthest]


def _unbroken(segments: list[Segment]) -> list[Segment]:
    kept: list[Segment] = []
    for segment in sorted(segments, key=lambda segment: segment.start_ticks):
        if segment.start_ticks != (kept[-1].start_ticks + kept[-1].duration_ticks if kept else 0):
            break
        kept.append(segment)
    return kept


def _end(track: EncodedTrack) -> int:
    return sum(segment.duration_ticks for segment in track.segments)


def media_files(presentation: Presentation) -> dict[str, StoredFile]:
    """Every init and media segment and every text that the manifests mention."""
    text = {f"{track.name}/{TEXT_FILE}": StoredFile(size_bytes=track.size_bytes) for track in presentation.text}
    return text | {
        f"{track.name}/{name}": StoredFile(size_bytes=size, sha256=sha256)
        for track in presentation.tracks
        for name, size, sha256 in [
            (INIT_SEGMENT, track.init_size_bytes, track.init_sha256),
            *((segment.file_name, segment.size_bytes, segment.sha256) for segment in track.segments),
        ]
    }


# ── what is shown while somebody winds ──────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class IFrame:
    """A key frame, which stays until the next one. `file_name` is the segment it lies in."""

    file_name: str
    offset: int
    size_bytes: int
    duration_ticks: int


@dataclass(frozen=True)
class IFrames:
    timescale: int
    segments: list[IFrame]


def iframes(track: EncodedTrack) -> IFrames | None:
    """None where it is not known of every segment where its key frames lie."""
    if not track.segments or not all(segment.key_frames for segment in track.segments):
        return None
    found = [(segment.file_name, key) for segment in track.segments for key in segment.key_frames]
    last = track.segments[-1]
    ends = [*(key.ticks for _, key in found[1:]), last.start_ticks + last.duration_ticks]
    return IFrames(
        timescale=track.timescale,
        segments=[
            IFrame(name, key.offset, key.size_bytes, end - key.ticks)
            for (name, key), end in zip(found, ends, strict=True)
        ],
    )


# ── lengths and bit rates ───────────────────────────────────────────────────────────────────────────────────────────
class Piece(Protocol):
    @property
    def duration_ticks(self) -> int: ...
    @property
    def size_bytes(self) -> int: ...


class Pieces(Protocol):
    """An encoded track, or its key frames alone."""

    @property
    def timescale(self) -> int: ...
    @property
    def segments(self) -> Sequence[Piece]: ...


def seconds(track: Pieces) -> float:
    return sum(segment.duration_ticks for segment in track.segments) / track.timescale


def average_bitrate(track: Pieces) -> int:
    """bit/s over the whole track."""
    duration = seconds(track)
    return round(8 * sum(segment.size_bytes for segment in track.segments) / duration) if duration > 0 else 0


def longest_seconds(track: Pieces) -> float:
    return max((segment.duration_ticks for segment in track.segments), default=0) / track.timescale


def peak_bitrate(track: Pieces, planned_seconds: float) -> int:
    """RFC 8216 §4.1: the largest bit rate of any run of segments that lasts 0.5 to 1.5 target durations: what is planned
    for a segment, or the longest one where key frames of a copy are further apart.

    Single segments would not do: a last segment of one frame, all key frame, would make the peak absurd. Each segment is
    looked at once: a film of twelve hours has ten thousand in every rendition, and twice as many key frames.
    """
    peak = average_bitrate(track)
    target_seconds = max(planned_seconds, longest_seconds(track))
    ticks = [0, *accumulate(segment.duration_ticks for segment in track.segments)]
    sizes = [0, *accumulate(segment.size_bytes for segment in track.segments)]
    for first, last, duration in _runs(ticks, track.timescale, 0.5 * target_seconds, 1.5 * target_seconds):
        peak = max(peak, round(8 * (sizes[last] - sizes[first]) / duration))
    return peak


def _runs(ticks: Sequence[int], timescale: int, shortest: float, longest: float) -> Iterator[tuple[int, int, float]]:
    """Every run of segments that lasts so many seconds: where it begins, where it ends, and how long it is."""
    nearest = 0
    for first, begin in enumerate(ticks):
        while nearest < len(ticks) and (ticks[nearest] - begin) / timescale < shortest:
            nearest += 1
        for last in range(max(nearest, first + 1), len(ticks)):
            duration = (ticks[last] - begin) / timescale
            if duration > longest:
                break
            yield first, last, duration


@dataclass(frozen=True)
class BitRates:
    """Of a track, in bit/s."""

    peak: int
    average: int


def bit_rates(track: Pieces, planned_seconds: float) -> BitRates:
    return BitRates(peak_bitrate(track, planned_seconds), average_bitrate(track))


def may_still_grow(manifest: bytes) -> bool:
    """Whether it is of a stream that is still being encoded: a playlist without an end, a dynamic MPD, or a master playlist
    in which one rendition stands in for others."""
    is_open_playlist = b"#EXTINF" in manifest and b"#EXT-X-ENDLIST" not in manifest
    is_dynamic = b'type="dynamic"' in manifest.partition(b"<Period")[0]
    has_stand_ins = b"#EXT-X-STREAM-INF" in manifest and f"/{GROWING_PLAYLIST}".encode() in manifest
    return is_open_playlist or is_dynamic or has_stand_ins
