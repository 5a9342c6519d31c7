"""What is known about a source.

Units: seconds unless a name ends in `_ticks`; ticks are 1/VIDEO_TIMESCALE for video, 1/sample_rate for audio.
"""

from enum import StrEnum
from typing import Literal, TypeAlias

from pydantic import BaseModel, Field

from streamforge.contracts.media.timeline import TimelineNote, TrackClock

VIDEO_TIMESCALE = 90_000
"""Ticks per second of every video rendition: MPEG's own clock, exact for 24, 25, 30, 50, 60 and the /1.001 rates."""


class Coding(BaseModel):
    """How a stream of H.264, HEVC or AV1 was coded and cut into packets: what decides whether it can be copied."""

    codec: str = Field(description="h264, hevc or av1")
    profile: str | None
    codec_string: str | None = Field(
        description="RFC 6381, from avcC, hvcC or av1C in the container's header; None where there is none, as in MPEG-TS"
    )
    bitrate: int = Field(description="bit/s on average")
    is_whole: bool = Field(description="no packet is marked as damaged, or left out by an edit list")
    one_configuration: bool = Field(description="the decoder is not set up anew on the way")
    exact_times: bool = Field(description="a time stamp of its own for each picture, the first one's the earliest")
    closed_gops: bool = Field(
        description="each key frame is a fresh start: nothing before it in the file is shown after it, nor the reverse"
    )
    longest_gop: float
    tags_agree: bool = Field(True, description="container and stream tell the same colours, as far as both do")
    reorder_delay: float = Field(description="what decode times must be ahead, so that none is after its presentation")


DynamicRange: TypeAlias = Literal["sdr", "hdr10", "hlg"]
"""hdr10 is what has the PQ transfer (SMPTE ST 2084), with or without static metadata."""


class Color(BaseModel):
    """What the samples of a picture mean: code points of ITU-T H.273, which FFmpeg uses, too."""

    primaries: int = 1
    transfer: int = 1
    matrix: int = 1


class MasteringDisplay(BaseModel):
    """The screen that an HDR film was graded on (SMPTE ST 2086): chromaticities as (x, y), luminance in cd/m²."""

    red: tuple[float, float]
    green: tuple[float, float]
    blue: tuple[float, float]
    white: tuple[float, float]
    min_luminance: float
    max_luminance: float


class ContentLight(BaseModel):
    """The brightest pixel and the brightest picture of an HDR film (CTA-861.3), in cd/m²; 0 where it is not known."""

    max_content: int
    max_frame_average: int


class Crop(BaseModel):
    """What the container says is to be cut off each side of the coded picture before it is turned, in its own pixels."""

    left: int = 0
    top: int = 0
    right: int = 0
    bottom: int = 0


class VideoSource(BaseModel):
    """The stream that will be encoded. `width` × `height` is what a viewer sees: cropped, rotated, with square pixels; where
    the size changes on the way, the largest. What else may change at any picture is told of the first one."""

    index: int
    codec: str
    coded_width: int
    coded_height: int
    width: int
    height: int
    rotation: int = Field(description="degrees clockwise to turn the coded picture: 0, 90, 180 or 270")
    pixel_format: str
    frame_rate: float
    frame_count: int = Field(description="frames found by reading every packet, not the header's claim")
    start: float = Field(description="presentation time of the first frame, in the source's own clock")
    duration: float
    reorder_gap: float = Field(description="longest time that two neighbouring frames take: what B-frames may need")
    variable_frame_rate: bool
    seekable: bool = Field(description="enough frames have a time stamp for the timeline to be cut into chunks")
    key_frame_ticks: list[int] = Field([], description="where decoding can begin; empty where it can nearly anywhere")
    coding: Coding | None = Field(None, description="None where it is no codec of the ladder")
    mirrored: bool = Field(False, description="to be mirrored left to right before it is turned")
    bit_depth: int = 8
    has_alpha: bool = False
    interlaced: bool = Field(False, description="some pictures are two fields, taken one after the other")
    fields: bool = Field(
        False, description="its fields are coded one by one; sizes and rates are those of whole pictures"
    )
    dynamic_range: DynamicRange = "sdr"
    color: Color = Field(Color(), description="as it is understood: what is missing or cannot be is filled in")
    full_range: bool = Field(False, description="black is 0 and not 16, on a scale of 8 bits")
    mastering_display: MasteringDisplay | None = None
    content_light: ContentLight | None = None
    clock: TrackClock = Field(TrackClock(), description="what is to be done to its time stamps; nothing for most")
    key_positions: list[int] = Field(
        [], description="bytes at which the packets of key_frame_ticks lie, where a clock cannot be asked for them"
    )
    has_key_frames: bool = Field(
        True, description="any packet is marked as one; decoding then begins with such a packet"
    )
    undecodable: int = Field(0, description="of frame_count: pictures that lack what they refer to, as at a late start")
    crop: Crop = Field(Crop(), description="of pictures of the coded size")
    pixel_shape: float = Field(1.0, description="width of a pixel by its height; the container's word goes first")
    told_shape: float = Field(1.0, description="the same as the stream itself tells; 1 where it tells nothing")
    told_tags: tuple[int, int, int, int] | None = Field(
        None, description="primaries, transfer, matrix and range (FFmpeg's AVCOL_RANGE), as told; None: not noted"
    )
    changing: list[str] = Field(
        [], description="what is not the same in all pictures, like `size`, so far as headers tell"
    )
    highest_frame_rate: float = Field(
        0.0, description="in the fastest passage of some pictures; 0 = not known to be more than `frame_rate`"
    )

    def frame_rate_up_to(self, most: float) -> float:
        """Pictures per second of what is made of it, where `most` is the highest rate of the plan."""
        return min(self.frame_rate, most)


