"""What a film is like: its size, shape, colours, rate and length, from its packets and from a few of its pictures."""

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction

import av
from av.container import InputContainer
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamforge.contracts.media.source import VIDEO_TIMESCALE, VideoSource
from streamforge.errors import NotAVideo, UndecodableSource, UnsupportedDolbyVision
from streamforge.media.bitstream.nal_units import has_alpha_layer
from streamforge.media.container.opening import decoded
from streamforge.media.container.video_header import DolbyVision, read_header
from streamforge.media.decoding import first_picture
from streamforge.media.decoding.fields import alone, is_field
from streamforge.media.decoding.looks import Look, LookReader, display_size, within
from streamforge.media.probe.film import MAX_FRAME_RATE, Film
from streamforge.media.probe.variety import largest, variants
from streamforge.planning.color.tags import Understood, agree, understand
from streamforge.planning.stream_choice import PICTURE_CODECS
from streamforge.timeline.film_times import FilmTimes
from streamforge.timeline.frame_rates import JITTER, highest_rate

FALLBACK_FRAME_RATE = 25.0

MAX_FAILURES = 1000
"""Packets in front of the first picture that may be broken."""

MAX_WITHOUT_TIME = 64
"""Pictures at the beginning that may have no time, before the one by which theirs is reckoned."""

DOLBY_ONLY = {5, 10, 20}
"""Profiles of Dolby Vision that may have no base layer for others; of the rest, 4, 7, 8 and 9, all do."""

NEVER_INTERLACED = {"av1", "gif", "hevc", "png", "theora", "vp8", "vp9", "webp"}
INTERLACE_SAMPLES = (0.25, 0.5, 0.75)
"""Shares of the length at which a picture is looked at: an opening is often of another making than the rest."""


class DescribedFilm:
    """The film of an open container, which has not been read from yet. `variants` are the film as if all of it were like one
    of the ways in which it is coded."""

    def __init__(self, container: InputContainer, stream: VideoStream, film: Film) -> None:
        """Raises UndecodableSource, NotAVideo, UnsupportedDolbyVision."""
        self._stream = stream
        self._film = film
        declared = first_picture.declared_tags(stream)
        frame, start = _first_picture(container, stream, film)
        fields = is_field(frame, stream.codec_context.name)
        frame = alone(frame) if fields else frame
        self._colors = understand(first_picture.color_tags(frame, stream), first_picture.samples(frame))
        look = LookReader().of(frame)
        self.times = film.times_from(start)
        first = _described(_Opening(frame, look, self._colors, start), stream, film, self.times)
        assert film.timeline.set_ups is not None
        found = variants(first, look, stream, film.timeline.set_ups)
        self.variants = [video for video, _ in found]
        size = largest(found)
        self.video = first.model_copy(update={"width": size.width, "height": size.height, "changing": size.changing})
        if fields:
            self.video = _of_fields(self.video)
        if self.video.coding is not None:
            self.video.coding.tags_agree = agree(declared, look.tags)
        self.video.interlaced = fields or _is_interlaced(container, stream, frame, self.video)

    def warnings(self) -> Iterator[str]:
        if (rate := self._film.first_rate) > MAX_FRAME_RATE:
            yield (
                f"By its time stamps the video has {rate:,.0f} pictures a second, which cannot be; "
                f"{FALLBACK_FRAME_RATE:.0f} are assumed."
            )
        yield from self._unseen()
        yield from self._colors.warnings

    def _unseen(self) -> Iterator[str]:
        """What is in the video stream itself and cannot be shown."""
        set_ups, context = self._film.timeline.set_ups, self._stream.codec_context
        key_frames = set_ups.all if set_ups is not None else []
        if context.name == "hevc" and key_frames and has_alpha_layer(context.extradata or b"", key_frames[0].packet):
            yield "The video has a layer that says where it is transparent, which cannot be read; it is shown as opaque."


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
    pictures = decoded(container, stream, film.clock.clock, on_failure=note, from_key_frame=film.has_key_frames)
    for number, frame in enumerate(pictures):
        first = first or frame
        start = film.start_of(frame, number)
        if start is not None or number > MAX_WITHOUT_TIME:
            return first, start or Fraction(0)
    if first is None:
        raise refused(failures[-1] if failures else None)
    return first, film.start_of(first, 0) or Fraction(0)


@dataclass(frozen=True)
class _Opening:
    """The first picture of a film, and when it is shown in seconds of the film's clock."""

    frame: VideoFrame
    look: Look
    colors: Understood
    start: Fraction


