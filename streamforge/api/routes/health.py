"""`/health`: this process is alive. `/ready`: everything it needs is well, or which is not. `/`: what is here."""

from typing import Literal

from pydantic import BaseModel
from starlette.responses import Response

import streamforge
from streamforge.api.http.answers import answer
from streamforge.api.http.rules import GuardedRoute, GuardedWebSocketRoute
from streamforge.api.openapi.operation import Operation, describes, json_of
from streamforge.api.readiness import FRESH_SECONDS
from streamforge.api.services import Request, known_caller_of, services_of
from streamforge.errors import StreamForgeError


class Health(BaseModel):
    status: Literal["healthy"] = "healthy"
    service: Literal["streamforge"] = "streamforge"
    version: str = streamforge.__version__


class PartHealth(BaseModel):
    ok: bool
    message: str


class Ready(BaseModel):
    status: Literal["ready", "not_ready"]
    checks: dict[str, PartHealth]


class Index(BaseModel):
    service: Literal["streamforge"] = "streamforge"
    version: str = streamforge.__version__
    documentation: str = "/docs"
    endpoints: dict[str, str]


@describes(
    Operation(
        tag="operations",
        summary="Is this process alive",
        answers=(json_of(200, "It is.", Health),),
    )
)
async def health(_request: Request) -> Response:
    return answer(Health())


@describes(
    Operation(
        tag="operations",
        summary="Is everything it needs well",
        says="Whoever asks hears which part is not well; why is told to those who have said who they are.",
        answers=(
            json_of(200, "Everything is well.", Ready),
            json_of(503, "Something is not: the checks say which.", Ready),
        ),
    )
)
async def ready(request: Request) -> Response:
    is_known = known_caller_of(request) is not None
    problems = await services_of(request).readiness.problems(0 if is_known else FRESH_SECONDS)
    well = not any(problems.values())
    checks = {
        name: PartHealth(ok=problem is None, message=_message(problem, is_known)) for name, problem in problems.items()
    }
    return answer(Ready(status="ready" if well else "not_ready", checks=checks), 200 if well else 503)


def _message(problem: StreamForgeError | None, is_known: bool) -> str:
    if problem is None:
        return "well"
    return problem.message if is_known else "not well"


@describes(
    Operation(
        tag="operations",
        summary="What is here",
        answers=(json_of(200, "Every address, and what it does.", Index),),
    )
)
async def index(request: Request) -> Response:
    routes = request.app.routes
    return answer(Index(endpoints={_named(route): route.operation.summary for route in routes}))


def _named(route: GuardedRoute | GuardedWebSocketRoute) -> str:
    """As in `GET /jobs/{job_id}`."""
    (method,) = getattr(route, "methods", {"WS"}) - {"HEAD"}
    return f"{method} {route.path_format}"
