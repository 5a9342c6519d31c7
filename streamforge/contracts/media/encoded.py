"""What came out: segments, tracks and files."""

from dataclasses import dataclass, field
from typing import Annotated

from pydantic import BaseModel, Field

from streamforge.contracts.media.timeline import PictureCount, SoundCount


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

    @property
    def is_captions(self) -> bool:
        """For who cannot hear, and not only for who does not understand the language: it says what is spoken."""
        return self.generated or self.hearing_impaired


class Text(BaseModel):
    """What came of subtitles or of speech, and what is to be said about it."""

    tracks: list[TextTrack] = []
    warnings: list[str] = []


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
    """What one chunk or one audio track came to, with every segment: the record that is kept in the store."""

    tracks: list[EncodedTrack]
    count: PictureCount | None = Field(
        None, description="null for sound, and in records that are older than this field"
    )
    exact: bool = Field(True, description="whoever does this work again writes the same bytes; not so with a GPU")
