"""What went into a job and what came out of it: pictures, seconds of sound, and each difference with its reason."""

from pydantic import BaseModel, Field

from streamforge.contracts.media.timeline import SoundCount, TimelineNote


class PictureAccount(BaseModel):
    """Of the film, summed over its chunks."""

    in_source: int = Field(description="that demuxing the whole file found")
    without_reference: int = Field(0, description="in front of the first picture that can be decoded")
    decoded: int | None = Field(None, description="that came out of the source's decoder; null where nobody counted")
    shown: int | None = Field(None, description="that are in the stream")
    thinned: int = Field(
        0, description="left out: the profile has fewer pictures a second, or there is no time between their neighbours"
    )
    missing: list[tuple[float, float]] = Field([], description="where pictures cannot be decoded, and how long that is")


class SoundAccount(SoundCount):
    """Of one audio rendition."""

    name: str
    track: int = Field(description="stream of the file")


class Account(BaseModel):
    """`lines` are sentences, one for each kind of difference; the job's warnings have them, too."""

    pictures: PictureAccount | None = None
    sounds: list[SoundAccount] = []
    timeline: list[TimelineNote] = []
    lines: list[str] = []
