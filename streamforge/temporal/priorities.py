"""The priority of a workflow that runs, with all that it has asked for and nobody has begun: a film of hours has hundreds of
chunks in the queue, with the priority that it had when they were put there."""

import asyncio
from datetime import timedelta

from google.protobuf.field_mask_pb2 import FieldMask
from temporalio.api.activity.v1 import ActivityOptions
from temporalio.api.common.v1 import Priority, WorkflowExecution
from temporalio.api.enums.v1 import PendingWorkflowTaskState
from temporalio.api.workflow.v1 import WorkflowExecutionOptions
from temporalio.api.workflowservice.v1 import (
    DescribeWorkflowExecutionResponse,
    UpdateActivityOptionsRequest,
    UpdateWorkflowExecutionOptionsRequest,
)
from temporalio.client import Client, WorkflowHandle
from temporalio.service import RPCError, RPCStatusCode

from streamforge.contracts.worker_view import own_identity

RPC_TIMEOUT = timedelta(seconds=5)
ONE_TASK_SECONDS = 2.0
"""What a workflow works out in one go takes milliseconds; Temporal gives it ten seconds."""
LOOK_SECONDS = 0.02
NUMBER_ALONE = FieldMask(paths=["priority.priority_key"])
NOT_TO_BE_HAD = {RPCStatusCode.UNIMPLEMENTED, RPCStatusCode.INVALID_ARGUMENT}


async def set_priority(client: Client, workflow_id: str, priority: int) -> None:
    """Nothing where it has that priority already. Where a Temporal cannot do that it
    counts from what is asked for next.
    Raises RPCError; with NOT_FOUND where nothing of that name runs."""
    described = await _between_two_tasks(client.get_workflow_handle(workflow_id))
    if described.workflow_execution_info.priority.priority_key == priority:
        return
    try:
        await _of_what_waits(client, workflow_id, priority)
        # Last: it is what says that all is done.
        await _of_the_workflow(client, workflow_id, priority)
    except RPCError as error:
        if error.status not in NOT_TO_BE_HAD:
            raise


async def _between_two_tasks(handle: "WorkflowHandle[object, object]") -> DescribeWorkflowExecutionResponse:
    """What a workflow is just working out may have begun before it was told: what that asks for comes with the old priority,
    and has to be there to get the new one."""
    deadline = asyncio.get_running_loop().time() + ONE_TASK_SECONDS
    while True:
        described = (await handle.describe(rpc_timeout=RPC_TIMEOUT)).raw_description
        is_at_it = described.pending_workflow_task.state == PendingWorkflowTaskState.PENDING_WORKFLOW_TASK_STATE_STARTED
        if not is_at_it or asyncio.get_running_loop().time() > deadline:
            return described
        await asyncio.sleep(LOOK_SECONDS)


async def _of_what_waits(client: Client, workflow_id: str, priority: int) -> None:
    """What runs already goes on as it is."""
    request = UpdateActivityOptionsRequest(
        namespace=client.namespace,
        execution=WorkflowExecution(workflow_id=workflow_id),
        identity=own_identity(),
        activity_options=ActivityOptions(priority=Priority(priority_key=priority)),
        update_mask=NUMBER_ALONE,
        match_all=True,
    )
    try:
        await client.workflow_service.update_activity_options(request, timeout=RPC_TIMEOUT)
    except RPCError as error:
        # So it answers, too, where nothing waits.
        if error.status is not RPCStatusCode.NOT_FOUND:
            raise


async def _of_the_workflow(client: Client, workflow_id: str, priority: int) -> None:
    request = UpdateWorkflowExecutionOptionsRequest(
        namespace=client.namespace,
        workflow_execution=WorkflowExecution(workflow_id=workflow_id),
        identity=own_identity(),
        workflow_execution_options=WorkflowExecutionOptions(priority=Priority(priority_key=priority)),
        update_mask=NUMBER_ALONE,
    )
    await client.workflow_service.update_workflow_execution_options(request, timeout=RPC_TIMEOUT)
