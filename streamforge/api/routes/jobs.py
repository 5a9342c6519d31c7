"""`/jobs`: look at jobs, list them, cancel them, read their log."""

import json
from collections.abc import Sequence
from typing import Any

from starlette.responses import JSONResponse, Response

from streamforge.api.http.foreign_pages import refuse_foreign_page
from streamforge.api.http.query_values import moment, number
from streamforge.api.http.unknown_fields import parameters
from streamforge.api.routes.views import job_view, page_cursor, parse_page_cursor
from streamforge.api.services import Own, Request, Services, own, own_of, services_of
from streamforge.contracts.ids import parse_job_id
from streamforge.contracts.job import JobStatus
from streamforge.db.jobs import JobOverview
from streamforge.errors import InvalidField, JobAlreadyOver, JobNotFound, NothingToPlay, TemporalUnavailable
from streamforge.events.frames import of_job

MAX_SEQ = 2**63 - 1
MAX_IDS = 100


async def get_job(request: Request) -> Response:
    services = services_of(request)
    return await _view(services, await _find(request))


async def list_jobs(request: Request) -> Response:
    if "ids" in request.query_params:
        return await _listed(request, parameters(request, "ids")["ids"])
    refuse_foreign_page(request)
    query = parameters(request, "limit", "cursor", "status", "owner")
    limit = number(query, "limit", default=20, lowest=1, highest=100)
    services = services_of(request)
    page = await own_of(request, query.get("owner")).jobs.newest(
        limit,
        after=parse_page_cursor(query["cursor"]) if query.get("cursor") else None,
        status=_status(query.get("status")),
    )
    return JSONResponse(
        {
            "jobs": await _views(services, page),
            "next_cursor": page_cursor(page) if len(page) == limit else None,
        }
    )


async def _listed(request: Request, ids: str) -> Response:
    """Exactly these, in this order; unknown ones are left out."""
    asked = [parse_job_id(job_id.strip()) for job_id in ids.split(",")]
    if len(asked) > MAX_IDS:
        raise InvalidField(f"`ids` names more than {MAX_IDS} jobs.")
    services = services_of(request)
    jobs = await _views(services, await own(request).jobs.by_id(asked))
    return JSONResponse({"jobs": jobs, "next_cursor": None})


async def _views(services: Services, jobs: Sequence[JobOverview]) -> list[dict[str, Any]]:
    model = await services.etas.model()
    return [services.playbacks.told(job_view(job, model)).model_dump(mode="json") for job in jobs]


async def refresh_playback(request: Request) -> Response:
    """Addresses that are valid for the whole time from now; those that were told before stay so until theirs is over.
    Raises NothingToPlay."""
    parameters(request)
    services, job = services_of(request), await _find(request)
    view = services.playbacks.told(job_view(job, await services.etas.model()))
    if view.playback is None:
        over = job.status in {JobStatus.FAILED, JobStatus.CANCELLED}
        raise NothingToPlay(
            f"There is nothing to play: the job {job.status}." if over else "There is nothing to play yet."
        )
    return Response(
        view.playback.model_dump_json(), headers={"Cache-Control": "no-store"}, media_type="application/json"
    )


async def list_events(request: Request) -> Response:
    """A page of the job's log after event number `after`, oldest first; `since` leaves out what is older."""
    mine = own(request)
    job_id = parse_job_id(request.path_params["job_id"])
    query = parameters(request, "after", "since", "limit")
    after = number(query, "after", default=0, lowest=0, highest=MAX_SEQ)
    limit = number(query, "limit", default=100, lowest=1, highest=1000)
    events = await mine.log.of_job(job_id, after, limit, moment(query, "since"))
    if not events and await mine.jobs.state(job_id) is None:
        raise JobNotFound("There is no such job.")
    following = events[-1].seq if len(events) == limit else None
    listed = ",".join(of_job(event).object for event in events)
    return Response(f'{{"events":[{listed}],"next":{json.dumps(following)}}}', media_type="application/json")


async def cancel_job(request: Request) -> Response:
    """202 is a promise: the job ends `cancelled`, or is that already. One that ended otherwise is a 409."""
    services = services_of(request)
    parameters(request)
    await _cancel(services, own(request), await _find(request))
    job = await _find(request)
    if job.status in {JobStatus.COMPLETED, JobStatus.FAILED}:
        raise JobAlreadyOver(f"The job is over already: it {job.status}.")
    return await _view(services, job, status_code=202)


async def _cancel(services: Services, mine: Own, job: JobOverview) -> None:
    try:
        if await mine.jobs.request_cancel(job.id):
            await services.cancels.deliver(job)
    except BaseException as error:
        # The mark may be written: then the launcher tells the workflow, as soon as it can, whatever has stopped us.
        services.launcher.wake()
        if not isinstance(error, TemporalUnavailable):
            raise


async def _find(request: Request) -> JobOverview:
    job = await own(request).jobs.get(parse_job_id(request.path_params["job_id"]))
    if job is None:
        raise JobNotFound("There is no such job.")
    return job


async def _view(services: Services, job: JobOverview, status_code: int = 200) -> Response:
    view = services.playbacks.told(job_view(job, await services.etas.model()))
    return Response(view.model_dump_json(), status_code, media_type="application/json")


def _status(text: str | None) -> JobStatus | None:
    if text is None:
        return None
    if text not in list(JobStatus):
        raise InvalidField(f"`status` is one of {', '.join(JobStatus)}.")
    return JobStatus(text)
