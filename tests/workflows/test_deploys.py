"""A new build beside an old one: each finishes the jobs that began with it; and what becomes of those whose build is gone."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from fakes import Fakes, activities_working, start, workflows_working, working
from leftovers import end_workflows
from structlog.testing import capture_logs
from temporalio import workflow
from temporalio.api.workflowservice.v1 import DescribeWorkerDeploymentRequest, SetWorkerDeploymentCurrentVersionRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError
from temporalio.testing import ActivityEnvironment, WorkflowEnvironment

from activities.reconcile import ReconcileActivities
from streamforge.contracts import names, steps
from streamforge.contracts.job import Playback
from streamforge.contracts.pipeline import (
    DiscardInput,
    ProcessVideo,
    ProcessVideoResult,
    ReconcileInput,
    ReconcileResult,
)
from streamforge.db.jobs import Jobs
from streamforge.embedded.temporal import binary
from streamforge.events.log import EventLog
from streamforge.settings import Settings, TemporalSettings
from streamforge.storage.local import LocalStorage
from streamforge.temporal import deployments
from streamforge.temporal.connect import connect, ensure_search_attributes
from streamforge.temporal.deployments import (
    Build,
    builds_at_work,
    send_new_jobs_to,
    this_build,
    warn_if_new_jobs_go_elsewhere,
)
from streamforge.worker.run import worker
from workflows.running import StepRunner
from workflows.single_steps import ReconcileJobsWorkflow

OLD, NEW = (Build("streamforge", build_id) for build_id in ("0.1.0-old", "0.2.0-new"))


@workflow.defn(name=names.PROCESS_VIDEO, sandboxed=False)
class NextProcessVideo:
    """As another version might have it: it cannot go on with what today's has begun."""

    @workflow.run
    async def run(self, job: ProcessVideo) -> ProcessVideoResult:
        work = DiscardInput(job_id=job.job_id, output=False, original=False)
        await StepRunner(job.priority).run(steps.DISCARD, work, "Nothing is done as it was")
        playback = Playback(hls="/new", dash="/new")
        return ProcessVideoResult(
            duration=1, size_bytes=1, file_count=1, source_sha256=job.sha256, renditions=[], playback=playback
        )


@pytest.fixture(scope="module")
def own_address() -> Iterator[str]:
    """Of a server of its own: who sends new jobs to one build leaves none to the workers of other tests."""
    server = asyncio.run(WorkflowEnvironment.start_local(dev_server_existing_path=str(binary())))
    yield server.client.service_client.config.target_host
    asyncio.run(server.shutdown())


@pytest.fixture
async def client(own_address: str, request: pytest.FixtureRequest) -> AsyncIterator[Client]:
    client = await connect(TemporalSettings(address=own_address))
    await ensure_search_attributes(client)
    yield client
    await end_workflows(client)


class Held(Fakes):
    """Its jobs stop at their first chunk until `go` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.reached, self.go = asyncio.Event(), asyncio.Event()
        self.on(steps.ENCODE_CHUNK, self._hold)

    async def _hold(self, _: object) -> None:
        self.reached.set()
        await self.go.wait()


async def until_current(client: Client, build: Build) -> None:
    """Temporal refuses to be asked often."""
    async with asyncio.timeout(60):
        while True:
            with suppress(RPCError):
                if await current_build(client, build.deployment) == build.build_id:
                    return
            await asyncio.sleep(1)


@pytest.fixture(autouse=True)
def quick_looks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployments, "MISSED_FOR_SECONDS", 0.2)


async def test_an_old_and_a_new_worker_each_finish_their_own_jobs(client: Client) -> None:
    old, new = Held(), Fakes()
    async with working(client, old, build=OLD):
        await send_new_jobs_to(client, OLD)
        before = await start(client, key="before.mp4")
        await old.reached.wait()
        async with working(client, new, build=NEW, kind=NextProcessVideo):
            await send_new_jobs_to(client, NEW)
            after = await start(client, key="after.mp4")
            assert (await after.result()).playback.hls == "/new"
            old.go.set()
            assert (await before.result()).playback.hls == "/h"
    assert new.called() == [steps.DISCARD.name]
    assert old.called().count(steps.PROBE.name) == 1
    assert steps.STORE.name in old.called()


async def test_an_old_worker_that_is_started_again_does_not_turn_the_upgrade_back(client: Client) -> None:
    async with working(client, Fakes(), build=OLD), working(client, Fakes(), build=NEW, kind=NextProcessVideo):
        await send_new_jobs_to(client, NEW)
        await send_new_jobs_to(client, OLD)
        assert await current_build(client, OLD.deployment) == NEW.build_id
        assert (await (await start(client)).result()).playback.hls == "/new"


async def test_a_build_that_is_gone_gives_its_jobs_to_the_one_that_is_there(
    client: Client, jobs: Jobs, events: EventLog, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when one machine is upgraded: the old worker never comes back."""
    next_one = Build("streamforge", "0.3.0-next")
    async with activities_working(client, gone := Held(), NEW):
        async with workflows_working(client, build=NEW):
            await send_new_jobs_to(client, NEW)
            job = await start(client)
            await gone.reached.wait()
        gone.go.set()
    async with working(client, there := Fakes(), build=next_one):
        await send_new_jobs_to(client, next_one)
        reconciling = ReconcileActivities(LocalStorage(tmp_path), events, jobs, client)
        await until_listed(client, job)
        await until_at_work(client, NEW, next_one)
        assert await reconciled(reconciling) == 0, "it may only be starting again"
        monkeypatch.setattr(deployments, "SILENT_FOR", deployments.SILENT_FOR * 0)
        assert await reconciled(reconciling) == 1
        assert (await job.result()).playback.hls == "/h"
    assert steps.STORE.name in there.called()


