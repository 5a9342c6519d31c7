"""What is changed of a job after it was sent: cancel, remove, pause, hurry, keep."""

from uuid import UUID

from starlette.responses import Response

from streamforge.access.caller import Scope
from streamforge.api.controls import PAUSED, RESUMED
from streamforge.api.http.json_body import body_of
from streamforge.api.http.query_values import Flag
from streamforge.api.http.unknown_fields import parameters
from streamforge.api.openapi.operation import Answer, Body, Operation, describes, json_of
from streamforge.api.routes.jobs import find, shown
from streamforge.api.services import Own, Request, Services, own, require, services_of
from streamforge.contracts.job import JobKind, JobStatus
from streamforge.contracts.job_control import JobPatch
from streamforge.contracts.job_view import JobView
from streamforge.db.jobs import JobOverview
from streamforge.errors import (
    InvalidField,
    JobAlreadyOver,
    JobHeld,
    JobIsExternal,
    JobNotFound,
    MalformedJobId,
    ScopeMissing,
    TemporalUnavailable,
)

PURGE = Flag("purge", "Remove the job with its media, too: at once when it is over, else as soon as it is cancelled.")


@describes(
    Operation(
        tag="jobs",
        summary="Cancel a job, or remove it",
        says="Asked again it answers the same. With `purge` a job that is over can be removed, too.",
        answers=(
            json_of(202, "A promise: it ends `cancelled`, or is that already; with `purge` it goes then.", JobView),
            Answer(204, "With `purge`: it is gone, and its media are."),
        ),
        errors=(MalformedJobId, InvalidField, JobNotFound, JobAlreadyOver, JobHeld),
        parameters=(PURGE,),
    )
)
async def cancel_job(request: Request) -> Response:
    """202 is a promise: the job ends `cancelled`, or is that already. One that ended otherwise is a 409."""
    services = services_of(request)
    purge = PURGE.of(parameters(request))
    job, mine = await find(request), own(request)
    if not purge:
        return await shown(services, await cancel(services, mine, job), 202)
    going = await remove(services, mine, job)
    return Response(status_code=204) if going is None else await shown(services, going, 202)


async def cancel(services: Services, mine: Own, job: JobOverview) -> JobOverview:
    """The job as it is then. Raises JobAlreadyOver, JobNotFound."""
    await _cancel(services, mine, job)
    job = await _as_it_is(mine, job.id)
    if job.status in {JobStatus.COMPLETED, JobStatus.FAILED}:
        raise over(job)
    return job


async def _cancel(services: Services, mine: Own, job: JobOverview) -> None:
    try:
        if await mine.jobs.request_cancel(job.id):
            await services.cancels.deliver(job)
    except BaseException as error:
        # The mark may be written: then the launcher tells the workflow, as soon as it can, whatever has stopped us.
        services.launcher.wake()
        if not isinstance(error, TemporalUnavailable):
            raise


async def remove(services: Services, mine: Own, job: JobOverview) -> JobOverview | None:
    """None when it is gone, else the job as it is until it goes. First the mark, with that of the cancel: whatever stops us
    from here on, the launcher goes on. Raises JobHeld, JobNotFound."""
    if not await mine.jobs.request_purge(job.id):
        await _as_it_is(mine, job.id)
        raise JobHeld("The job is under legal hold: nothing of it is removed.")
    try:
        if not job.status.is_over:
            await _cancel(services, mine, job)
            job = await _as_it_is(mine, job.id)
        gone = await services.purges.do(job)
    except BaseException:
        services.launcher.wake()
        raise
    if gone:
        return None
    services.launcher.wake()
    return job


async def _as_it_is(mine: Own, job_id: UUID) -> JobOverview:
    job = await mine.jobs.get(job_id)
    if job is None:
        raise JobNotFound("There is no such job.")
    return job


@describes(
    Operation(
        tag="jobs",
        summary="Change a job",
        says="A new priority counts from the next part that a worker begins. Metadata can be changed and a job kept longer, or "
        "less long, also when it is over.",
        answers=(json_of(200, "The job as it is now.", JobView),),
        errors=(MalformedJobId, InvalidField, JobNotFound, JobAlreadyOver, ScopeMissing),
        body=Body("application/json", JobPatch),
    )
)
async def change_job(request: Request) -> Response:
    services = services_of(request)
    parameters(request)
    job, asked = await find(request), await body_of(request, JobPatch)
    if "legal_hold" in asked.model_fields_set:
        require(request, Scope.ADMIN)
    return await shown(services, await change(services, own(request), job, asked))


async def change(services: Services, mine: Own, job: JobOverview, asked: JobPatch) -> JobOverview:
    """The job as it is then. Raises JobAlreadyOver, JobNotFound."""
    if not await mine.jobs.change(job.id, asked):
        raise over(await _as_it_is(mine, job.id))
    if "priority" in asked.model_fields_set:
        services.launcher.wake()
    return await _as_it_is(mine, job.id)


@describes(
    Operation(
        tag="jobs",
        summary="Pause a job",
        says="What is being encoded comes to its end; no other part is begun until it is resumed. Its place is given to others.",
        answers=(json_of(202, "It is paused, or was already: `paused_at` says since when.", JobView),),
        errors=(MalformedJobId, InvalidField, JobNotFound, JobAlreadyOver, JobIsExternal),
    )
)
async def pause_job(request: Request) -> Response:
    return await _set_paused(request, True)


@describes(
    Operation(
        tag="jobs",
        summary="Let a paused job go on",
        answers=(json_of(202, "It goes on, or did already.", JobView),),
        errors=(MalformedJobId, InvalidField, JobNotFound, JobAlreadyOver, JobIsExternal),
    )
)
async def resume_job(request: Request) -> Response:
    return await _set_paused(request, False)


async def _set_paused(request: Request, paused: bool) -> Response:
    services = services_of(request)
    parameters(request)
    job = await find(request)
    return await shown(services, await set_paused(services, own(request), job, paused), 202)


async def set_paused(services: Services, mine: Own, job: JobOverview, paused: bool) -> JobOverview:
    """The job as it is then. Raises JobAlreadyOver, JobIsExternal, JobNotFound."""
    if job.kind is JobKind.EXTERNAL:
        raise JobIsExternal("The job is worked on elsewhere; only its own worker can pause it.")
    if not await mine.jobs.set_paused(job.id, paused):
        raise over(job)
    services.launcher.wake()
    if (job.paused_at is not None) != paused:
        await services.controls.tell_watchers(job, PAUSED if paused else RESUMED)
    return await _as_it_is(mine, job.id)


def over(job: JobOverview) -> JobAlreadyOver:
    if not job.status.is_over:
        return JobAlreadyOver("The job is about to be cancelled.")
    ended = "was cancelled" if job.status is JobStatus.CANCELLED else job.status
    return JobAlreadyOver(f"The job is over already: it {ended}.")
