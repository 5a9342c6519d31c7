"""The worker's composition root: every part is built here, handed to the activities, and closed in reverse order."""

import asyncio
import logging
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager, AsyncExitStack, ExitStack, asynccontextmanager
from datetime import UTC, datetime, timedelta

import httpx
import structlog
from temporalio import activity, workflow
from temporalio.client import Client
from temporalio.worker import Interceptor, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner, SandboxRestrictions

from activities.registration import Parts, activities_by_queue, all_activities
from activities.support.fence import FencedStorage
from activities.support.gpu_sessions import GpuSessions
from activities.support.memory import MemoryBudget
from activities.support.originals import Originals
from activities.support.scratch import Scratch
from streamforge import __version__
from streamforge.background import beside
from streamforge.contracts import names, tasks
from streamforge.contracts.tasks import LibrariesTask, SandboxTask, TrialTask
from streamforge.contracts.worker_view import AboutWorker, own_identity
from streamforge.db.audit import AuditLog
from streamforge.db.chunks import Chunks
from streamforge.db.fetches import Fetches
from streamforge.db.jobs import Jobs
from streamforge.db.pool import Database
from streamforge.db.roles import Roles
from streamforge.db.webhooks import Deliveries
from streamforge.db.workers import Beats
from streamforge.errors import MissingPart
from streamforge.event_loop import spare_what_stays
from streamforge.events.log import EventLog
from streamforge.keys import Keys
from streamforge.media.worker.capabilities import cores, memory_bytes
from streamforge.media.worker.children import MediaChildren
from streamforge.media.worker.gpus import GpuMeter, try_encoders
from streamforge.observability import metrics
from streamforge.observability.exposition import exposed
from streamforge.observability.tracing import tracing_of
from streamforge.outbound.addresses import Outbound
from streamforge.outbound.http import client as outbound_client
from streamforge.planning.trial import trial_renditions
from streamforge.retry import STARTUP_WAIT_SECONDS, until_available
from streamforge.settings import Settings, WorkerSettings
from streamforge.signals import stop_requests
from streamforge.storage import open_storage
from streamforge.storage.ownership import claim_if_there
from streamforge.temporal.connect import connect, ensure_search_attributes
from streamforge.temporal.deployments import Build, keep_new_jobs_going, this_build, warn_if_new_jobs_go_elsewhere
from streamforge.temporal.schedule import ensure_schedules
from streamforge.temporal.trails import HandsOnOrigins
from streamforge.worker.beat import Work, beating, memory_used
from streamforge.worker.context import ContextInterceptor
from streamforge.worker.interceptor import FailureInterceptor
from streamforge.worker.measuring import MeasuringInterceptor
from streamforge.worker.pulse import Pulse
from streamforge.worker.store_watch import StoreWatch
from streamforge.worker.webhooks import webhooks_begun
from workflows.registration import all_workflows

log = structlog.stdlib.get_logger(__name__)

CANCEL_DELIVERY = timedelta(milliseconds=300)
"""A cancel reaches an activity with the answer to a heartbeat; by default the SDK sends those only now and then."""

SHARE_OF_MEMORY = 0.7
"""For media children; the rest is for the worker itself and for whatever else runs here."""
MAX_CONCURRENT_LIGHT_ACTIVITIES = 20
MAX_CONCURRENT_TRANSCRIPTIONS = 1
"""Each uses all cores that encoders leave, and has a model in memory."""

MAX_CONCURRENT_WEBHOOKS = 50
"""Each waits for an answer, and takes nothing meanwhile."""

MIN_CONCURRENT_MEDIA_ACTIVITIES = 2
"""Sound beside the picture; and while one chunk starts or ends, the other one keeps the cores busy."""


SANDBOX = SandboxRestrictions.default.with_passthrough_modules("streamforge", "pydantic", "pydantic_core")


async def run_worker(settings: Settings) -> None:
    """Work until SIGTERM, SIGINT or SIGHUP.

    Raises MissingPart, InvalidSettings, SandboxMissing, DatabaseUnavailable, TemporalUnavailable, StoreTaken.
    """
    # Signals end it at once until it has started, which may take a minute where a part is away, and change nothing once it
    # stops.
    with ExitStack() as signals:
        drain = asyncio.Event()
        async with worker(settings, drain):
            asked_to_stop = signals.enter_context(stop_requests())
            spare_what_stays()
            log.info("worker ready", queues=list(slots_of(settings)))
            await _first_of(asked_to_stop, drain)
            log.info("worker stopping")


