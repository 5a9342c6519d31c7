"""What a test leaves behind in the Temporal server that all tests of a process share."""

from contextlib import suppress

from temporalio.client import Client
from temporalio.service import RPCError


async def end_workflows(client: Client) -> None:
    """The queues have the names of the real ones: the next test's worker must not find what another test has left."""
    async for left in client.list_workflows("ExecutionStatus='Running'"):
        with suppress(RPCError):  # It may have ended in this moment.
            await client.get_workflow_handle(left.id).terminate()
