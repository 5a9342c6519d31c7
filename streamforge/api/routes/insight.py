"""`/jobs/<id>/chunks` and `/jobs/<id>/logs`: what is going on inside of a job, and what was said of it."""

import asyncio
from collections import deque
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any

from pydantic import BaseModel, Field
from starlette.responses import Response

from streamforge.access.caller import Scope
from streamforge.api.http.answers import answer
from streamforge.api.http.foreign_pages import refuse_foreign_page
from streamforge.api.http.query_values import Choice, Moment, Number
from streamforge.api.http.unknown_fields import parameters
from streamforge.api.openapi.operation import Operation, describes, json_of
from streamforge.api.routes.jobs import find
from streamforge.api.services import Request, caller_of, own, services_of
from streamforge.contracts.chunks import Chunk, ChunkPage, ChunkPart, ChunkState
from streamforge.contracts.stored import JsonObject
from streamforge.db.chunks import WINDOW, ChunkRow
from streamforge.db.jobs import JobOverview
from streamforge.errors import ForeignPage, InvalidField, JobNotFound, MalformedJobId
from streamforge.observability.job_logs import Line, lines_of
from streamforge.storage import layout

AFTER = Number("after", "Only chunks behind this number: `next` of the page before.", 0, 2**31 - 1, default=0)
CHUNKS_LIMIT = Number("limit", "Chunks on a page.", 1, 500, default=100)
CHUNKS = (AFTER, CHUNKS_LIMIT)

LEVELS = ("debug", "info", "warning", "error", "critical")
LEVEL = Choice("level", "Only lines as grave as this, or graver.", LEVELS)
SINCE = Moment("since", "Only what was said at that time or later.")
LINES_LIMIT = Number("limit", "The last lines, so many.", 1, 5000, default=500)

FOR_OWNERS = frozenset(
    {"timestamp", "level", "process", "event", "stage", "activity", "attempt", "chunk", "code", "message", "job_id"}
)
"""What a line may tell those who sent the job. The rest, such as paths and traces, is for who runs this server."""

READERS_AT_ONCE = 2
_readers = asyncio.Semaphore(READERS_AT_ONCE)


class LogPage(BaseModel):
    """Of this machine's processes, the oldest first."""

    lines: list[JsonObject] = Field(description="timestamp, level, process, event, and what belongs to it")


@describes(
    Operation(
        tag="jobs",
        summary="The chunks of a job: where they begin, who works on them, and what they came to",
        says="Addresses of segments are signed where the stream is, and fresh each time.",
        answers=(json_of(200, "A page of chunks, in the order of the film.", ChunkPage, "Cache-Control"),),
        errors=(MalformedJobId, InvalidField, JobNotFound),
        parameters=CHUNKS,
    )
)
async def list_chunks(request: Request) -> Response:
    return await _chunks(request)


@describes(
    Operation(
        tag="playback",
        summary="Fresh addresses of the segments of a job's chunks, where they are signed",
        says="Those told before stay valid until their time is over.",
        answers=(json_of(200, "A page of chunks, in the order of the film.", ChunkPage, "Cache-Control"),),
        errors=(MalformedJobId, InvalidField, JobNotFound),
        parameters=CHUNKS,
    )
)
async def refresh_chunks(request: Request) -> Response:
    return await _chunks(request)


async def _chunks(request: Request) -> Response:
    query = parameters(request)
    after, limit = AFTER.of(query), CHUNKS_LIMIT.of(query)
    job = await find(request)
    # `after` counts from one, as it does for events: 0 is in front of the first.
    rows = await own(request).jobs.chunks(job.id, after - 1, limit)
    chunks = [_chunk(list(of_chunk), job) for _, of_chunk in groupby(rows, key=lambda row: row.chunk)]
    page = ChunkPage(chunks=chunks, next=after + limit if len(chunks) == limit else None)
    signed = services_of(request).playbacks.chunks_told(page, job.id, job.options)
    return answer(signed, headers={"Cache-Control": "no-store"})


def _chunk(rows: Sequence[ChunkRow], job: JobOverview) -> Chunk:
    parts = [_part(row, job) for row in rows if row.part != WINDOW]
    wanted = {rendition.name for rendition in job.renditions or []}
    return Chunk(
        index=rows[0].chunk, start=rows[0].starts_at, end=rows[0].ends_at, state=_state(parts, wanted), parts=parts
    )


def _state(parts: Sequence[ChunkPart], wanted: set[str]) -> ChunkState:
    for state in (ChunkState.RUNNING, ChunkState.STOPPED):
        if any(part.state is state for part in parts):
            return state
    done = {name for part in parts for name in part.renditions}
    return ChunkState.DONE if parts and done >= wanted else ChunkState.WAITING


def _part(row: ChunkRow, job: JobOverview) -> ChunkPart:
    stopped = row.state is ChunkState.RUNNING and job.status.is_over
    return ChunkPart(
        renditions=row.renditions,
        state=ChunkState.STOPPED if stopped else row.state,
        attempts=row.attempts,
        worker=row.worker,
        began_at=row.began_at,
        seconds=(row.ended_at - row.began_at).total_seconds() if row.ended_at and row.began_at else None,
        frames=row.frames,
        bytes=row.size_bytes,
        vmaf=row.vmaf or {},
        segments={
            name: [layout.media(row.job_id, f"{name}/{file}") for file in files]
            for name, files in (row.segments or {}).items()
        },
    )


@describes(
    Operation(
        tag="jobs",
        summary="What was said of a job in the logs of this machine",
        says="As `streamforge logs` shows it. On several machines each knows what its own processes said.",
        answers=(json_of(200, "The last lines, the oldest of them first.", LogPage),),
        errors=(MalformedJobId, InvalidField, JobNotFound, ForeignPage),
        parameters=(LEVEL, SINCE, LINES_LIMIT),
    )
)
async def list_logs(request: Request) -> Response:
    refuse_foreign_page(request)
    query = parameters(request)
    level, since, limit = LEVEL.of(query), SINCE.of(query), LINES_LIMIT.of(query)
    job = await find(request)
    async with _readers:
        lines = await asyncio.to_thread(lines_of, services_of(request).settings.data_dir, job.id)
    wanted = deque((line.fields for line in lines if _is_wanted(line, level, since)), maxlen=limit)
    whole = caller_of(request).may(Scope.ADMIN)
    return answer(LogPage(lines=[fields if whole else _for_owners(fields) for fields in wanted]))


def _is_wanted(line: Line, level: str | None, since: datetime | None) -> bool:
    grave = str(line.fields.get("level", "info"))
    if level is not None and grave in LEVELS and LEVELS.index(grave) < LEVELS.index(level):
        return False
    return since is None or line.at >= since.strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def _for_owners(fields: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in fields.items() if name in FOR_OWNERS}
