"""Which requests the audit log tells of: refusals, and what administrators see or change that is not their own."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from starlette.datastructures import QueryParams
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamforge.access.audit import ALLOWED, REFUSALS
from streamforge.access.caller import ANYBODY, Caller, Need
from streamforge.access.caller import Scope as CallerScope
from streamforge.api.http.middleware import CONNECTIONS, HEADS, SWITCHING_PROTOCOLS
from streamforge.contracts.ids import parse_batch_id, parse_job_id
from streamforge.db.audit import NewAuditEntry
from streamforge.errors import StreamForgeError

NOWHERE = "*"
"""The path of an action that has no route."""
MOST_IDS = 100
"""Of `ids`, as many as `GET /jobs` takes. Whoever shows nothing may send 60,000 commas, and what is looked at here is looked at
in the event loop."""
NAMED_JOBS = "named_jobs"
"""In the state of a request: ids that its body names."""


class Audit:
    """Tell the auditor when an answer begins: streams last. By a route's own names for what it is about: one that is added
    with a `job_id` or a `batch_id` in its path, or that needs an administrator, is told of without a line of its own."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in CONNECTIONS:
            await self.app(scope, receive, send)
            return

        async def watch(message: Message) -> None:
            if message["type"] in HEADS:
                for entry in entries(scope, message.get("status", SWITCHING_PROTOCOLS)):
                    scope["state"]["services"].auditor.tell(entry)
            await send(message)

        await self.app(scope, receive, watch)


def entries(scope: Scope, status: int) -> Iterator[NewAuditEntry]:
    found = scope["state"].get("caller")
    caller = found if isinstance(found, Caller) else None
    if status in REFUSALS and status != 404:
        yield _entry(scope, caller, REFUSALS[status], next(_targets(scope), {}))
    elif status == 404 and caller is not None and caller != ANYBODY:
        for target in _targets(scope):
            yield _entry(scope, caller, REFUSALS[status], target | {"only_of_others": True})
    elif status < 400 and caller is not None and caller != ANYBODY and caller.may(CallerScope.ADMIN):
        for target in _seen_by_an_administrator(scope, caller):
            yield _entry(scope, caller, ALLOWED, target)


def _seen_by_an_administrator(scope: Scope, caller: Caller) -> Iterator[dict[str, Any]]:
    """What may be somebody else's; whether a job or a batch is, the database knows when it is written."""
    route = scope.get("route")
    if getattr(route, "needs", None) is Need.ADMIN:
        yield next(_targets(scope), {})
        return
    targets = list(_targets(scope))
    for target in targets:
        if "target_owner" not in target:
            yield target | {"only_of_others": True}
        elif target["target_owner"] != caller.owner:
            yield target
    if not targets and getattr(route, "path", None) == "/jobs":
        yield {"target": "owner:*"}


def _targets(scope: Scope) -> Iterator[dict[str, Any]]:
    """In the path, in the query, or as the handler says."""
    query = QueryParams(scope["query_string"])
    named = {**query, **scope.get("path_params", {})}
    of_body: list[str] = scope["state"].get(NAMED_JOBS, [])
    of_query = query.get("ids", "").split(",", MOST_IDS)[:MOST_IDS]
    # An upload has the id of its job.
    for text in [named.get("job_id", ""), named.get("upload_id", ""), *of_query, *of_body]:
        if (job_id := _id(parse_job_id, text)) is not None:
            yield {"target": f"job:{job_id}", "job_id": job_id}
    if (batch_id := _id(parse_batch_id, named.get("batch_id", ""))) is not None:
        yield {"target": f"batch:{batch_id}", "batch_id": batch_id}
    if owner := query.get("owner"):
        yield {"target": f"owner:{owner[:128]}", "target_owner": owner[:128]}


def _id(parse: Any, text: str) -> UUID | None:
    try:
        found: UUID = parse(text.strip())
    except StreamForgeError:
        return None
    return found


def _entry(scope: Scope, caller: Caller | None, outcome: str, target: dict[str, Any]) -> NewAuditEntry:
    now = datetime.now(UTC)
    state = scope["state"]
    return NewAuditEntry(
        first_at=now,
        last_at=now,
        owner=caller.owner if caller else None,
        credential=caller.credential if caller else None,
        action=f"{scope.get('method', 'WS')} {getattr(scope.get('route'), 'path', NOWHERE)}",
        outcome=outcome,
        code=state.get("problem"),
        address=scope["client"][0] if scope.get("client") else None,
        request_id=state.get("request_id"),
        **target,
    )