def _described(first: _Opening, stream: VideoStream, film: Film, times: FilmTimes) -> VideoSource:
    """As if all of it were like its first picture."""
    frame, look, colors = first.frame, first.look, first.colors
    count = film.timeline.frame_count
    if stream.codec_context.name in PICTURE_CODECS and count == 1 and not film.has_repeated:
        raise NotAVideo("This is a single picture, not a video.")
    seekable = film.is_seekable
    frame_rate = _frame_rate(stream, times.usual_gap) if seekable else _claimed_rate(stream)
    duration = times.duration if seekable else max(times.duration, (count - times.in_front) / frame_rate)
    header = read_header(stream)
    _refuse_dolby_vision(header.dolby_vision)
    crop = within(header.crop, look)
    pixel_shape = float(stream.sample_aspect_ratio or 1)
    width, height = display_size(look, crop, pixel_shape)
    usual_rate = _plausible(frame_rate, times.average_rate if film.has_times else count / duration)
    tick = Fraction(1, VIDEO_TIMESCALE)
    return VideoSource(
        index=stream.index,
        codec=stream.codec_context.name,
        coded_width=frame.width,
        coded_height=frame.height,
        width=width,
        height=height,
        rotation=look.rotation,
        pixel_format=frame.format.name,
        frame_rate=usual_rate,
        frame_count=count,
        start=float(first.start),
        duration=max(duration, 1 / usual_rate),
        reorder_gap=times.reorder_gap,
        variable_frame_rate=times.is_variable,
        seekable=seekable,
        key_frame_ticks=times.key_frame_ticks,
        key_positions=times.key_positions,
        clock=film.clock.clock,
        has_key_frames=film.has_key_frames,
        undecodable=times.in_front,
        mirrored=look.mirrored,
        bit_depth=look.samples.bit_depth,
        has_alpha=look.has_alpha,
        dynamic_range=colors.dynamic_range,
        color=colors.color,
        full_range=colors.full_range,
        mastering_display=first_picture.mastering_display(frame),
        content_light=first_picture.content_light(frame),
        crop=crop,
        pixel_shape=pixel_shape,
        told_shape=look.shape,
        told_tags=look.tags.as_tuple(),
        highest_frame_rate=highest_rate(times.shown, tick, frame_rate) if seekable else 0.0,
        coding=film.coding(stream, frame, duration),
    )


def _of_fields(video: VideoSource) -> VideoSource:
    """Packets and times were those of fields. Where there are no times, places are counted in fields."""
    return video.model_copy(
        update={
            "fields": True,
            "frame_count": -(-video.frame_count // 2),
            "undecodable": video.undecodable // 2,
            "frame_rate": video.frame_rate / 2 if video.seekable else video.frame_rate,
            "reorder_gap": 2 * video.reorder_gap,
        }
    )


def _refuse_dolby_vision(kind: DolbyVision | None) -> None:
    """Pictures of these profiles are in a colour space of Dolby's own, and nothing says so to a decoder that does not know
    it: they would come out green and purple."""
    if kind is not None and kind.profile in DOLBY_ONLY and kind.compatible_with == 0:
        raise UnsupportedDolbyVision(
            f"The video is Dolby Vision profile {kind.profile} without a picture that other decoders can show; its colours "
            "would be wrong. Send it as profile 8, or as HDR10, HLG or SDR."
        )


# ── rate ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def _frame_rate(stream: VideoStream, usual_gap: float) -> float:
    """The claimed rate where time stamps cannot say it better: Matroska rounds them to milliseconds. Else the usual
    one: what is claimed is an average, and a hole or two make it odd."""
    claimed = _claimed_rate(stream)
    rounding = min(float(stream.time_base or 0), JITTER * usual_gap)
    if usual_gap == 0 or abs(1 / claimed - usual_gap) <= rounding:
        return claimed
    return 1 / usual_gap


def _claimed_rate(stream: VideoStream) -> float:
    rate = float(stream.average_rate or stream.guessed_rate or 0)
    return rate if 0 < rate <= MAX_FRAME_RATE else FALLBACK_FRAME_RATE


def _plausible(frame_rate: float, average: float) -> float:
    """The usual rate, unless a few bursts made it absurd: then the average."""
    average = average or frame_rate
    return frame_rate if 0.1 <= frame_rate <= MAX_FRAME_RATE and frame_rate < 8 * average else average


# ── fields ──────────────────────────────────────────────────────────────────────────────────────────────────────────
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
