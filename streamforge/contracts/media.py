"""What is known about a source, what is planned for it, and what came out. Crosses worker ↔ child ↔ workflow.

Units: seconds unless a name ends in `_ticks`; ticks are 1/VIDEO_TIMESCALE for video, 1/sample_rate for audio.
"""

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import BaseModel, Field

from streamforge.contracts.stills import StillsPlan
from streamforge.contracts.timeline import PictureCount, SoundCount, TimelineNote, TrackClock

VIDEO_TIMESCALE = 90_000
"""Ticks per second of every video rendition: MPEG's own clock, exact for 24, 25, 30, 50, 60 and the /1.001 rates."""


COPY = "copy"
"""In place of an encoder: FFmpeg's own name for taking the source's packets as they are."""


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


class VideoRendition(BaseModel):
    """One rung of the ladder, ready for the encoder: every option is decided here."""

    name: str
    width: int
    height: int
    codec: str = Field(description="h264, hevc or av1")
    encoder: str = Field(description="the encoder's name in FFmpeg, like libx264; or copy")
    options: dict[str, str]
    max_bitrate: int = Field(description="bit/s, the cap on the CRF")
    codec_string: str | None = Field(None, description="RFC 6381; what the encoder will write, asked before it begins")
    pixel_format: str = Field("yuv420p", description="FFmpeg's name; always 4:2:0 and limited range")
    dynamic_range: DynamicRange = "sdr"
    color: Color = Color()
    gpu_encoder: str | None = Field(
        None, description="what may write parts of it in place of `encoder`; each key frame then has its parameter sets"
    )

    @property
    def is_copy(self) -> bool:
        return self.encoder == COPY


class AudioRendition(BaseModel):
    """One track of the source in one layout. `track` counts the source's tracks from 0: its layouts belong together."""

    name: str
    stream_index: int
    codec: str = "aac"
    bitrate: int
    sample_rate: int
    channels: int = Field(description="1, 2 or 6, which is 5.1")
    track: int = 0
    language: str | None = None
    title: str | None = None
    default: bool = False
    role: AudioRole = AudioRole.PROGRAMME
    loudness_target: float | None = Field(None, description="LUFS; null = as loud as the source")
    true_peak_ceiling: float = Field(-1.0, description="dBTP; nothing is made louder than this")

    @property
    def is_surround(self) -> bool:
        return self.channels > 2


class SubtitleRendition(BaseModel):
    """A text track of the source that becomes WebVTT. `language` is an RFC 5646 tag, or None."""

    name: str
    stream_index: int
    codec: str
    language: str | None = None
    title: str | None = None
    default: bool = False
    forced: bool = False
    hearing_impaired: bool = False
    channel: int | None = Field(None, description="1 to 4, of captions of CEA-608")


class Transcription(BaseModel):
    """Captions that are made from the sound. `language` is an RFC 5646 tag; None = whatever is spoken."""

    name: str
    stream_index: int = Field(description="the audio track that is listened to")
    language: str | None
    model: str = Field(description="a name that faster-whisper knows, or the path of a converted model")
    allow_download: bool
    device: str = Field(description="auto, cpu or cuda")
    compute_type: str = Field(description="auto, or one that CTranslate2 knows")


class TextTrack(BaseModel):
    """Subtitles or captions in the store: one WebVTT file, on the video's timeline."""

    name: str
    label: str = Field(description="what a player's menu shows")
    language: str | None = None
    generated: bool = False
    default: bool = False
    forced: bool = False
    hearing_impaired: bool = False
    cues: int
    size_bytes: int


class Text(BaseModel):
    """What came of subtitles or of speech, and what is to be said about it."""

    tracks: list[TextTrack] = []
    warnings: list[str] = []


class Chunk(BaseModel):
    """A piece of the timeline that one activity encodes: frames with start ≤ t < end, t counted from the first frame.

    The end of the last chunk is None: it takes whatever is still there.
    """

    index: int
    start: float
    end: float | None
    expected_frames: int
    entry: int | None = Field(
        None, description="byte of the file at which decoding begins, where its clock cannot be asked for the moment"
    )


class QualityTarget(BaseModel):
    """What validation asks for. `floors` holds the lowest acceptable VMAF mean of each rendition, by its name."""

    enabled: bool
    floors: dict[str, float]
    failure_is_fatal: bool
    sample_every_frames: int = Field(description="1 = every frame is measured")
    max_repairs: int = Field(default=0, description="how often a chunk below its floor is encoded again")


class PerTitleTarget(BaseModel):
    """What a per-title search looks for before the encode: the CRF at which each rendition has the VMAF asked of it.

    By the rendition's name, `targets` are in percent of the best that its size can reach, and `crf` holds the lowest and the
    highest one allowed. `samples` are the pieces of the film that are encoded for it, each `sample_seconds` long.
    """

    targets: dict[str, float]
    crf: dict[str, tuple[float, float]]
    drop_rungs: bool
    samples: list[Chunk]
    sample_seconds: float
    sample_every_frames: int
    cpu_seconds: float = Field(description="what the search is expected to cost")


TrackType = Literal["video", "audio"]


class Protection(BaseModel):
    """How the stream is encrypted, and where players ask for its keys. The keys are derived where they are needed
    (streamforge.keys): no plan, event, log or table ever holds one."""

    scheme: Literal["aes-128", "cbcs"]
    key_ids: dict[TrackType, str] = Field({}, description="32 hex digits each; empty until a worker has derived them")
    key_url: str = Field("", description="of the folder that the keys are in: a path on this API, or a whole URL")


