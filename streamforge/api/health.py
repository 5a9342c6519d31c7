"""`/health`: this process is alive. `/ready`: everything it needs is well, or which is not. `/`: what is here."""

import asyncio
from collections.abc import Awaitable
from typing import Any

import structlog
from starlette.responses import JSONResponse, Response

import streamforge
from streamforge.api.services import Request, services_of
from streamforge.api.uploads import refuse_full_disk
from streamforge.errors import StreamForgeError

CHECK_TIMEOUT = 3.0

log = structlog.stdlib.get_logger(__name__)


async def health(_request: Request) -> Response:
    return JSONResponse({"status": "healthy", "service": "streamforge", "version": streamforge.__version__})


async def ready(request: Request) -> Response:
    services = services_of(request)
    settings = services.settings
    disk = asyncio.to_thread(refuse_full_disk, settings.data_dir, settings.input)
    checks: dict[str, Awaitable[Any]] = {
        "database": services.database.fetch_one("ping"),
        "temporal": services.workflows.check(),
        "storage": services.storage.check(),
        "disk": disk,
    }
    results = await asyncio.gather(*(_outcome(name, check) for name, check in checks.items()))
    well = all(result["ok"] for result in results)
    return JSONResponse(
        {"status": "ready" if well else "not_ready", "checks": dict(zip(checks, results, strict=True))},
        status_code=200 if well else 503,
    )


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
                "GET /media/{id}/…": "its stream, for players",
                "GET /health": "is this process alive",
                "GET /ready": "is everything it needs well",
            },
        }
    )


async def _outcome(name: str, check: Awaitable[Any]) -> dict[str, Any]:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT):
            await check
    except StreamForgeError as error:
        return {"ok": False, "message": error.message}
    except TimeoutError:
        return {"ok": False, "message": f"No answer within {CHECK_TIMEOUT:g} s."}
    except Exception:
        log.exception("readiness check failed", check=name)
        return {"ok": False, "message": "The check itself failed; the log knows why."}
    return {"ok": True, "message": "well"}
