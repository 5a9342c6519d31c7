"""Worker deployments of Temporal: which build of the workers a job belongs to, so that a deploy breaks none that runs.

Without `temporal.deployment` workers have no version: whoever is there takes every job on, by replaying it, which the
recorded histories in the tests promise to work. With it a job is pinned to the build that it began with, and stays with the
workers of that build; new jobs begin with the newest build. A build whose workers are all gone gives its jobs away.
"""

import asyncio
import hashlib
from collections.abc import Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.util import find_spec
from pathlib import Path

import structlog
from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.common.v1 import WorkflowExecution as ExecutionId
from temporalio.api.deployment.v1 import WorkerDeploymentInfo
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflow.v1 import VersioningOverride, WorkflowExecutionOptions
from temporalio.api.workflowservice.v1 import (
    DescribeTaskQueueRequest,
    DescribeTaskQueueResponse,
    DescribeWorkerDeploymentRequest,
    SetWorkerDeploymentCurrentVersionRequest,
    UpdateWorkflowExecutionOptionsRequest,
)
from temporalio.client import Client, WorkflowExecution
from temporalio.common import SearchAttributeKey, VersioningBehavior, WorkerDeploymentVersion
from temporalio.service import RPCError
from temporalio.worker import WorkerDeploymentConfig

from streamforge import __version__
from streamforge.contracts import names
from streamforge.retry import backoff
from streamforge.settings import TemporalSettings

CODE = ("streamforge", "workflows", "activities")
DIGEST_LENGTH = 12

TRIES_BEFORE_A_WORD = 8
"""Some half a minute."""

LOOK_AGAIN_SECONDS = 60.0
"""Between two looks at whether new jobs go to a build that is at work."""

MISSED_FOR_SECONDS = 75.0
"""A build is gone if it is seen in none of two looks so far apart: Temporal keeps who asks for work in memory, and after a
restart of it a worker that waits may not have asked again for as long as a minute."""

RPC_TIMEOUT = timedelta(seconds=10)

SILENT_FOR = timedelta(minutes=3)
"""A worker that waits for work asks again at least every minute. Temporal keeps those that do no more for five."""

PINNED = "Pinned"
BEHAVIOR = SearchAttributeKey.for_keyword("TemporalWorkflowVersioningBehavior")
VERSION = SearchAttributeKey.for_keyword("TemporalWorkerDeploymentVersion")

_OTHERS = f"WorkflowType != '{names.PROCESS_VIDEO}' AND WorkflowType != '{names.DELIVER_WEBHOOK}'"
SINGLE_STEPS = f"{_OTHERS} AND ExecutionStatus = 'Running'"

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Build:
    """One version of a deployment."""

    deployment: str
    build_id: str

    @property
    def config(self) -> WorkerDeploymentConfig:
        """For each worker of this build."""
        version = WorkerDeploymentVersion(deployment_name=self.deployment, build_id=self.build_id)
        return WorkerDeploymentConfig(
            version=version, use_worker_versioning=True, default_versioning_behavior=VersioningBehavior.PINNED
        )


def this_build(settings: TemporalSettings) -> Build | None:
    """None where workers have no version."""
    if settings.deployment is None:
        return None
    return Build(settings.deployment, settings.build_id or f"{__version__}-{_digest_of_the_code()}")


@cache
def _digest_of_the_code() -> str:
    """Two processes with the same one replay every job alike; a version that nobody has counted up is another build, too."""
    digest = hashlib.sha256()
    for package in CODE:
        for path in _sources(package):
            digest.update(f"{path.name} {path.stat().st_size}\n".encode() + path.read_bytes())
    return digest.hexdigest()[:DIGEST_LENGTH]


def _sources(package: str) -> list[Path]:
    spec = find_spec(package)
    assert spec is not None
    return sorted(path for root in spec.submodule_search_locations or [] for path in Path(root).rglob("*.py"))


async def keep_new_jobs_going(client: Client, build: Build) -> None:
    """Until it is cancelled: make `build` the current one if it is the newest and never was that, or if nobody works on the
    current one. So a worker that is started again turns neither an upgrade back, nor what an operator has said to Temporal
    (`temporal worker deployment set-current-version`)."""
    while True:
        await send_new_jobs_to(client, build)
        await asyncio.sleep(LOOK_AGAIN_SECONDS)


async def send_new_jobs_to(client: Client, build: Build) -> None:
    """Returns once they go to it, or to a newer one. Temporal knows a build some moments after its workers have asked for
    work on all their queues, and may be away."""
    for tries, delay in enumerate(backoff(), 1):
        try:
            await _promote(client, build)
            await _free_single_steps(client, build)
        except RPCError as error:
            if tries == TRIES_BEFORE_A_WORD:
                log.warning("new jobs do not go to this build yet", build=build.build_id, reason=str(error))
        else:
            return
        await asyncio.sleep(delay)


