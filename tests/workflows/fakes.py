"""The workflow alone: real Temporal below, activities of the same names that do nothing but answer."""

from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

from factories import text_track, vmaf
from temporalio.client import Client, WorkflowHandle
from temporalio.worker import UnsandboxedWorkflowRunner, Worker, WorkflowRunner
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from activities.registration import activities_by_queue, performs
from streamforge.contracts import names, steps
from streamforge.contracts.ids import workflow_id
from streamforge.contracts.job import Playback
from streamforge.contracts.media.encoded import StoredFile, Text
from streamforge.contracts.media.per_title import PerTitleResult, SearchedPlan
from streamforge.contracts.media.plan import Plan
from streamforge.contracts.media.scores import RenditionScore
from streamforge.contracts.media.source import Source
from streamforge.contracts.media.stills import Pictures
from streamforge.contracts.pipeline import (
    DiscardInput,
    Download,
    Downloads,
    DownloadsInput,
    EncodeAudioInput,
    EncodeChunkInput,
    EncodedPart,
    FetchInput,
    KeepSubtitlesInput,
    Outcome,
    PackagedStream,
    PackageInput,
    ProbedSource,
    ProbeInput,
    ProcessVideo,
    ProcessVideoResult,
    PublishedSoFar,
    PublishInput,
    SearchInput,
    StillsInput,
    StoredSource,
    StoreInput,
    TranscribeInput,
    UploadInput,
    ValidatedStream,
    ValidateInput,
)
from streamforge.contracts.steps import Step
from streamforge.planning.per_title.search import with_crf
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings
from streamforge.temporal.deployments import Build
from streamforge.worker.run import CANCEL_DELIVERY, SANDBOX
from workflows.process_video import ProcessVideoWorkflow

SOURCE = Source.model_validate(
    {
        "container": "mov",
        "size_bytes": 1000,
        "duration": 30.0,
        "video": {
            "index": 0,
            "codec": "h264",
            "coded_width": 640,
            "coded_height": 480,
            "width": 640,
            "height": 480,
            "rotation": 0,
            "pixel_format": "yuv420p",
            "frame_rate": 25.0,
            "frame_count": 750,
            "start": 0.0,
            "duration": 30.0,
            "reorder_gap": 0.08,
            "variable_frame_rate": False,
            "seekable": True,
        },
        "audio": [{"index": 1, "codec": "aac", "channels": 2, "sample_rate": 48000}],
    }
)
PLAN = make_plan(SOURCE, Settings.model_validate({"transcode": {"max_chunk_seconds": 8}}))

DEADLOCK_SECONDS = 60

OF_PROCESS_VIDEO = [
    step
    for step in steps.ALL
    if step not in {steps.PLAN, steps.IDENTIFY, steps.SWEEP, steps.RECONCILE, steps.DELIVER_WEBHOOK}
]

Hook = Callable[[str, Any], Any]


