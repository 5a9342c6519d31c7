"""`GET /usage`: what an owner has used up, and what is left."""

from starlette.responses import JSONResponse, Response

from streamforge.api.http.unknown_fields import parameters
from streamforge.api.services import Request, own_of, services_of


async def usage(request: Request) -> Response:
    """Of the caller; with `owner` of somebody else, for administrators."""
    jobs = own_of(request, parameters(request, "owner").get("owner")).jobs
    answer = await services_of(request).quotas.view(jobs)
    return JSONResponse(answer, headers={"Cache-Control": "no-store"})
