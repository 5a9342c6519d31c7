"""`GET /audit`: the audit log in pages, the newest first; for administrators."""

from starlette.responses import JSONResponse, Response

from streamforge.api.http.foreign_pages import refuse_foreign_page
from streamforge.api.http.query_values import moment, number
from streamforge.api.http.unknown_fields import parameters
from streamforge.api.services import Request, services_of
from streamforge.db.audit import AuditFilter

AS_TEXT = ("owner", "target", "target_owner", "action", "outcome")
MAX_ID = 2**63 - 1


async def list_audit(request: Request) -> Response:
    """`cursor` is the `next_cursor` of the page before; `since` and `until` are of when it happened."""
    refuse_foreign_page(request)
    query = parameters(request, "limit", "cursor", "since", "until", *AS_TEXT)
    limit = number(query, "limit", default=50, lowest=1, highest=500)
    before = number(query, "cursor", default=MAX_ID, lowest=1, highest=MAX_ID)
    wanted = AuditFilter(
        since=moment(query, "since"),
        until=moment(query, "until"),
        **{name: query.get(name) for name in AS_TEXT},
    )
    page = await services_of(request).audit_log.newest(limit, before=before, wanted=wanted)
    return JSONResponse(
        {
            "entries": [entry.model_dump(mode="json") for entry in page],
            "next_cursor": str(page[-1].id) if len(page) == limit else None,
        }
    )