class AudioRole(StrEnum):
    """What a track is for."""

    PROGRAMME = "programme"
    COMMENTARY = "commentary"
    DESCRIPTION = "description"
    """For those who do not see the picture."""
    CLEAR_SPEECH = "clear_speech"
    """For those who hear badly."""


class AudioSource(BaseModel):
    index: int
    codec: str
    channels: int
    layout: str = Field("", description="FFmpeg's name of it, like 5.1(side); `16 channels` when nobody knows")
    sample_rate: int
    language: str | None = None
    title: str | None = None
    default: bool = False
    role: AudioRole = AudioRole.PROGRAMME
    clock: TrackClock = TrackClock()


class SubtitleSource(BaseModel):
    """A subtitle track of the source, of whatever kind: text can be kept, pictures of text cannot."""

    index: int
    codec: str
    language: str | None = None
    title: str | None = None
    default: bool = False
    forced: bool = Field(default=False, description="only what the film's own audience needs, like signs")
    hearing_impaired: bool = False
    channel: int | None = Field(
        None, description="1 to 4, of captions of CEA-608; `index` may then be that of the video"
    )


class Source(BaseModel):
    """What the probe found out. `video` is None where there is only sound."""

    container: str
    analysed_bytes: int = Field(
        0, description="how far FFmpeg must look to find all streams; 0 = as far as it does by itself"
    )
    size_bytes: int
    start: float | None = Field(
        None,
        description="moment 0 of the stream in the source's own clock; None where its time stamps are not to be had",
    )
    duration: float
    video: VideoSource | None = None
    unusable_video: str | None = Field(
        None, description="the sentence that says why `video` is null though the file has video"
    )
    audio: list[AudioSource] = []
    audio_track_count: int = Field(
        0, description="how many can be decoded and belong to the film; of very many not all are described"
    )
    subtitles: list[SubtitleSource] = []
    warnings: list[str] = Field([], description="what was left out or had to be guessed, for the job's owner")
    keeps_damage: bool = Field(False, description="what cannot be decoded does not fail the job")
    timeline_notes: list[TimelineNote] = Field([], description="what is odd about its clock, and what is done about it")
    clocks: str | None = Field(None, description="where the clocks of its tracks lie in the store, if not here")

    @property
    def video_required(self) -> VideoSource:
        """The video stream, for whoever works on renditions of it: none are planned where there is none."""
        assert self.video is not None
        return self.video

    def without_key_frames(self) -> "Source":
        """As it goes along with every chunk: only the plan needs to know them, and a long film has thousands."""
        if self.video is None:
            return self
        none: dict[str, object] = {"key_frame_ticks": [], "key_positions": []}
        return self.model_copy(update={"video": self.video.model_copy(update=none)})

    def for_chunks(self) -> "Source":
        """What a chunk of pictures has to know: of a long film hundreds of these are under way at once."""
        return self.model_copy(update={"audio": [], "subtitles": [], "warnings": [], "timeline_notes": []})

    def for_sound(self, index: int) -> "Source":
        """What the encoder of one audio track has to know."""
        own = [track for track in self.audio if track.index == index]
        return self.for_chunks().model_copy(update={"audio": own})

    def for_manifests(self) -> "Source":
        """What growing manifests are written from, dozens of times: of the tracks only captions among the pictures."""
        captions = [text for text in self.subtitles if text.channel]
        return self.for_chunks().model_copy(update={"subtitles": captions})

    @property
    def text_clock(self) -> TrackClock:
        """Of subtitles: that of the picture between which their packets lie in the file."""
        leading = [*([self.video.clock] if self.video else []), *(track.clock for track in self.audio)]
        return TrackClock(runs=leading[0].runs) if leading else TrackClock()

    def audio_clock(self, index: int) -> TrackClock:
        """Of the track that is stream `index` of the file."""
        return next((track.clock for track in self.audio if track.index == index), TrackClock())
