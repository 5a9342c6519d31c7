"""One row for each media task: its name, what goes into the child process, what comes out, and what it tells meanwhile.

A worker runs a task by its row (`streamforge.media.worker.children`), and a child finds what performs it by the same one.
"""

import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict

from streamforge.contracts.keys import ContentKey
from streamforge.contracts.media.encoded import EncodedTrack, Segment, Text
from streamforge.contracts.media.per_title import Probed
from streamforge.contracts.media.plan import (
    AudioRendition,
    Chunk,
    EncodePlan,
    PerTitleTarget,
    Protection,
    SubtitleRendition,
    Transcription,
    VideoRendition,
)
from streamforge.contracts.media.scores import PartQuality
from streamforge.contracts.media.source import Source
from streamforge.contracts.media.stills import Storyboard, TileSet
from streamforge.contracts.media.timeline import PictureCount

In = TypeVar("In", bound=BaseModel)
Out = TypeVar("Out", bound=BaseModel)
Progress = TypeVar("Progress", bound=BaseModel)


def _no_files(_: object) -> list[Path]:
    return []


def _no_gpu(_: object) -> bool:
    return False


@dataclass(frozen=True)
class Task(Generic[In, Out, Progress]):
    """`tells` is what a child says again and again while it works: a silent one is taken for stuck, and killed.

    The rest is all that a child gets to see of this machine besides what Python and FFmpeg need: files and folders that it
    `reads`, folders that it `writes`, whether it `measures` with an ffmpeg of its own, and whether it needs a GPU.
    """

    name: str
    takes: type[In]
    gives: type[Out]
    tells: type[Progress]
    reads: Callable[[In], list[Path]] = _no_files
    writes: Callable[[In], list[Path]] = _no_files
    measures: bool = False
    on_gpu: Callable[[In], bool] = _no_gpu


# ── what children tell ──────────────────────────────────────────────────────────────────────────────────────────────
class Nothing(BaseModel):
    """Of a task that is over in a moment."""


class IdentifyTask(BaseModel):
    """`path` has the beginning of a file."""

    path: Path


class PacketsRead(BaseModel):
    packets: int


class FramesEncoded(BaseModel):
    """Frames of each rendition that were encoded and found to be right, `seconds` after it began. `repair` says that it is
    done again for its quality."""

    frames: dict[str, int]
    seconds: float
    repair: bool = False


class SoundEncoded(BaseModel):
    """One of these: the track, once its init segment lies in the target folder; a segment that lies there; or how many
    seconds of the sound were measured before it is encoded."""

    track: EncodedTrack | None = None
    segment: Segment | None = None
    measured: float | None = None


class SearchRound(BaseModel):
    """Counted from 1."""

    round: int


class SheetsMade(BaseModel):
    sheets: int


class Listened(BaseModel):
    """`progress` of the phase, from 0 to 1. `language` is told from when on it is known, by Whisper's code."""

    phase: Literal["extracting_audio", "transcribing"]
    progress: float
    language: str | None = None


# ── what they are asked, and what they answer ───────────────────────────────────────────────────────────────────────
class ProbeTask(BaseModel):
    path: Path
    max_width: int
    max_height: int
    max_duration: float
    max_streams: int = 512
    max_packets_per_second: int = 10_000
    max_extra_bytes: int = 256 * 2**20
    keep_damaged: bool = False


class CodecsTask(BaseModel):
    source: Source
    plan: EncodePlan


class Codecs(BaseModel):
    """By the name of the rendition; of those that are encoded."""

    codec_strings: dict[str, str]


class SearchTask(BaseModel):
    """`target` is an empty folder for what is encoded on the way; it is empty again in the end."""

    path: Path
    source: Source
    plan: EncodePlan
    per_title: PerTitleTarget
    target: Path


class EncodeTask(BaseModel):
    """`target` is an empty folder; each rendition of the plan gets a folder in it. `key` belongs to `plan.protection`.
    `on_gpu` names the renditions that GPU encoders may be opened for."""

    model_config = ConfigDict(hide_input_in_errors=True)

    path: Path
    source: Source
    plan: EncodePlan
    chunk: Chunk
    target: Path
    key: ContentKey | None = None
    on_gpu: frozenset[str] = frozenset()


TILES_FOLDER = "pictures"
"""In the target of an EncodeTask, beside the folders of the renditions: what is kept of the source's pictures."""


class EncodeResult(BaseModel):
    """`quality` is None where validation is turned off, `tiles` where no pictures are kept. `peak_bytes` of memory
    includes the ffmpeg that scored. `gpu_failure` says why the CPU encoded what a GPU should have."""

    tracks: list[EncodedTrack]
    quality: PartQuality | None
    tiles: TileSet | None = None
    count: PictureCount = PictureCount()
    peak_bytes: int
    gpu_failure: str | None = None


class AudioTask(BaseModel):
    """`target` is an existing folder; the rendition gets a folder in it."""

    model_config = ConfigDict(hide_input_in_errors=True)

    path: Path
    source: Source
    rendition: AudioRendition
    segment_seconds: float
    target: Path
    protection: Protection | None = None
    key: ContentKey | None = None


