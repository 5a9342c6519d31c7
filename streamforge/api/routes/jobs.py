"""`/jobs`: look at jobs, list them, read their log."""

import json
import re
from collections.abc import Sequence
from typing import Any

from pydantic import BaseModel, Field
from starlette.datastructures import QueryParams
from starlette.responses import Response

from streamforge.api.http.answers import answer
from streamforge.api.http.foreign_pages import refuse_foreign_page
from streamforge.api.http.query_values import Choice, Moment, Number, Text
from streamforge.api.http.unknown_fields import parameters
from streamforge.api.openapi.operation import Operation, describes, json_of
from streamforge.api.routes.views import job_view, page_cursor, parse_page_cursor
from streamforge.api.services import Request, Services, own, own_of, services_of
from streamforge.contracts.events import EventPage
from streamforge.contracts.ids import parse_job_id
from streamforge.contracts.job import JobStatus, Playback, Stage
from streamforge.contracts.job_filter import JobFilter
from streamforge.contracts.job_options import JobOptions
from streamforge.contracts.job_view import JobView
from streamforge.db.jobs import JobOverview
from streamforge.errors import (
    ForeignPage,
    InvalidField,
    JobNotFound,
    MalformedJobId,
    NothingToPlay,
    ScopeMissing,
)
from streamforge.event_loop import in_turns
from streamforge.events.frames import of_job

MAX_SEQ = 2**63 - 1
MAX_IDS = 100
MAX_TERMS = 8
"""Words, and names of metadata, to be looked for at once."""


LIMIT = Number("limit", "Jobs on a page.", 1, 100, default=20)
CURSOR = Text("cursor", "`next_cursor` of the page before.")
STATUS = Choice("status", "Only those of this status.", tuple(JobStatus))
STAGE = Choice("stage", "Only those that are in this stage.", tuple(Stage))
KEY = Text("key", "Only those with exactly this key.")
WORDS = Text("q", "Only those with all of these words in their key: `holiday 2026` finds `Holiday_2026-07.mov`.")
EXTERNAL_ID = Text("external_id", "Only those that were sent with it.")
METADATA = Text(
    "metadata", """Only those whose metadata have all of these, as JSON: `{"tenant": "acme", "season": 2}`."""
)
CAME_SINCE = Moment("since", "Only those that came at that time or later.")
CAME_UNTIL = Moment("until", "Only those that came before that time.")
FILTERS = (STATUS, STAGE, KEY, WORDS, EXTERNAL_ID, METADATA, CAME_SINCE, CAME_UNTIL)
OWNER = Text("owner", "Those of somebody else; for administrators, who see everybody's without it.")
IDS = Text("ids", "Instead of a page exactly these, in this order, as `a,b,c`: at most 100. Unknown ones are left out.")

AFTER = Number("after", "Only events behind this number: `next` of the page before.", 0, MAX_SEQ, default=0)
SINCE = Moment("since", "Only what happened at that time or later.")
EVENTS_LIMIT = Number("limit", "Events on a page.", 1, 1000, default=100)


class JobPage(BaseModel):
    jobs: list[JobView]
    next_cursor: str | None = Field(description="null on the last page")


@describes(
    Operation(
        tag="jobs",
        summary="One job",
        answers=(json_of(200, "The job as it is now.", JobView),),
        errors=(MalformedJobId, JobNotFound),
    )
)
async def get_job(request: Request) -> Response:
    services = services_of(request)
    return await shown(services, await find(request))


@describes(
    Operation(
        tag="jobs",
        summary="Jobs, the newest first",
        answers=(json_of(200, "A page of jobs.", JobPage),),
        errors=(InvalidField, MalformedJobId, ForeignPage, ScopeMissing),
        parameters=(LIMIT, CURSOR, *FILTERS, OWNER, IDS),
    )
)
async def list_jobs(request: Request) -> Response:
    if "ids" in request.query_params:
        return await _listed(request, parameters(request, IDS)["ids"])
    refuse_foreign_page(request)
    query = parameters(request, LIMIT, CURSOR, *FILTERS, OWNER)
    limit, wanted = LIMIT.of(query), filter_of(query)
    after = parse_page_cursor(query["cursor"]) if query.get("cursor") else None
    page = await own_of(request, OWNER.of(query)).jobs.newest(limit, wanted, after=after)
    following = page_cursor(page) if len(page) == limit else None
    return answer(JobPage(jobs=await _views(services_of(request), page), next_cursor=following))


