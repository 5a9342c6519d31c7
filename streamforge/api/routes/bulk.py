"""`POST /jobs/bulk`: one change of many jobs. Each has its own answer, as if it had been asked for alone."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Annotated, Literal, Self, TypeAlias
from uuid import UUID, uuid5

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, model_validator
from starlette.responses import Response

from streamforge.access.caller import Scope
from streamforge.api.http.answers import answer
from streamforge.api.http.auditing import NAMED_JOBS
from streamforge.api.http.idempotency import made_id_of
from streamforge.api.http.json_body import body_of
from streamforge.api.http.unknown_fields import parameters
from streamforge.api.openapi.operation import Body, Operation, describes, json_of
from streamforge.api.routes.again import ReprocessRequest, RetryRequest, reprocess, retry
from streamforge.api.routes.control import cancel, change, remove, set_paused
from streamforge.api.routes.jobs import MAX_IDS, MAX_TERMS
from streamforge.api.services import Request, own, require, services_of
from streamforge.contracts.ids import new_job_id
from streamforge.contracts.job import JobStatus, Stage
from streamforge.contracts.job_control import JobPatch
from streamforge.contracts.job_filter import JobFilter
from streamforge.db.jobs import JobOverview
from streamforge.errors import InvalidField, JobNotFound, ScopeMissing, StreamForgeError

AT_ONCE = 8

Action: TypeAlias = Literal["cancel", "purge", "pause", "resume", "retry", "reprocess", "change"]


Text: TypeAlias = Annotated[str, Field(pattern=r"^[^\x00]*$")]
"""PostgreSQL keeps no NUL: one was left out, and other jobs were found than those asked for."""


class BulkFilter(BaseModel):
    """As the parameters of `GET /jobs`."""

    # Infinity would be null by the time it is looked for.
    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)

    status: JobStatus | None = Field(None, json_schema_extra={"enum": [*JobStatus, None]})
    stage: Stage | None = Field(None, json_schema_extra={"enum": [*Stage, None]})
    key: Annotated[Text, Field(max_length=255)] | None = None
    external_id: Annotated[Text, Field(max_length=255)] | None = None
    metadata: dict[Text, Text | int | float | bool | None] | None = Field(None, min_length=1, max_length=MAX_TERMS)
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None

    @model_validator(mode="after")
    def says_something(self) -> Self:
        if not self.model_dump(exclude_none=True):
            raise ValueError("`filter` names nothing to look for")
        return self


class BulkRequest(BaseModel):
    """Of these jobs, or of the newest hundred that a filter finds. `change` is for that action, `from` for `retry`, `options` for
    `reprocess`."""

    model_config = ConfigDict(extra="forbid")

    action: Action
    ids: list[UUID] | None = Field(None, min_length=1, max_length=MAX_IDS)
    filter: BulkFilter | None = None
    change: JobPatch | None = None
    first: Stage | None = Field(None, alias="from", json_schema_extra={"enum": [*Stage, None]})
    options: ReprocessRequest | None = None

    @model_validator(mode="after")
    def makes_sense(self) -> Self:
        if (self.ids is None) == (self.filter is None):
            raise ValueError("either `ids` or `filter` says which jobs")
        for name, action in (("change", "change"), ("first", "retry"), ("options", "reprocess")):
            if getattr(self, name) is not None and self.action != action:
                raise ValueError(f"`{'from' if name == 'first' else name}` is for the action `{action}`")
        if self.action == "change" and self.change is None:
            raise ValueError("`change` says what is to change")
        return self


class BulkResult(BaseModel):
    """`status` is what a request for this job alone would be answered with."""

    job_id: UUID
    status: int
    code: str | None = Field(None, description="of the error, where it is one")
    detail: str | None = None
    made: UUID | None = Field(None, description="with `reprocess`: the other job")


class BulkResults(BaseModel):
    results: list[BulkResult]
    more: bool = Field(description="whether the filter may find others: ask again")


@describes(
    Operation(
        tag="jobs",
        summary="Change many jobs",
        says="At most a hundred at a time. One that cannot be changed does not hold up the others.",
        answers=(json_of(200, "What became of each.", BulkResults),),
        errors=(InvalidField, ScopeMissing),
        body=Body("application/json", BulkRequest),
    )
)
async def change_many(request: Request) -> Response:
    parameters(request)
    asked = await body_of(request, BulkRequest)
    if asked.change is not None and "legal_hold" in asked.change.model_fields_set:
        require(request, Scope.ADMIN)
    jobs = await _jobs(request, asked)
    request.scope["state"][NAMED_JOBS] = [str(job_id) for job_id in jobs]
    room = asyncio.Semaphore(1 if asked.action == "reprocess" else AT_ONCE)

    async def one(job_id: UUID, job: JobOverview | None) -> BulkResult:
        async with room:
            return await _result(request, asked, job_id, job)

    results = await asyncio.gather(*(one(job_id, job) for job_id, job in jobs.items()))
    return answer(BulkResults(results=results, more=asked.filter is not None and len(jobs) == MAX_IDS))


async def _jobs(request: Request, asked: BulkRequest) -> dict[UUID, JobOverview | None]:
    """In the order asked for; None for those that are not there."""
    mine = own(request).jobs
    if asked.filter is not None:
        wanted = JobFilter.model_validate(asked.filter.model_dump())
        return {job.id: job for job in await mine.newest(MAX_IDS, wanted)}
    ids = asked.ids or []
    found = {job.id: job for job in await mine.by_id(ids)}
    return {job_id: found.get(job_id) for job_id in ids}


async def _result(request: Request, asked: BulkRequest, job_id: UUID, job: JobOverview | None) -> BulkResult:
    try:
        if job is None:
            raise JobNotFound("There is no such job.")
        return await ACTIONS[asked.action](request, asked, job)
    except StreamForgeError as error:
        return BulkResult(job_id=job_id, status=error.http_status, code=error.code, detail=error.message)


async def _cancelled(request: Request, _: BulkRequest, job: JobOverview) -> BulkResult:
    await cancel(services_of(request), own(request), job)
    return BulkResult(job_id=job.id, status=202)


async def _removed(request: Request, _: BulkRequest, job: JobOverview) -> BulkResult:
    going = await remove(services_of(request), own(request), job)
    return BulkResult(job_id=job.id, status=204 if going is None else 202)


async def _paused(request: Request, asked: BulkRequest, job: JobOverview) -> BulkResult:
    await set_paused(services_of(request), own(request), job, asked.action == "pause")
    return BulkResult(job_id=job.id, status=202)


async def _retried(request: Request, asked: BulkRequest, job: JobOverview) -> BulkResult:
    await retry(services_of(request), own(request), job, RetryRequest.model_validate({"from": asked.first}))
    return BulkResult(job_id=job.id, status=202)


async def _reprocessed(request: Request, asked: BulkRequest, job: JobOverview) -> BulkResult:
    made = made_id_of(request.scope)
    job_id = uuid5(made, str(job.id)) if made is not None else new_job_id()
    return BulkResult(
        job_id=job.id, status=202, made=await reprocess(request, job, asked.options or ReprocessRequest(), job_id)
    )


async def _changed(request: Request, asked: BulkRequest, job: JobOverview) -> BulkResult:
    assert asked.change is not None  # As its model says.
    await change(services_of(request), own(request), job, asked.change)
    return BulkResult(job_id=job.id, status=200)


ACTIONS: dict[Action, Callable[[Request, BulkRequest, JobOverview], Awaitable[BulkResult]]] = {
    "cancel": _cancelled,
    "purge": _removed,
    "pause": _paused,
    "resume": _paused,
    "retry": _retried,
    "reprocess": _reprocessed,
    "change": _changed,
}
