"""What HLS and DASH manifests have in common: what a track's segments say about its bit rate and length."""

from dataclasses import dataclass
from fractions import Fraction

from streamforge.contracts.media import AudioRendition, EncodedTrack, Plan, Source, VideoRendition

HLS_MASTER = "master.m3u8"
DASH_MANIFEST = "manifest.mpd"
INIT_SEGMENT = "init.mp4"
PLAYLIST = "index.m3u8"

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
class Presentation:
    """All that manifests are written from. Every track's files lie in a folder of its name."""

    source: Source
    plan: Plan
    video: list[VideoTrack]
    audio: list[AudioTrack]

    @property
    def tracks(self) -> list[EncodedTrack]:
        return [*(track.encoded for track in self.video), *(track.encoded for track in self.audio)]

    @property
    def frame_rate(self) -> Fraction:
        """Broadcast rates are exact fractions: 29.97 means 30000/1001."""
        rate = min(self.source.video.frame_rate, self.plan.max_frame_rate)
        broadcast = Fraction(round(rate * 1.001) * 1000, 1001)
        if abs(float(broadcast) - rate) < rate * SAME_RATE:
            return broadcast
        if rate < 1:
            return Fraction(1, round(1 / rate))  # A slide show.
        return Fraction(rate).limit_denominator(100)


def presentation(source: Source, plan: Plan, video: list[EncodedTrack], audio: list[EncodedTrack]) -> Presentation:
    """Pairs what was planned with what was encoded. Audio tracks of which nothing could be decoded are left out."""
    encoded = {track.name: track for track in [*video, *audio]}
    return Presentation(
        source=source,
        plan=plan,
        video=[VideoTrack(rendition, encoded[rendition.name]) for rendition in plan.renditions],
        audio=[AudioTrack(r, encoded[r.name]) for r in plan.audio if r.name in encoded and encoded[r.name].segments],
    )


def joined(chunks: list[list[EncodedTrack]]) -> list[EncodedTrack]:
    """One track per rendition from those of its chunks, in order."""
    whole = [track.model_copy(update={"segments": list(track.segments)}) for track in chunks[0]]
    for tracks in chunks[1:]:
        for target, track in zip(whole, tracks, strict=True):
            target.segments.extend(track.segments)
            target.frames += track.frames
    return whole


def media_files(presentation: Presentation) -> dict[str, int]:
    """Every init and media segment that the manifests mention, with its size in bytes."""
    return {
        f"{track.name}/{name}": size
        for track in presentation.tracks
        for name, size in [
            (INIT_SEGMENT, track.init_size_bytes),
            *((segment.file_name, segment.size_bytes) for segment in track.segments),
        ]
    }


def seconds(track: EncodedTrack) -> float:
    return sum(segment.duration_ticks for segment in track.segments) / track.timescale


def average_bitrate(track: EncodedTrack) -> int:
    """bit/s over the whole track."""
    duration = seconds(track)
    return round(8 * sum(segment.size_bytes for segment in track.segments) / duration) if duration > 0 else 0


def peak_bitrate(track: EncodedTrack, target_seconds: float) -> int:
    """RFC 8216 §4.1: the largest bit rate of any run of segments that lasts 0.5 to 1.5 target durations.

    Single segments would not do: a last segment of one frame, all key frame, would make the peak absurd.
    """
    peak = average_bitrate(track)
    for first in range(len(track.segments)):
        size = ticks = 0
        for segment in track.segments[first:]:
            size, ticks = size + segment.size_bytes, ticks + segment.duration_ticks
            duration = ticks / track.timescale
            if duration > 1.5 * target_seconds:
                break
            if duration >= 0.5 * target_seconds:
                peak = max(peak, round(8 * size / duration))
    return peak