async def _promote(client: Client, build: Build) -> None:
    """Raises RPCError, too, while Temporal does not know this build with all its queues."""
    described = await client.workflow_service.describe_worker_deployment(
        DescribeWorkerDeploymentRequest(namespace=client.namespace, deployment_name=build.deployment),
        timeout=RPC_TIMEOUT,
    )
    seen = described.worker_deployment_info.version_summaries
    ids = {each.deployment_version.build_id for each in seen}
    current = described.worker_deployment_info.routing_config.current_deployment_version.build_id
    if current == build.build_id:
        return
    if current and build.build_id in ids and not _is_new(build, seen):
        if not await builds_gone(client, {Build(build.deployment, current)}):
            log.info("new jobs go to another build", build=build.build_id, current=current)
            return
        log.warning("nobody works on the build that new jobs went to", build=build.build_id, gone=current)
    await client.workflow_service.set_worker_deployment_current_version(
        SetWorkerDeploymentCurrentVersionRequest(
            namespace=client.namespace,
            deployment_name=build.deployment,
            build_id=build.build_id,
            conflict_token=described.conflict_token,
            identity=client.identity,
        ),
        timeout=RPC_TIMEOUT,
    )


def _is_new(build: Build, seen: Sequence[WorkerDeploymentInfo.WorkerDeploymentVersionSummary]) -> bool:
    """The newest, and never the current one: what an operator has turned back stays so when its workers start again."""
    newest = max(seen, key=lambda each: each.create_time.ToNanoseconds())
    return newest.deployment_version.build_id == build.build_id and not newest.HasField("first_activation_time")


async def _free_single_steps(client: Client, build: Build) -> None:
    """A sweep or a reconciliation has no order that another build could break. One that waited for a build that is gone would
    hold up all that follow, and the reconciliation is what frees jobs."""
    async for each in client.list_workflows(SINGLE_STEPS, rpc_timeout=RPC_TIMEOUT):
        if pinned_to(each) not in {None, build}:
            await unpin(client, each.id)


def pinned_to(workflow: WorkflowExecution) -> Build | None:
    """The build whose workers alone go on with it; None where any may."""
    told = workflow.typed_search_attributes
    if told.get(BEHAVIOR) != PINNED or (version := told.get(VERSION)) is None:
        return None
    deployment, _, build_id = version.partition(":")
    return Build(deployment, build_id)


async def warn_if_new_jobs_go_elsewhere(client: Client) -> None:
    """For a worker without a deployment, beside or after workers with one."""
    with suppress(RPCError):
        current = (await _described_queue(client)).versioning_info.current_deployment_version
        if current.build_id:
            log.warning(
                "new jobs wait for a build, and not for this worker: set temporal.deployment, or tell Temporal "
                f"(temporal worker deployment set-current-version --deployment-name {current.deployment_name} --unversioned)",
                deployment=current.deployment_name,
                build=current.build_id,
            )


async def builds_at_work(client: Client) -> set[Build]:
    """Those with a worker that takes on workflows."""
    described = await _described_queue(client)
    since = datetime.now(UTC) - SILENT_FOR
    asking = [each for each in described.pollers if each.last_access_time.ToDatetime(UTC) > since]
    return {Build(each.deployment_options.deployment_name, each.deployment_options.build_id) for each in asking}


async def builds_gone(client: Client, wanted: Set[Build]) -> set[Build]:
    """Those of `wanted` that have no worker any more. Takes MISSED_FOR_SECONDS if any seems to have none."""
    missing = set(wanted) - await builds_at_work(client)
    if missing:
        await asyncio.sleep(MISSED_FOR_SECONDS)
        missing -= await builds_at_work(client)
    return missing


async def _described_queue(client: Client) -> DescribeTaskQueueResponse:
    return await client.workflow_service.describe_task_queue(
        DescribeTaskQueueRequest(
            namespace=client.namespace,
            task_queue=TaskQueue(name=names.TASK_QUEUE),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW,
        ),
        timeout=RPC_TIMEOUT,
    )


async def unpin(client: Client, workflow_id: str) -> None:
    """From now on the current build goes on with it, which may be one without a version."""
    await client.workflow_service.update_workflow_execution_options(
        UpdateWorkflowExecutionOptionsRequest(
            namespace=client.namespace,
            workflow_execution=ExecutionId(workflow_id=workflow_id),
            workflow_execution_options=WorkflowExecutionOptions(
                versioning_override=VersioningOverride(auto_upgrade=True)
            ),
            update_mask=FieldMask(paths=["versioning_override"]),
        ),
        timeout=RPC_TIMEOUT,
    )