class ProgressiveTask(BaseModel):
    """`tracks` are fragmented MP4 files, an init segment and all media segments one behind the other: picture first.
    `frames` is how many samples each of them has, `seconds` how long the film is."""

    tracks: list[Path]
    frames: list[int]
    seconds: float
    target: Path


class Progressive(BaseModel):
    packets: int


class SpritesTask(BaseModel):
    """`tiles` is a file of raw tiles, one behind the other, as TileMaker writes them; `slots` says from when on each is to
    be seen, in order. Sheets go into the folder `target`."""

    tiles: Path
    slots: list[int]
    storyboard: Storyboard
    target: Path


class Sprites(BaseModel):
    """Size in bytes of each sheet, by its name."""

    sheets: dict[str, int]


class SubtitlesTask(BaseModel):
    """`target` is an existing folder; each track gets a folder in it."""

    path: Path
    source: Source
    renditions: list[SubtitleRendition]
    target: Path


class TranscribeTask(BaseModel):
    """`target` is an existing folder; the track gets a folder in it, and the sound lies there meanwhile."""

    path: Path
    source: Source
    transcription: Transcription
    target: Path


class LibrariesTask(BaseModel):
    """Asks for nothing but what is installed."""


class Libraries(BaseModel):
    """What media children work with: versions, and FFmpeg's names of the encoders that can be opened."""

    av: str
    ffmpeg: str
    libavcodec: str
    encoders: list[str]


class GpuTrialTask(BaseModel):
    rendition: VideoRendition


class GpuTrial(BaseModel):
    """`failure` is None where the encoder works."""

    encoder: str
    failure: str | None = None


class TrialTask(BaseModel):
    rendition: VideoRendition


class TrialResult(BaseModel):
    size_bytes: int


NETWORK, PROCESSES, FILES, CALLS = "network", "processes", "files", "system calls"
CONFINES = {FILES, CALLS}
"""What a sandbox is none without. The others are a second lock: a filter of system calls refuses sockets, too."""


class SandboxTask(BaseModel):
    """Asks for nothing but what a child cannot do here."""


class Sandbox(BaseModel):
    """What holds a media child back. `landlock` is the version of the kernel's interface, 0 where there is none; `missing` says
    of each part that is not in force why."""

    landlock: int = 0
    system_calls: bool = False
    network: bool = False
    processes: bool = False
    missing: dict[str, str] = {}

    @property
    def in_force(self) -> list[str]:
        parts = {
            f"Landlock (version {self.landlock})": self.landlock > 0,
            "system call filter": self.system_calls,
            "no network": self.network,
            "processes counted": self.processes,
        }
        return [part for part, there in parts.items() if there]


PROBE = Task("probe", ProbeTask, Source, PacketsRead, reads=lambda task: [task.path])
IDENTIFY = Task("identify", IdentifyTask, Nothing, Nothing, reads=lambda task: [task.path])
CODECS = Task("codecs", CodecsTask, Codecs, Nothing)
SEARCH = Task(
    "search",
    SearchTask,
    Probed,
    SearchRound,
    reads=lambda task: [task.path],
    writes=lambda task: [task.target],
    measures=True,
)
ENCODE = Task(
    "encode",
    EncodeTask,
    EncodeResult,
    FramesEncoded,
    reads=lambda task: [task.path],
    writes=lambda task: [task.target],
    measures=True,
    on_gpu=lambda task: bool(task.on_gpu),
)
AUDIO = Task(
    "audio",
    AudioTask,
    EncodedTrack,
    SoundEncoded,
    reads=lambda task: [task.path],
    writes=lambda task: [task.target],
)
PROGRESSIVE = Task(
    "progressive",
    ProgressiveTask,
    Progressive,
    PacketsRead,
    reads=lambda task: task.tracks,
    writes=lambda task: [task.target.parent],
)
SPRITES = Task(
    "sprites",
    SpritesTask,
    Sprites,
    SheetsMade,
    reads=lambda task: [task.tiles],
    writes=lambda task: [task.target],
)
SUBTITLES = Task(
    "subtitles",
    SubtitlesTask,
    Text,
    PacketsRead,
    reads=lambda task: [task.path],
    writes=lambda task: [task.target],
)
TRANSCRIBE = Task(
    "transcribe",
    TranscribeTask,
    Text,
    Listened,
    reads=lambda task: [task.path, Path(task.transcription.model)],
    writes=lambda task: [task.target],
    on_gpu=lambda task: task.transcription.device != "cpu",
)
LIBRARIES = Task("libraries", LibrariesTask, Libraries, Nothing)
SANDBOX = Task("sandbox", SandboxTask, Sandbox, Nothing)
GPU_TRIAL = Task(
    "gpu_trial",
    GpuTrialTask,
    GpuTrial,
    Nothing,
    # Its pictures are its own: there is nothing hostile in it.
    writes=lambda _: [Path(tempfile.gettempdir())],
    on_gpu=lambda _: True,
)
TRIAL = Task("trial", TrialTask, TrialResult, Nothing)

ALL: tuple[Task[Any, Any, Any], ...] = tuple(row for row in vars().copy().values() if isinstance(row, Task))
"""What a media child must be able to do."""