def filter_of(query: QueryParams) -> JobFilter:
    """Raises InvalidField."""
    return JobFilter.model_validate(
        {
            "status": STATUS.of(query),
            "stage": STAGE.of(query),
            "key": KEY.of(query),
            "q": _words(WORDS.of(query)),
            "external_id": EXTERNAL_ID.of(query),
            "metadata": _pairs(METADATA.of(query)),
            "since": CAME_SINCE.of(query),
            "until": CAME_UNTIL.of(query),
        }
    )


def _words(text: str | None) -> str | None:
    """Each is a join of its own in the database."""
    if text is not None and not 0 < len(re.findall(r"[^\W_]+", text)) <= MAX_TERMS:
        raise InvalidField(f"`q` has between one and {MAX_TERMS} words.")
    return text


def _pairs(text: str | None) -> dict[str, Any] | None:
    if text is None:
        return None
    pairs: Any = JobOptions.parse("metadata", text, ())
    if not 0 < len(pairs) <= MAX_TERMS or any(isinstance(value, dict | list) for value in pairs.values()):
        raise InvalidField(f"`metadata` has between one and {MAX_TERMS} names with plain values to look for.")
    return dict(pairs)


async def _listed(request: Request, ids: str) -> Response:
    """Exactly these, in this order; unknown ones are left out."""
    asked = [parse_job_id(job_id.strip()) for job_id in ids.split(",")]
    if len(asked) > MAX_IDS:
        raise InvalidField(f"`ids` names more than {MAX_IDS} jobs.")
    services = services_of(request)
    jobs = await _views(services, await own(request).jobs.by_id(asked))
    return answer(JobPage(jobs=jobs, next_cursor=None))


async def _views(services: Services, jobs: Sequence[JobOverview]) -> list[JobView]:
    model = await services.etas.model()
    return await in_turns(lambda job: services.playbacks.told(job_view(job, model)), jobs)


@describes(
    Operation(
        tag="playback",
        summary="Fresh addresses of a stream, where they are signed",
        says="They are valid for the whole time from now; those told before stay so until theirs is over.",
        answers=(json_of(200, "What a player opens.", Playback, "Cache-Control"),),
        errors=(MalformedJobId, InvalidField, JobNotFound, NothingToPlay),
    )
)
async def refresh_playback(request: Request) -> Response:
    """Addresses that are valid for the whole time from now; those that were told before stay so until theirs is over.
    Raises NothingToPlay."""
    parameters(request)
    services, job = services_of(request), await find(request)
    view = services.playbacks.told(job_view(job, await services.etas.model()))
    if view.playback is None:
        over = job.status in {JobStatus.FAILED, JobStatus.CANCELLED}
        raise NothingToPlay(
            f"There is nothing to play: the job {job.status}." if over else "There is nothing to play yet."
        )
    return answer(view.playback, headers={"Cache-Control": "no-store"})


@describes(
    Operation(
        tag="events",
        summary="The progress of a job so far, the oldest first",
        answers=(json_of(200, "A page of its log.", EventPage),),
        errors=(MalformedJobId, InvalidField, JobNotFound),
        parameters=(AFTER, SINCE, EVENTS_LIMIT),
    )
)
async def list_events(request: Request) -> Response:
    """A page of the job's log after event number `after`, oldest first; `since` leaves out what is older."""
    mine = own(request)
    job_id = parse_job_id(request.path_params["job_id"])
    query = parameters(request)
    after, limit = AFTER.of(query), EVENTS_LIMIT.of(query)
    events = await mine.log.of_job(job_id, after, limit, SINCE.of(query))
    if not events and await mine.jobs.state(job_id) is None:
        raise JobNotFound("There is no such job.")
    following = events[-1].seq if len(events) == limit else None
    listed = ",".join(of_job(event).object for event in events)
    return Response(f'{{"events":[{listed}],"next":{json.dumps(following)}}}', media_type="application/json")


async def find(request: Request) -> JobOverview:
    """The job of the path. Raises MalformedJobId, JobNotFound."""
    job = await own(request).jobs.get(parse_job_id(request.path_params["job_id"]))
    if job is None:
        raise JobNotFound("There is no such job.")
    return job


async def shown(services: Services, job: JobOverview, status_code: int = 200) -> Response:
    view = services.playbacks.told(job_view(job, await services.etas.model()))
    return answer(view, status_code)
