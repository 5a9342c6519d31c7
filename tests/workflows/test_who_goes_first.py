"""A full queue: what is urgent goes before what is not, and of the same priority each owner has their turn. One slot encodes,
so that the order in which parts begin is the order in which Temporal gave them out."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import UTC, datetime
from functools import partial
from typing import Any
from uuid import UUID

from factories import new_job
from fakes import PLAN, SOURCE, UNSANDBOXED, Fakes, activities_working, workflows_working
from temporalio import activity
from temporalio.api.enums.v1 import PendingActivityState
from temporalio.client import Client

from activities.registration import performs
from streamforge.api.workflows import Workflows
from streamforge.contracts import names, steps
from streamforge.contracts.media.plan import Plan
from streamforge.contracts.pipeline import ProbedSource, ProbeInput
from streamforge.db.jobs import JobRow
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings
from workflows.process_video import MOST_AT_ONCE

MEDIA = {step.name for step in steps.ALL if step.queue == names.MEDIA_TASK_QUEUE}
HOURS = 3
FILM = make_plan(
    SOURCE.model_copy(
        update={
            "duration": HOURS * 3600.0,
            "audio": [],
            "video": SOURCE.video
            and SOURCE.video.model_copy(update={"duration": HOURS * 3600.0, "frame_count": HOURS * 3600 * 25}),
        }
    ),
    Settings.model_validate({"transcode": {"max_chunk_seconds": 48}}),
)
CLIP = PLAN.model_copy(update={"audio": []})
CLIP_PARTS = len(CLIP.chunks) + 1
MANY = 40
CHUNK_SECONDS = 0.3
PATIENCE_SECONDS = 40


def row(owner: str, priority: int = 3) -> JobRow:
    now = datetime.now(UTC)
    fields = {
        "owner": owner, "status": "pending", "stage": "uploading", "progress": 5, "event_seq": 1, "bucket": "",
        "error_message": None, "created_at": now, "updated_at": now, "moved_at": now, "completed_at": None,
        "started_at": None, "launched_at": None, "work_began_at": None,
    }  # fmt: skip
    return JobRow.model_validate(new_job(priority=priority).model_dump() | fields)


class Encoders(Fakes):
    """Notes whose part begins when; a part of anybody but `late` ends when `may_end` says so."""

    def __init__(self) -> None:
        super().__init__()
        self.plans: dict[UUID, Plan] = {}
        self.began: list[UUID] = []
        self.running: UUID | None = None
        self.late: UUID | None = None
        self.may_end: Callable[[], Awaitable[bool]] = self._never
        self.on(steps.ENCODE_CHUNK, self._encode)

    @performs(steps.PROBE)
    async def probe(self, work: ProbeInput) -> ProbedSource:
        return ProbedSource(source=self.source, plan=self.plans.get(work.original.job_id, CLIP))

    async def _never(self) -> bool:
        return False

    async def _encode(self, work: Any) -> None:
        self.began.append(work.job_id)
        self.running = work.job_id
        while work.job_id != self.late:
            # It takes a while: what the late one asks for is on its way from one part of Temporal to the other meanwhile.
            activity.heartbeat()
            await asyncio.sleep(CHUNK_SECONDS)
            if await self.may_end():
                break
        self.running = None

    def before(self, late: UUID, since: int) -> int:
        """How many parts of others began from there on, up to the last of the late one."""
        parts = self.began[since:]
        last = max(place for place, job_id in enumerate(parts) if job_id == late)
        return sum(job_id != late for job_id in parts[:last])


class Queue:
    """Real Temporal with one slot for parts, and jobs started as the API starts them."""

    def __init__(self, client: Client, encoders: Encoders) -> None:
        self._client = client
        self.encoders = encoders
        self.workflows = Workflows(client)
        self.started: list[JobRow] = []

    async def start(self, job: JobRow, plan: Plan = CLIP) -> JobRow:
        self.encoders.plans[job.id] = plan
        self.started.append(job)
        await self.workflows.start(job)
        return job

    async def waiting(self, job: JobRow) -> int:
        """How many of its parts no worker has begun."""
        described = await self._client.get_workflow_handle(job.workflow_id).describe()
        return sum(
            each.state == PendingActivityState.PENDING_ACTIVITY_STATE_SCHEDULED and each.activity_type.name in MEDIA
            for each in described.raw_description.pending_activities
        )

    async def waits_or_is_over(self, job: JobRow) -> bool:
        return await self.waiting(job) > 0 or not await self.workflows.is_running(job.workflow_id)

    async def has_a_part(self, job: JobRow) -> bool:
        return self.encoders.running == job.id or await self.waiting(job) > 0

    async def end_of(self, job: JobRow) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            await self._client.get_workflow_handle(job.workflow_id).result()

    async def fill_with(self, film: JobRow) -> None:
        """Its first part comes to its end; then it has one that runs, and all that it may have in the queue."""

        async def is_full() -> bool:
            return self.encoders.running == film.id and await self.waiting(film) >= MOST_AT_ONCE - 1

        self.encoders.late = film.id
        await self.start(film, FILM)
        await until(self._has_begun)
        self.encoders.late = None
        await until(is_full)

    async def _has_begun(self) -> bool:
        return bool(self.encoders.began)

    async def terminate(self) -> None:
        for job in self.started:
            handle = self._client.get_workflow_handle(job.workflow_id)
            if await self.workflows.is_running(job.workflow_id):
                await handle.terminate()


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(PATIENCE_SECONDS):
        while not await condition():
            await asyncio.sleep(0.05)


@asynccontextmanager
async def one_slot(client: Client) -> AsyncIterator[Queue]:
    encoders = Encoders()
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(activities_working(client, encoders, media_slots=1))
        await stack.enter_async_context(workflows_working(client, UNSANDBOXED))
        queue = Queue(client, encoders)
        # What waits is ended before the workers stop: the next test has the same queues.
        stack.push_async_callback(queue.terminate)
        yield queue


async def test_an_urgent_clip_overtakes_a_film_of_three_hours_within_one_chunk(temporal: Client) -> None:
    async with one_slot(temporal) as queue:
        encoders = queue.encoders
        await queue.fill_with(row("alice"))
        clip = row("alice", priority=1)
        encoders.late, since = clip.id, len(encoders.began)
        encoders.may_end = partial(queue.waits_or_is_over, clip)
        await queue.start(clip)
        await queue.end_of(clip)
    # None, but for what begins while the clip is just asking for its next parts.
    assert encoders.before(clip.id, since) <= CLIP_PARTS, f"{MOST_AT_ONCE} parts of the film were in the queue"


async def test_a_job_whose_owner_has_one_is_not_starved_by_an_owner_who_has_many(temporal: Client) -> None:
    """A thousand would take minutes to be told; forty have the same effect: what comes last would come last."""
    async with one_slot(temporal) as queue:
        encoders = queue.encoders
        many = [await queue.start(row("alice")) for _ in range(MANY)]
        for job in many:
            await until(partial(queue.has_a_part, job))
        one = row("bob")
        encoders.late, since = one.id, len(encoders.began)
        encoders.may_end = partial(queue.waits_or_is_over, one)
        await queue.start(one)
        await queue.end_of(one)
    # Alice's first parts and her others are two shares; and one may begin while bob's job is just asking for its next.
    assert encoders.before(one.id, since) <= 5 * CLIP_PARTS < MANY - 1


async def test_a_changed_priority_holds_for_what_is_in_the_queue_already(temporal: Client) -> None:
    """Of a film of hours two hundred parts are: it would be changed from the end of these on."""
    async with one_slot(temporal) as queue:
        encoders = queue.encoders
        await queue.fill_with(row("alice"))
        clip, told = row("alice"), asyncio.Event()
        encoders.late = clip.id

        async def its_first_part_waits_or_it_was_told() -> bool:
            return told.is_set() or (clip.id not in encoders.began and await queue.waiting(clip) > 0)

        async def the_rest_waits() -> bool:
            return encoders.running is not None and await queue.waiting(clip) == CLIP_PARTS - 1

        encoders.may_end = its_first_part_waits_or_it_was_told
        await queue.start(clip)
        await until(the_rest_waits)
        since = len(encoders.began)
        urgent = clip.options.model_copy(update={"priority": 1})
        changed = clip.model_copy(update={"control_number": 1, "options": urgent})
        assert await queue.workflows.control(changed)
        told.set()
        await queue.end_of(clip)
    assert encoders.before(clip.id, since) <= CLIP_PARTS, f"{MOST_AT_ONCE} parts of the film were before it"
    assert not await queue.workflows.control(changed), "it is over"
