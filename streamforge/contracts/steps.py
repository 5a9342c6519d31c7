"""One row for each activity: its name, what goes in and comes out, where it waits and how long it may take.

A workflow runs a step by its row, and has its result in its type; a worker registers what performs it by the same row.
"""

from dataclasses import dataclass
from datetime import timedelta
from types import NoneType
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from streamforge.contracts.job import Stage
from streamforge.contracts.media.encoded import Text
from streamforge.contracts.media.per_title import SearchedPlan
from streamforge.contracts.media.stills import Pictures
from streamforge.contracts.names import (
    CAPTIONS_TASK_QUEUE,
    FETCH_TASK_QUEUE,
    MEDIA_TASK_QUEUE,
    TASK_QUEUE,
    WEBHOOKS_TASK_QUEUE,
)
from streamforge.contracts.pipeline import (
    DiscardInput,
    Downloads,
    DownloadsInput,
    EncodeAudioInput,
    EncodeChunkInput,
    EncodedPart,
    FetchInput,
    IdentifyVideo,
    KeepSubtitlesInput,
    Outcome,
    PackagedStream,
    PackageInput,
    PlanVideo,
    ProbedSource,
    ProbeInput,
    ProcessVideoResult,
    PublishedSoFar,
    PublishInput,
    ReconcileInput,
    ReconcileResult,
    SearchInput,
    StillsInput,
    StoredSource,
    StoreInput,
    SweepInput,
    SweepResult,
    TranscribeInput,
    UploadInput,
    ValidatedStream,
    ValidateInput,
)
from streamforge.contracts.printable_plan import PrintablePlan
from streamforge.contracts.webhooks import DeliverWebhook, TriedWebhook

In = TypeVar("In", bound=BaseModel)
Out = TypeVar("Out", bound=BaseModel | None)
Out_co = TypeVar("Out_co", bound=BaseModel | None, covariant=True)


@dataclass(frozen=True)
class Step(Generic[In, Out_co]):
    """`name` is what histories of running jobs have: never rename one. `limit` is for one attempt (start to close); how
    many there are is for the errors to say. `beats` says whether it sends heartbeats, and so can be cancelled. `stage`
    is the one of a job that it belongs to; None for what surrounds the stages."""

    name: str
    takes: type[In]
    gives: type[Out_co]
    limit: timedelta
    queue: str = TASK_QUEUE
    beats: bool = True
    stage: Stage | None = None


FETCH = timedelta(hours=24)
"""For the original of hours of video over a slow line, on top of what is done with it. Heartbeats tell a fetch that goes
on from a worker that is gone."""

FETCH_SOURCE = Step("fetch_source", FetchInput, StoredSource, FETCH, FETCH_TASK_QUEUE, stage=Stage.UPLOADING)
UPLOAD = Step("upload", UploadInput, StoredSource, timedelta(hours=6), stage=Stage.UPLOADING)
PROBE = Step("probe", ProbeInput, ProbedSource, timedelta(hours=1) + FETCH, stage=Stage.UPLOADING)
PLAN = Step("plan", PlanVideo, PrintablePlan, timedelta(minutes=5))
IDENTIFY = Step("identify", IdentifyVideo, NoneType, timedelta(minutes=1))
SEARCH = Step(
    "search_per_title", SearchInput, SearchedPlan, timedelta(hours=1) + FETCH, MEDIA_TASK_QUEUE, stage=Stage.TRANSCODING
)
ENCODE_CHUNK = Step(
    "transcode_chunk",
    EncodeChunkInput,
    EncodedPart,
    timedelta(hours=6) + FETCH,
    MEDIA_TASK_QUEUE,
    stage=Stage.TRANSCODING,
)
ENCODE_AUDIO = Step(
    "transcode_audio",
    EncodeAudioInput,
    EncodedPart,
    timedelta(hours=6) + FETCH,
    MEDIA_TASK_QUEUE,
    stage=Stage.TRANSCODING,
)
KEEP_SUBTITLES = Step("keep_subtitles", KeepSubtitlesInput, Text, timedelta(hours=1) + FETCH, stage=Stage.TRANSCODING)
TRANSCRIBE = Step(
    "captions", TranscribeInput, Text, timedelta(hours=24) + FETCH, CAPTIONS_TASK_QUEUE, stage=Stage.TRANSCODING
)
VALIDATE = Step("validate", ValidateInput, ValidatedStream, timedelta(hours=1), stage=Stage.VALIDATION)
PICTURES = Step("pictures", StillsInput, Pictures, timedelta(hours=1), stage=Stage.VALIDATION)
PUBLISH = Step("publish_playable", PublishInput, PublishedSoFar, timedelta(minutes=10), stage=Stage.TRANSCODING)
PACKAGE = Step("package", PackageInput, PackagedStream, timedelta(hours=1), stage=Stage.PACKAGING)
DOWNLOADS = Step(
    "make_downloads", DownloadsInput, Downloads, timedelta(hours=6), MEDIA_TASK_QUEUE, stage=Stage.PACKAGING
)
STORE = Step("store", StoreInput, ProcessVideoResult, timedelta(hours=6), stage=Stage.STORAGE)
RECORD_OUTCOME = Step("record_outcome", Outcome, NoneType, timedelta(minutes=1), beats=False)
DISCARD = Step("discard", DiscardInput, NoneType, timedelta(minutes=10))
SWEEP = Step("sweep", SweepInput, SweepResult, timedelta(hours=1))
RECONCILE = Step("reconcile", ReconcileInput, ReconcileResult, timedelta(hours=1))
DELIVER_WEBHOOK = Step(
    "deliver_webhook", DeliverWebhook, TriedWebhook, timedelta(minutes=2), WEBHOOKS_TASK_QUEUE, beats=False
)

ALL: tuple[Step[Any, Any], ...] = tuple(row for row in vars().copy().values() if isinstance(row, Step))
"""What a worker must be able to do."""
