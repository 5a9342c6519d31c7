"""Where a source's clock cannot be taken as it is: what was found out about it, and what is done about it."""

from enum import StrEnum

from pydantic import BaseModel, Field


class ClockRun(BaseModel):
    """Packets of one track, one behind the other as they are read, whose clock goes on without a break."""

    begin: int = Field(0, description="what the first of them says, in ticks: pages of Ogg hold two runs at one byte")

    position: int = Field(description="byte of the file at which the first of them lies")
    shift: int = Field(description="ticks that are added to what the packets say, in 1/VIDEO_TIMESCALE s")


class TrackClock(BaseModel):
    """From a packet of a track to its time: that of its run, unless its own time stamp is not believed."""

    runs: list[ClockRun] = []
    disbelieved: list[int] = Field([], description="bytes at which packets lie whose time stamps are of no use")
    lead_ins: list[tuple[int, int]] = Field(
        [],
        description="bytes from which, to which packets lie that lack what they refer to: a run began between key frames",
    )
    pace: int = Field(
        0, description="ticks from one picture to the next, where only key frames have times; 0 = all have their own"
    )
    is_unusable: bool = Field(False, description="no time of it is believed: what is in it follows each other")
    continued_at: list[int] = Field([], description="bytes at which each of these begins")
    continued_by: list[int] = Field([], description="streams that go on where the track's own one ends, in order")
    in_output_order: bool = Field(
        False,
        description="time stamps are those of decoding (AVI): the n-th picture that comes out of the decoder has the n-th",
    )

    @property
    def length(self) -> int:
        """How many things have to be told of it."""
        return len(self.runs) + len(self.disbelieved) + len(self.lead_ins) + len(self.continued_at)


class NoteKind(StrEnum):
    """What can be the matter with a source's time."""

    RESET = "reset"
    """The clock goes back: the recording was joined from several, or its sender started again."""
    JUMP = "jump"
    """The clock leaps ahead, and no track has anything in between."""
    GAP = "gap"
    """A track has nothing for a while, and others go on, or the pause is short enough to be meant."""
    OUTLIER = "outlier"
    """Single packets carry a time far from that of their neighbours."""
    WITHOUT_TIME = "without_time"
    """Packets carry no time."""
    OUTPUT_ORDER = "output_order"
    """Times are those of decoding, not of showing."""
    CONTINUED = "continued"
    """A second stream goes on where the first ends."""
    UNDECODABLE = "undecodable"
    """Pictures that do not come out of the source's decoder."""
    DAMAGED = "damaged"
    """Bytes of pictures are missing in the file; what is left of them is decoded."""
    UNUSABLE = "unusable"
    """The clock says nothing: pictures and sound come one after the other."""
    CUT = "cut"
    """Something is there that no viewer gets."""
    HELD = "held"
    """The last picture stays until the sound is over."""


class TimelineNote(BaseModel):
    """One thing that is not as in an ordinary source, and what was done. Times are seconds of the finished stream."""

    kind: NoteKind
    at: float = Field(description="where in the stream")
    seconds: float = Field(description="how long, or by how much; negative where a clock goes back")
    track: int | None = Field(None, description="the stream of the file that it is about; null = all of them")
    count: int = Field(1, description="how many packets or pictures, or how often")
    text: str = Field(description="the same as a sentence")


class SoundCount(BaseModel):
    """What became of the sound of one track, in seconds."""

    in_source: float = Field(0, description="that came out of the source's decoder")
    shown: float = Field(0, description="in the stream, silence included")
    silence: float = Field(
        0, description="put where the source has nothing: in front, in gaps, and to the end of the picture"
    )
    cut: float = Field(0, description="left out: before the first picture, or what another packet had said already")
    gaps: list[tuple[float, float]] = Field([], description="the first gaps of the sound: where, and how long")


class PictureCount(BaseModel):
    """What became of the pictures of a film, or of a chunk of it."""

    in_source: int = Field(
        0, description="packets of the film, counted while it was decoded; fields, where it has those"
    )
    decoded: int = Field(0, description="pictures that came out of the source's decoder")
    shown: int = Field(0, description="that went to the encoders")
    thinned: int = Field(
        0, description="left out: the profile has fewer pictures a second, or there is no time between their neighbours"
    )
    missing: list[tuple[float, float]] = Field([], description="where pictures cannot be decoded, and how long that is")