async def test_a_worker_with_a_deployment_takes_the_new_jobs(
    own_address: str, database_dsn: str, tmp_path: Path
) -> None:
    temporal = {"address": own_address, "deployment": "cluster"}
    settings = Settings.model_validate(
        {"data_dir": tmp_path, "database": {"dsn": database_dsn}, "temporal": temporal, "worker": {"gpu": "off"}}
    )
    async with worker(settings) as client:
        ours = this_build(settings.temporal)
        assert ours is not None
        await until_at_work(client, ours)
        await until_current(client, ours)
        with capture_logs() as said:
            async with asyncio.timeout(30):
                while not said:  # Each queue hears of it by itself.
                    await warn_if_new_jobs_go_elsewhere(client)
        assert [(entry["deployment"], entry["build"]) for entry in said] == [("cluster", ours.build_id)]


async def test_where_nobody_works_on_the_newest_build_new_jobs_go_to_the_one_that_is_there(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A deploy that is turned back, or whose workers die as they start."""
    first, second = Build("rolled-back", "1"), Build("rolled-back", "2")
    async with working(client, Fakes(), build=first):
        await send_new_jobs_to(client, first)
        async with working(client, Fakes(), build=second):
            await send_new_jobs_to(client, second)
            await until_at_work(client, first, second)
        await send_new_jobs_to(client, first)
        assert await current_build(client, "rolled-back") == second.build_id, "it may only be starting again"
        monkeypatch.setattr(deployments, "SILENT_FOR", deployments.SILENT_FOR * 0)
        await send_new_jobs_to(client, first)
        assert await current_build(client, "rolled-back") == first.build_id
        assert (await (await start(client)).result()).playback.hls == "/h"


async def test_what_an_operator_has_turned_back_stays_so_when_the_newest_workers_start_again(client: Client) -> None:
    good, bad = Build("turned-back", "1"), Build("turned-back", "2")
    async with working(client, Fakes(), build=good):
        await send_new_jobs_to(client, good)
        async with working(client, Fakes(), build=bad):
            await send_new_jobs_to(client, bad)
        await client.workflow_service.set_worker_deployment_current_version(
            SetWorkerDeploymentCurrentVersionRequest(
                namespace=client.namespace, deployment_name="turned-back", build_id=good.build_id
            )
        )
        async with working(client, Fakes(), build=bad):
            await until_at_work(client, good, bad)
            await send_new_jobs_to(client, bad)
            assert await current_build(client, "turned-back") == good.build_id


async def test_a_reconciliation_does_not_wait_for_a_build_that_is_gone(client: Client) -> None:
    """The schedule begins no other one meanwhile, and the jobs of that build would wait with it."""
    before, after = Build("streamforge", "0.4.0-before"), Build("streamforge", "0.5.0-after")
    async with working(client, Fakes(), build=before, kind=ReconcileJobsWorkflow):
        await send_new_jobs_to(client, before)
        handle = await client.start_workflow(
            names.RECONCILE_JOBS, ReconcileInput(), id="reconcile", task_queue=names.TASK_QUEUE
        )
        await until_listed(client, handle)
    async with working(client, Fakes(), build=after, kind=ReconcileJobsWorkflow):
        await send_new_jobs_to(client, after)
        told = (await handle.describe()).raw_description.workflow_execution_info.versioning_info
        assert told.versioning_override.auto_upgrade


def test_a_build_is_its_version_and_its_code_unless_it_has_a_name() -> None:
    assert this_build(TemporalSettings()) is None
    named = TemporalSettings(deployment="cluster", build_id="2026.11.28")
    assert this_build(named) == Build("cluster", "2026.11.28")
    found = this_build(TemporalSettings(deployment="cluster"))
    assert found is not None
    assert re.fullmatch(r"\d+\.\d+\.\d+-[0-9a-f]{12}", found.build_id)


async def current_build(client: Client, deployment: str) -> str:
    request = DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=deployment)
    described = await client.workflow_service.describe_worker_deployment(request)
    return described.worker_deployment_info.routing_config.current_deployment_version.build_id


async def until_listed(client: Client, job: WorkflowHandle[Any, Any]) -> None:
    """As pinned: the list lags behind what happens."""
    listed = False
    async with asyncio.timeout(30):
        while not listed:
            pinned = client.list_workflows("TemporalWorkflowVersioningBehavior = 'Pinned'")
            listed = job.id in {each.id async for each in pinned}


async def until_at_work(client: Client, *builds: Build) -> None:
    async with asyncio.timeout(30):
        while not set(builds) <= await builds_at_work(client):
            await asyncio.sleep(0.05)


async def reconciled(activities: ReconcileActivities) -> int:
    result: ReconcileResult = await ActivityEnvironment().run(activities.reconcile, ReconcileInput())
    return result.workflows_unpinned
