"""`/queue/stats` and `/workers`: how much there is to do, and who does it."""

from pydantic import BaseModel
from starlette.responses import Response

from streamforge.access.caller import Scope
from streamforge.api.http.answers import answer
from streamforge.api.http.foreign_pages import refuse_foreign_page
from streamforge.api.http.unknown_fields import parameters
from streamforge.api.openapi.operation import Operation, describes, json_of
from streamforge.api.queue_stats import QueueStats
from streamforge.api.services import Request, caller_of, owner_of, services_of
from streamforge.contracts.worker_view import WorkerView
from streamforge.errors import ForeignPage, InvalidField, WorkerNotFound


class WorkerList(BaseModel):
    workers: list[WorkerView]


@describes(
    Operation(
        tag="operations",
        summary="How much there is to do, and how quickly it is done",
        says="Two seconds old at most. `queue_seconds` is what to scale workers by.",
        answers=(json_of(200, "Of the caller's jobs; administrators have those of all.", QueueStats),),
        errors=(InvalidField, ForeignPage),
    )
)
async def queue_stats(request: Request) -> Response:
    refuse_foreign_page(request)
    parameters(request)
    owner = None if caller_of(request).may(Scope.ADMIN) else owner_of(request)
    return answer(await services_of(request).queue.stats(owner))


@describes(
    Operation(
        tag="operations",
        summary="The workers that run",
        answers=(json_of(200, "Those that were seen within half a minute.", WorkerList),),
        errors=(InvalidField, ForeignPage),
    )
)
async def list_workers(request: Request) -> Response:
    refuse_foreign_page(request)
    parameters(request)
    return answer(WorkerList(workers=await services_of(request).workers.all()))


@describes(
    Operation(
        tag="operations",
        summary="Have a worker stop",
        says="Within seconds it takes no more work. What it runs has `worker.graceful_shutdown_seconds`; what is not done "
        "by then begins elsewhere.",
        answers=(json_of(202, "It is told, or was before.", WorkerView),),
        errors=(InvalidField, WorkerNotFound),
    )
)  # fmt: skip
async def drain_worker(request: Request) -> Response:
    parameters(request)
    drained = await services_of(request).workers.drain(request.path_params["worker_id"])
    if drained is None:
        raise WorkerNotFound("There is no such worker, or it was not seen for half a minute.")
    return answer(drained, 202)
