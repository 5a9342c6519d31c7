"""The API's side of Temporal: workflows by name, so that the web process never loads what they do."""

import asyncio
import time
from dataclasses import dataclass
from datetime import timedelta
from types import NoneType
from typing import TypeVar
from uuid import uuid4

from pydantic import BaseModel
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client, WorkflowExecutionStatus, WorkflowFailureError
from temporalio.common import (
    Priority,
    SearchAttributePair,
    TypedSearchAttributes,
    WorkflowIDReusePolicy,
)
from temporalio.exceptions import TimeoutError as TimedOut
from temporalio.exceptions import WorkflowAlreadyStartedError
from temporalio.service import RPCError, RPCStatusCode

from streamforge.contracts import names
from streamforge.contracts.job import Stage
from streamforge.contracts.job_control import JobControl
from streamforge.contracts.origin import Origin
from streamforge.contracts.pipeline import IdentifyVideo, PlanVideo, ProcessVideo, ProcessVideoResult
from streamforge.contracts.printable_plan import PrintablePlan
from streamforge.contracts.shares import share_of
from streamforge.db.jobs import JobRow
from streamforge.errors import RequestTimedOut, TemporalUnavailable
from streamforge.temporal import attributes
from streamforge.temporal.connect import ensure_search_attributes
from streamforge.temporal.failures import to_streamforge_error
from streamforge.temporal.origins import carrying
from streamforge.temporal.priorities import set_priority

RPC_TIMEOUT = timedelta(seconds=5)
POLLED_WITHIN_SECONDS = 90.0
"""A poll lasts a minute; Temporal remembers who asked for five."""
PLAN_WORKFLOW_PREFIX = "video-plan-"
ASKED_PREFIXES = {names.PLAN_VIDEO: PLAN_WORKFLOW_PREFIX, names.IDENTIFY_VIDEO: "video-identify-"}

R = TypeVar("R")


@dataclass(frozen=True)
class Asked:
    """A workflow that somebody waits for, so long."""

    workflow: str
    summary: str
    patience: timedelta
    origin: Origin | None