@dataclass
class Fakes:
    """Activities under the real names. `calls` is what was asked of them; `on(name, …)` lets one misbehave."""

    calls: list[tuple[str, Any]] = field(default_factory=list)
    outcomes: list[Outcome] = field(default_factory=list)
    score: float = 95.0
    source: Source = field(default_factory=lambda: SOURCE)
    plan: Plan = field(default_factory=lambda: PLAN)
    hooks: dict[str, Callable[[Any], Any]] = field(default_factory=dict)

    def on(self, step: Step[Any, Any], hook: Callable[[Any], Any]) -> None:
        self.hooks[step.name] = hook

    def called(self) -> list[str]:
        return [name for name, _ in self.calls]

    async def _note(self, step: Step[Any, Any], work: Any) -> None:
        self.calls.append((step.name, work))
        if step.name in self.hooks and (waiting := self.hooks[step.name](work)) is not None:
            await waiting

    @performs(steps.FETCH_SOURCE)
    async def fetch(self, work: FetchInput) -> StoredSource:
        await self._note(steps.FETCH_SOURCE, work)
        return work.original.model_copy(update={"size_bytes": 2000, "sha256": "f" * 64})

    @performs(steps.UPLOAD)
    async def upload(self, work: UploadInput) -> StoredSource:
        await self._note(steps.UPLOAD, work)
        return work.original

    @performs(steps.PROBE)
    async def probe(self, work: ProbeInput) -> ProbedSource:
        await self._note(steps.PROBE, work)
        return ProbedSource(source=self.source, plan=self.plan)

    @performs(steps.SEARCH)
    async def search(self, work: SearchInput) -> SearchedPlan:
        """The smallest rendition gains nothing; the others are to be encoded at CRF 30."""
        await self._note(steps.SEARCH, work)
        renditions = [with_crf(rendition, 30) for rendition in work.plan.renditions[:-1]]
        return SearchedPlan(
            renditions=renditions,
            floors={rendition.name: 50 for rendition in renditions},
            per_title=PerTitleResult(sample_seconds=4, ladders=[]),
        )

    @performs(steps.ENCODE_CHUNK)
    async def chunk(self, work: EncodeChunkInput) -> EncodedPart:
        await self._note(steps.ENCODE_CHUNK, work)
        return EncodedPart(
            receipt=f"chunk-{work.chunk.index}",
            frames=1,
            size_bytes=1,
            quality=f"q-{work.chunk.index}",
            pictures=f"p-{work.chunk.index}" if work.plan.pictures else None,
        )

    @performs(steps.ENCODE_AUDIO)
    async def audio(self, work: EncodeAudioInput) -> EncodedPart:
        await self._note(steps.ENCODE_AUDIO, work)
        return EncodedPart(receipt=work.rendition.name, frames=1, size_bytes=1)

    @performs(steps.KEEP_SUBTITLES)
    async def keep_subtitles(self, work: KeepSubtitlesInput) -> Text:
        await self._note(steps.KEEP_SUBTITLES, work)
        return Text(tracks=[text_track(rendition.name) for rendition in work.renditions])

    @performs(steps.TRANSCRIBE)
    async def captions(self, work: TranscribeInput) -> Text:
        await self._note(steps.TRANSCRIBE, work)
        return Text(tracks=[text_track(work.transcription.name)], warnings=["It was noisy."])

    @performs(steps.VALIDATE)
    async def validate(self, work: ValidateInput) -> ValidatedStream:
        await self._note(steps.VALIDATE, work)
        scores = [RenditionScore(name=r.name, vmaf=vmaf(self.score)) for r in work.plan.renditions]
        return ValidatedStream(scores=scores, repairs=[], repair_count=0)

    @performs(steps.PICTURES)
    async def pictures(self, work: StillsInput) -> Pictures:
        await self._note(steps.PICTURES, work)
        return Pictures(files={"poster.jpg": 1})

    @performs(steps.PUBLISH)
    async def publish(self, work: PublishInput) -> PublishedSoFar:
        await self._note(steps.PUBLISH, work)
        return PublishedSoFar(seconds=4, renditions=["480p"])

    @performs(steps.PACKAGE)
    async def package(self, work: PackageInput) -> PackagedStream:
        await self._note(steps.PACKAGE, work)
        return PackagedStream(manifests={"master.m3u8": StoredFile(size_bytes=1)})

    @performs(steps.DOWNLOADS)
    async def downloads(self, work: DownloadsInput) -> Downloads:
        await self._note(steps.DOWNLOADS, work)
        return Downloads(files=[Download(rendition="480p", name="downloads/480p.mp4", size_bytes=2)])

    @performs(steps.STORE)
    async def store(self, work: StoreInput) -> ProcessVideoResult:
        await self._note(steps.STORE, work)
        return ProcessVideoResult(
            duration=30,
            size_bytes=1,
            file_count=1,
            source_sha256=work.original.sha256,
            renditions=[],
            playback=Playback(hls="/h", dash="/d"),
            warnings=work.warnings,
        )

    @performs(steps.RECORD_OUTCOME)
    async def record_outcome(self, outcome: Outcome) -> None:
        await self._note(steps.RECORD_OUTCOME, outcome)
        self.outcomes.append(outcome)

    @performs(steps.DISCARD)
    async def discard(self, work: DiscardInput) -> None:
        await self._note(steps.DISCARD, work)


SANDBOXED = SandboxedWorkflowRunner(restrictions=SANDBOX)
UNSANDBOXED = UnsandboxedWorkflowRunner()
"""For many or long workflows: in the sandbox they take twice the time."""


@asynccontextmanager
async def working(
    client: Client,
    fakes: Fakes,
    runner: WorkflowRunner = SANDBOXED,
    *,
    build: Build | None = None,
    kind: type = ProcessVideoWorkflow,
) -> AsyncIterator[None]:
    async with activities_working(client, fakes, build), workflows_working(client, runner, build=build, kind=kind):
        yield


@asynccontextmanager
async def activities_working(
    client: Client, fakes: Fakes, build: Build | None = None, *, media_slots: int | None = None
) -> AsyncIterator[None]:
    async with AsyncExitStack() as stack:
        for queue, activities in activities_by_queue([fakes], OF_PROCESS_VIDEO).items():
            worker = Worker(
                client,
                task_queue=queue,
                activities=activities,
                max_concurrent_activities=media_slots if queue == names.MEDIA_TASK_QUEUE else None,
                max_heartbeat_throttle_interval=CANCEL_DELIVERY,
                deployment_config=build.config if build else None,
            )
            await stack.enter_async_context(worker)
        yield


@asynccontextmanager
async def workflows_working(
    client: Client,
    runner: WorkflowRunner = SANDBOXED,
    *,
    build: Build | None = None,
    kind: type = ProcessVideoWorkflow,
) -> AsyncIterator[None]:
    worker = Worker(
        client,
        task_queue=names.TASK_QUEUE,
        workflows=[kind],
        workflow_runner=runner,
        deployment_config=build.config if build else None,
    )
    # What takes longer is held for a deadlock, and 2 s, the SDK's own limit, is not much on a busy machine.
    worker._workflow_worker._deadlock_timeout_seconds = DEADLOCK_SECONDS  # type: ignore[union-attr,assignment]
    async with worker:
        yield


async def start(
    client: Client, key: str = "clip.mp4", job_id: UUID | None = None, *, to_be_fetched: bool = False
) -> WorkflowHandle[Any, ProcessVideoResult]:
    job_id = job_id or uuid4()
    return await client.start_workflow(
        names.PROCESS_VIDEO,
        ProcessVideo(
            job_id=job_id,
            key=key,
            source_object=f"input/{job_id}/original",
            size_bytes=0 if to_be_fetched else 1000,
            sha256="" if to_be_fetched else "0" * 64,
            to_be_fetched=to_be_fetched,
        ),
        id=workflow_id(key, job_id),
        task_queue=names.TASK_QUEUE,
        result_type=ProcessVideoResult,
    )
