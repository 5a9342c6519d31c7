"""`GET /audit`: the audit log in pages, the newest first; for administrators."""

from pydantic import BaseModel, Field
from starlette.responses import Response

from streamforge.api.http.answers import answer
from streamforge.api.http.foreign_pages import refuse_foreign_page
from streamforge.api.http.query_values import Moment, Number, Text
from streamforge.api.http.unknown_fields import parameters
from streamforge.api.openapi.operation import Operation, describes, json_of
from streamforge.api.services import Request, services_of
from streamforge.db.audit import AuditFilter, RecordedAuditEntry
from streamforge.errors import ForeignPage, InvalidField

MAX_ID = 2**63 - 1

LIMIT = Number("limit", "Entries on a page.", 1, 500, default=50)
CURSOR = Number("cursor", "`next_cursor` of the page before.", 1, MAX_ID, default=MAX_ID)
SINCE = Moment("since", "Only what happened at that time or later.")
UNTIL = Moment("until", "Only what happened before that time.")
AS_TEXT = (
    Text("owner", "Only what they did, or tried."),
    Text("target", "Only what was about it: `job:ID`, `batch:ID`, `owner:NAME` or `api-key:PREFIX`."),
    Text("target_owner", "Only what was about theirs."),
    Text("action", "Only that, like `GET /jobs/{job_id}`."),
    Text("outcome", "`allowed`, `unauthenticated`, `forbidden`, `not_found` or `limited`."),
)


class AuditPage(BaseModel):
    entries: list[RecordedAuditEntry]
    next_cursor: str | None = Field(description="null on the last page")


@describes(
    Operation(
        tag="operations",
        summary="What administrators did, and what was refused",
        answers=(json_of(200, "A page, the newest first.", AuditPage),),
        errors=(InvalidField, ForeignPage),
        parameters=(LIMIT, CURSOR, SINCE, UNTIL, *AS_TEXT),
    )
)
async def list_audit(request: Request) -> Response:
    refuse_foreign_page(request)
    query = parameters(request)
    limit = LIMIT.of(query)
    wanted = AuditFilter(
        since=SINCE.of(query),
        until=UNTIL.of(query),
        **{parameter.name: parameter.of(query) for parameter in AS_TEXT},
    )
    page = await services_of(request).audit_log.newest(limit, before=CURSOR.of(query), wanted=wanted)
    next_cursor = str(page[-1].id) if len(page) == limit else None
    return answer(AuditPage(entries=list(page), next_cursor=next_cursor))