class Workflows:
    """All methods raise TemporalUnavailable. The client may be a lazy one, that connects at the first call."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._searchable = False

    async def start(self, job: JobRow) -> None:
        """Start the job's workflow. That it runs already, or ever did, is success: the id is the job's own."""
        try:
            await self._register_search_attributes()
            with carrying(job.origin):
                await self._start(job)
        except WorkflowAlreadyStartedError:
            return
        except (RPCError, RuntimeError) as error:
            raise _unavailable(error) from error

    async def _start(self, job: JobRow) -> None:
        await self._client.start_workflow(
            names.PROCESS_VIDEO,
            ProcessVideo(
                job_id=job.id,
                key=job.key,
                source_object=job.source_object,
                size_bytes=job.size_bytes,
                sha256=job.source_sha256,
                to_be_fetched=job.source_url is not None,
                **job.options.for_work(),
            ),
            id=job.workflow_id,
            task_queue=names.TASK_QUEUE,
            result_type=ProcessVideoResult,
            id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            static_summary=f"{job.key} · {job.size_bytes / 1e6:.1f} MB",
            search_attributes=_search_attributes(job),
            priority=Priority(priority_key=job.options.priority, fairness_key=share_of(job.owner)),
            rpc_timeout=RPC_TIMEOUT,
        )

    async def plan(self, video: PlanVideo, patience: timedelta, origin: Origin | None) -> PrintablePlan:
        """A dry run on some worker. Raises what is wrong with the video; RequestTimedOut when no worker was free."""
        asked = Asked(names.PLAN_VIDEO, f"Dry run · {video.size_bytes / 1e6:.1f} MB", patience, origin)
        return await self._answered(asked, video, PrintablePlan)

    async def identify(self, video: IdentifyVideo, patience: timedelta, origin: Origin | None) -> None:
        """A look at the first bytes, on some worker. Raises NotAVideo; RequestTimedOut when no worker was free."""
        await self._answered(Asked(names.IDENTIFY_VIDEO, "Look at an upload", patience, origin), video, NoneType)

    async def _answered(self, asked: "Asked", work: BaseModel, answer: type[R]) -> R:
        seconds = asked.patience.total_seconds()
        too_late = RequestTimedOut(f"No worker answered within {seconds:.0f} seconds; try again later.")
        try:
            with carrying(asked.origin):
                handle = await self._client.start_workflow(
                    asked.workflow,
                    work,
                    id=f"{ASKED_PREFIXES[asked.workflow]}{uuid4()}",
                    task_queue=names.TASK_QUEUE,
                    result_type=answer,
                    execution_timeout=asked.patience,
                    static_summary=asked.summary,
                    rpc_timeout=RPC_TIMEOUT,
                )
            async with asyncio.timeout(seconds + RPC_TIMEOUT.total_seconds()):
                result: R = await handle.result()
        except WorkflowFailureError as error:
            raise too_late if isinstance(error.cause, TimedOut) else to_streamforge_error(error.cause) from error
        except TimeoutError as error:
            raise too_late from error
        except (RPCError, RuntimeError) as error:
            raise _unavailable(error) from error
        return result

    async def cancel(self, workflow_id: str) -> bool:
        """Ask the workflow to end. False when Temporal knows none of that name that still runs."""
        handle = self._client.get_workflow_handle(workflow_id)
        try:
            await handle.cancel(rpc_timeout=RPC_TIMEOUT)
            # To cancel one that is closed is no error to Temporal.
            return (await handle.describe(rpc_timeout=RPC_TIMEOUT)).status is WorkflowExecutionStatus.RUNNING
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise _unavailable(error) from error
        except RuntimeError as error:
            raise _unavailable(error) from error

    async def is_running(self, workflow_id: str) -> bool:
        try:
            described = await self._client.get_workflow_handle(workflow_id).describe(rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise _unavailable(error) from error
        except RuntimeError as error:
            raise _unavailable(error) from error
        return described.status is WorkflowExecutionStatus.RUNNING

    async def control(self, job: JobRow) -> bool:
        """Tell the workflow how it is to go on, and give what it has in the queue its priority. False when Temporal knows none
        of that name that still runs."""
        state = JobControl(number=job.control_number, paused=job.paused_at is not None, priority=job.options.priority)
        try:
            handle = self._client.get_workflow_handle(job.workflow_id)
            await handle.signal(names.CONTROL_SIGNAL, state, rpc_timeout=RPC_TIMEOUT)
            await set_priority(self._client, job.workflow_id, state.priority)
        except RPCError as error:
            if error.status is RPCStatusCode.NOT_FOUND:
                return False
            raise _unavailable(error) from error
        except RuntimeError as error:
            raise _unavailable(error) from error
        return True

    async def check(self) -> None:
        try:
            await self._client.service_client.check_health(timeout=RPC_TIMEOUT)
        except (RPCError, RuntimeError) as error:
            raise _unavailable(error) from error

    async def pollers(self, queue: str) -> int:
        """How many workers have asked for activities of this task queue of late."""
        request = DescribeTaskQueueRequest(
            namespace=self._client.namespace,
            task_queue=TaskQueue(name=queue),
            task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
        )
        try:
            described = await self._client.workflow_service.describe_task_queue(request, timeout=RPC_TIMEOUT)
        except (RPCError, RuntimeError) as error:
            raise _unavailable(error) from error
        since = time.time() - POLLED_WITHIN_SECONDS
        return sum(poller.last_access_time.ToNanoseconds() / 1e9 > since for poller in described.pollers)

    async def _register_search_attributes(self) -> None:
        """Whoever comes first, API or worker: without them Temporal refuses to start our workflows."""
        if not self._searchable:
            await ensure_search_attributes(self._client)
            self._searchable = True


def _search_attributes(job: JobRow) -> TypedSearchAttributes:
    return TypedSearchAttributes(
        [
            SearchAttributePair(attributes.JOB_ID, str(job.id)),
            SearchAttributePair(attributes.KEY, job.key),
            SearchAttributePair(attributes.STAGE, Stage.UPLOADING.value),
        ]
    )


def _unavailable(error: Exception) -> TemporalUnavailable:
    return TemporalUnavailable("Temporal does not answer.", debug=repr(error))
