"""`/health`: this process is alive. `/ready`: everything it needs is well, or which is not. `/`: what is here."""

from starlette.responses import JSONResponse, Response

import streamforge
from streamforge.api.services import Request, known_caller_of, services_of
from streamforge.errors import StreamForgeError


async def health(_request: Request) -> Response:
    return JSONResponse({"status": "healthy", "service": "streamforge", "version": streamforge.__version__})


async def ready(request: Request) -> Response:
    """Whoever asks hears which part is not well; why is told to those who have said who they are."""
    is_known = known_caller_of(request) is not None
    problems = await services_of(request).readiness.problems()
    well = not any(problems.values())
    return JSONResponse(
        {
            "status": "ready" if well else "not_ready",
            "checks": {
                name: {"ok": problem is None, "message": _message(problem, is_known)}
                for name, problem in problems.items()
            },
        },
        status_code=200 if well else 503,
    )


def _message(problem: StreamForgeError | None, is_known: bool) -> str:
    if problem is None:
        return "well"
    return problem.message if is_known else "not well"


async def index(_request: Request) -> Response:
    return JSONResponse(
        {
            "service": "streamforge",
            "version": streamforge.__version__,
            "endpoints": {
                "POST /process": "send a video as multipart/form-data, in the field `video`",
                "POST /batches": "send several, each in a field `video`",
                "GET /jobs": "jobs, newest first; ?ids=a,b,c: these",
                "GET /jobs/{id}": "one job",
                "DELETE /jobs/{id}": "cancel it",
                "GET /jobs/{id}/stream": "its progress, live, as text/event-stream",
                "GET /jobs/{id}/events": "its progress so far",
                "GET /batches/{id}": "how far several are, together",
                "GET /batches/{id}/stream": "their progress, live",
                "GET /stream": "everything, live",
                "WS /ws/progress": "the same over a WebSocket; ?job_id= or ?batch_id=: of one",
                "POST /jobs/{id}/playback/refresh": "fresh addresses of its stream, where they are signed",
                "GET /media/{id}/…": "its stream, for players",
                "GET /metrics": "what Prometheus asks for",
                "POST /tickets": "for what can send no header: an address that opens for a minute",
                "POST /session": "sign a browser in; GET: who am I, DELETE: sign out",
                "GET /audit": "what administrators did, and what was refused",
                "GET /health": "is this process alive",
                "GET /ready": "is everything it needs well",
            },
        }
    )