class EncodePlan(BaseModel):
    """How pictures are encoded: all that a chunk needs of its plan. Sent with each of them, and a film of twelve hours has
    over a thousand."""

    renditions: list[VideoRendition]
    segment_seconds: float
    gop_seconds: float
    max_frame_rate: float
    edit_offset_ticks: int = Field(
        description="Added to all video time stamps so that no decode time is negative; the edit list in the init "
        "segment takes it away again (CMAF, ISO/IEC 23000-19 §7.5.13). 0 where nothing is reordered: there is none."
    )
    quality: QualityTarget
    protection: Protection | None = None
    pictures: StillsPlan | None = Field(None, description="null where there are to be none")

    @classmethod
    def of(cls, plan: "EncodePlan") -> Self:
        """What this kind of plan holds of a wider one."""
        return cls(**{name: getattr(plan, name) for name in cls.model_fields})

    @property
    def is_copy(self) -> bool:
        return any(rendition.is_copy for rendition in self.renditions)

    def for_part(self, renditions: list[VideoRendition]) -> "EncodePlan":
        """Of one part of a chunk, which has only these. The part with the best rendition keeps pictures of the chunk, too:
        one of them, and not the one that somebody waits for."""
        pictures = self.pictures if self.renditions[0] in renditions else None
        return EncodePlan.of(self).model_copy(update={"renditions": renditions, "pictures": pictures})


class SearchPlan(EncodePlan):
    """What a per-title search goes by."""

    per_title: PerTitleTarget


class StreamPlan(EncodePlan):
    """What a stream is put together by: manifests, downloads and stills are of all of the film, and of no chunk."""

    audio: list[AudioRendition]
    opening_seconds: float | None = Field(
        0.0, description="the first chunk's end, None for a film of one; until there the smallest rendition stands in"
    )


class Plan(StreamPlan):
    """Everything decided before the first frame is encoded. The same source and settings give the same plan."""

    chunks: list[Chunk]
    per_title: PerTitleTarget | None = None
    subtitles: list[SubtitleRendition] = []
    transcription: Transcription | None = None
    downloads: bool = Field(False, description="whether each rendition is to be had as one file, too")

    warnings: list[str] = Field([], description="what of the source is left out, as sentences for the result")

    @property
    def total_frames(self) -> int:
        return sum(chunk.expected_frames for chunk in self.chunks)

    @property
    def names(self) -> list[str]:
        """Of its video renditions; where there is only sound, of that."""
        return [rendition.name for rendition in self.renditions] or [rendition.name for rendition in self.audio]

    def with_codec_strings(self, codec_strings: dict[str, str]) -> "Plan":
        known = {r.name: r.codec_string for r in self.renditions} | codec_strings
        renditions = [r.model_copy(update={"codec_string": known[r.name]}) for r in self.renditions]
        return self.model_copy(update={"renditions": renditions})


# A film of twelve hours has hundreds of thousands of the next three: a model would be three objects for each.
@dataclass(slots=True)
class KeyFrame:
    """Where in its segment a key frame lies: the bytes that a decoder needs to show this picture and no other."""

    ticks: int
    offset: int
    size_bytes: int


def segment_name(start_ticks: int) -> str:
    """After its start, as DASH's `$Time$` wants it."""
    return f"{start_ticks}.m4s"


@dataclass(slots=True)
class Segment:
    """One CMAF media segment in the store."""

    start_ticks: int
    duration_ticks: int
    size_bytes: int
    sha256: str = ""
    key_frames: list[KeyFrame] = field(default_factory=list)

    @property
    def file_name(self) -> str:
        return segment_name(self.start_ticks)


class Loudness(BaseModel):
    """By EBU R 128. Null where there is nothing to measure: silence, or less than 0.4 s."""

    integrated: float | None = Field(description="LUFS")
    range: float | None = Field(description="LU")
    true_peak: float | None = Field(description="dBTP, of the loudest channel")


class EncodedTrack(BaseModel):
    """Segments of one rendition, or of one rendition within one chunk, in order."""

    name: str
    timescale: int
    codec_string: str = Field(description="RFC 6381, like avc1.64001f")
    init_sha256: str
    init_size_bytes: int
    frames: int = Field(description="video frames, or audio packets")
    segments: list[Segment]
    encoders: dict[str, int] = Field({}, description="what wrote it, as far as it says so, and how many chunks of it")
    loudness: Loudness | None = Field(None, description="of sound, as it was given to the encoder")
    gain: float | None = Field(None, description="dB by which it was made louder or softer; null when not asked for")
    sound: SoundCount | None = Field(None, description="of sound: what became of the source's")


@dataclass(slots=True)
class StoredFile:
    """A file of the stream as it must lie in the store. `sha256` in hexadecimal, empty where it is not known yet."""

    size_bytes: Annotated[int, Field(ge=0)]
    sha256: Annotated[str, Field(pattern="^([0-9a-f]{64})?$")] = ""


class EncodedTracks(BaseModel):
    """What one chunk or one audio track came to, with every segment: the receipt that is kept in the store."""

    tracks: list[EncodedTrack]
    count: PictureCount | None = Field(
        None, description="null for sound, and in receipts that are older than this field"
    )
    exact: bool = Field(True, description="whoever does this work again writes the same bytes; not so with a GPU")
