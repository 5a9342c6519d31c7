"""What is planned for a source: renditions, chunks, and the parts of a plan that each kind of work needs.

Units: as in streamforge.contracts.media.source.
"""

from typing import Any, Literal, Self

from pydantic import BaseModel, Field, SerializerFunctionWrapHandler, model_serializer

from streamforge.contracts.media.source import AudioRole, Color, DynamicRange
from streamforge.contracts.media.stills import StillsPlan

COPY = "copy"
"""In place of an encoder: FFmpeg's own name for taking the source's packets as they are."""


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

    @model_serializer(mode="wrap")
    def as_other_versions_read_it(self, serialized: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """With `audio` and `chunks`, empty where they are no business of the work: workers of before 2026-11-28, which may run
        beside newer ones during an upgrade or after one that is turned back, refuse a plan without."""
        own: dict[str, Any] = serialized(self)
        return {"audio": [], "chunks": []} | own

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