async def _first_of(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    for each in waiting:
        each.cancel()


@asynccontextmanager
async def worker(settings: Settings, drain: asyncio.Event | None = None) -> AsyncIterator[Client]:
    """All task queues, served until the block ends; then running activities get their grace and go back. `drain` is set when
    somebody asks this worker to stop."""
    if (dsn := settings.database.dsn) is None:
        raise MissingPart("No database is configured: run `streamforge up`, or set STREAMFORGE_DATABASE__DSN.")
    # What they would write into the message stands in fields of its own.
    workflow.logger.workflow_info_on_message = False
    activity.logger.activity_info_on_message = False
    async with AsyncExitStack() as stack:
        pulse = Pulse()
        await stack.enter_async_context(pulse.beating())
        url = stack.enter_context(exposed(settings.metrics.host, settings.metrics.worker_port, pulse.probes()))
        database = await until_available(
            lambda: Database.open(dsn, settings.database.pool_size, Roles(settings.database.roles)),
            give_up_after=STARTUP_WAIT_SECONDS,
        )
        stack.push_async_callback(database.close)
        scratch = Scratch(settings.data_dir / "scratch")
        stack.callback(scratch.close)
        children = await stack.enter_async_context(MediaChildren.of(settings.media))
        await _tell_sandbox(children)
        await _check_encoders(children, settings)
        gpu = await stack.enter_async_context(_gpu(children, settings))
        storage = open_storage(settings)
        # An API that is just starting may still have to bring the schema up to date.
        await until_available(lambda: claim_if_there(storage, Jobs(database)), give_up_after=STARTUP_WAIT_SECONDS)
        originals = Originals(storage, scratch)
        stack.push_async_callback(originals.close)
        client = await connect(settings.temporal, measured=url is not None)
        await ensure_search_attributes(client)
        await ensure_schedules(client, settings.retention)
        events, deliveries = EventLog(database), Deliveries(database)
        watch = await stack.enter_async_context(StoreWatch(storage, events))
        parts = Parts(
            settings=settings,
            storage=FencedStorage(storage),
            events=events,
            jobs=Jobs(database),
            chunks=Chunks(database),
            fetches=Fetches(database),
            audit_log=AuditLog(database),
            children=children,
            libraries=await children.run(tasks.LIBRARIES, LibrariesTask()),
            scratch=scratch,
            originals=originals,
            room=MemoryBudget(settings.worker.media_memory_bytes or round(SHARE_OF_MEMORY * memory_bytes())),
            keys=Keys(settings),
            gpu=gpu,
            temporal=client,
            deliveries=deliveries,
            outbound=await stack.enter_async_context(_outbound(settings)),
        )
        _watch(parts, url)
        build = this_build(settings.temporal)
        tracing = await stack.enter_async_context(tracing_of(settings.tracing, "worker"))
        work = Work()
        await stack.enter_async_context(_beating(database, parts, work, drain or asyncio.Event()))
        # From the outside to the inside.
        interceptors: list[Interceptor] = [
            work,
            HandsOnOrigins(tracing),
            ContextInterceptor(tracing),
            MeasuringInterceptor(),
            FailureInterceptor(events, watch),
        ]
        for one in _workers(client, parts, interceptors, build):
            await stack.enter_async_context(one)
        await stack.enter_async_context(_new_jobs(client, build))
        await stack.enter_async_context(webhooks_begun(database, deliveries, client))
        stack.enter_context(pulse.taking_work())
        yield client


def _beating(database: Database, parts: Parts, work: Work, drain: asyncio.Event) -> AbstractAsyncContextManager[None]:
    slots = slots_of(parts.settings)

    def about() -> AboutWorker:
        return AboutWorker(
            slots=slots,
            running=work.running,
            cores=cores(),
            memory_bytes=memory_bytes(),
            memory_used_bytes=memory_used(),
            gpu_encoders=list(parts.gpu.encoders),
        )

    beats = Beats(database, own_identity(), socket.gethostname(), __version__, datetime.now(UTC))
    return beating(beats, about, drain)


def _watch(parts: Parts, url: str | None) -> None:
    metrics.SLOTS.set(media_slots(parts.settings.worker))
    metrics.watch_disk("scratch", parts.settings.data_dir)
    for disk in parts.storage.disks:
        metrics.watch_disk("store", disk)
    if url is not None:
        log.info("metrics can be asked for", url=url)


def media_slots(settings: WorkerSettings) -> int:
    return settings.max_concurrent_media or max(MIN_CONCURRENT_MEDIA_ACTIVITIES, cores() // 2)


@asynccontextmanager
async def _new_jobs(client: Client, build: Build | None) -> AsyncIterator[None]:
    """Sees to it, while the block runs, that new jobs go where they are worked on."""
    seeing = keep_new_jobs_going(client, build) if build else warn_if_new_jobs_go_elsewhere(client)
    async with beside({"new jobs": seeing}):
        yield


async def _tell_sandbox(children: MediaChildren) -> None:
    """Once, at the start. Raises SandboxMissing where one is required and not to be had."""
    found = await children.run(tasks.SANDBOX, SandboxTask())
    log.log(
        logging.WARNING if tasks.CONFINES & found.missing.keys() else logging.INFO,
        "media processes are confined",
        by=found.in_force,
        without=found.missing,
    )


async def _check_encoders(children: MediaChildren, settings: Settings) -> None:
    """What an encoder does not accept should be one sentence now, not a failed job later."""
    trials = (TrialTask(rendition=rendition) for rendition in trial_renditions(settings))
    await asyncio.gather(*(children.run(tasks.TRIAL, trial) for trial in trials))


@asynccontextmanager
async def _gpu(children: MediaChildren, settings: Settings) -> AsyncIterator[GpuSessions]:
    """What GPUs can do here is tried once; they are watched while the block runs. Without one it costs nothing."""
    trials = await try_encoders(children, settings)
    for trial in trials:
        log.info("GPU encoder tried", encoder=trial.encoder, works=trial.failure is None, reason=trial.failure)
    working = [trial.encoder for trial in trials if trial.failure is None]
    meter = GpuMeter()
    async with beside({"GPU meter": meter.watch()} if trials else {}):
        yield GpuSessions(working, settings.worker.gpu_sessions, meter)


def _outbound(settings: Settings) -> httpx.AsyncClient:
    """For addresses that callers name. How long an answer may take its user says."""
    return outbound_client(
        Outbound(settings.outbound.allowed_networks), httpx.Timeout(settings.webhooks.timeout_seconds)
    )


def _workers(client: Client, parts: Parts, interceptors: Sequence[Interceptor], build: Build | None) -> list[Worker]:
    """One for each task queue, with what is performed there; the workflows are where the light work is."""
    settings = parts.settings.worker
    queues = activities_by_queue(all_activities(parts))
    return [
        Worker(
            client,
            task_queue=queue,
            workflows=all_workflows() if queue == names.TASK_QUEUE else (),
            activities=queues[queue],
            workflow_runner=SandboxedWorkflowRunner(restrictions=SANDBOX),
            interceptors=interceptors,
            deployment_config=build.config if build else None,
            max_concurrent_activities=at_once,
            max_heartbeat_throttle_interval=CANCEL_DELIVERY,
            graceful_shutdown_timeout=timedelta(seconds=settings.graceful_shutdown_seconds),
        )
        for queue, at_once in slots_of(parts.settings).items()
    ]


def slots_of(settings: Settings) -> dict[str, int]:
    """How many activities run at once, by task queue."""
    return {
        names.TASK_QUEUE: MAX_CONCURRENT_LIGHT_ACTIVITIES,
        names.MEDIA_TASK_QUEUE: media_slots(settings.worker),
        names.CAPTIONS_TASK_QUEUE: MAX_CONCURRENT_TRANSCRIPTIONS,
        names.WEBHOOKS_TASK_QUEUE: MAX_CONCURRENT_WEBHOOKS,
        names.FETCH_TASK_QUEUE: settings.source_urls.at_once,
    }
