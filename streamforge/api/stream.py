"""`GET /jobs/<id>/stream`: a job's events as text/event-stream."""

from sse_starlette.sse import EventSourceResponse
from starlette.responses import Response

from streamforge.api.services import Request, services_of
from streamforge.contracts.ids import parse_job_id

SEND_TIMEOUT = 30.0
"""Seconds a client may leave its socket full before it is dropped. It can resume."""
SHUTDOWN_GRACE = 2.0
"""streamforge.api.server ends all streams itself; under another server sse-starlette notices its end, and cuts them off
after so many seconds."""


async def stream(request: Request) -> Response:
    services = services_of(request)
    frames = await services.streams.open(parse_job_id(request.path_params["job_id"]), _cursor(request))
    if frames is None:
        # The one answer that keeps EventSource from coming back for ever.
        return Response(status_code=204)
    return EventSourceResponse(
        frames,
        headers={"Cache-Control": "no-store"},
        ping=services.settings.server.heartbeat_seconds,
        sep="\n",
        send_timeout=SEND_TIMEOUT,
        shutdown_grace_period=SHUTDOWN_GRACE,
    )


def _cursor(request: Request) -> str | None:
    """The header is what EventSource sends when it reconnects; it is newer than a parameter in the address."""
    query = request.query_params
    return request.headers.get("last-event-id") or query.get("last_event_id") or query.get("lastEventId") or None
