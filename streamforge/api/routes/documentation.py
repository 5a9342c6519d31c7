"""`/openapi.json`: this API for machines, in OpenAPI 3.1. `/docs`: the same for people, in one page that loads nothing."""

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass

from starlette.requests import Request
from starlette.responses import Response

from streamforge.api.http.rules import GuardedRoute, GuardedWebSocketRoute
from streamforge.api.openapi.document import document
from streamforge.api.openapi.operation import Answer, Operation, describes
from streamforge.api.openapi.page import CONTENT_SECURITY_POLICY, page
from streamforge.api.services import AppState, services_of


@dataclass(frozen=True)
class _Written:
    json: bytes
    html: bytes


@describes(
    Operation(
        tag="operations",
        summary="This document",
        answers=(Answer(200, "OpenAPI 3.1.", {"application/json": {"type": "object"}}),),
    )
)
async def openapi_document(request: Request[AppState]) -> Response:
    return Response((await _written(request)).json, media_type="application/json")


@describes(
    Operation(
        tag="operations",
        summary="This document for people",
        answers=(Answer(200, "A page that needs nothing else.", {"text/html": {"type": "string"}}),),
    )
)
async def docs(request: Request[AppState]) -> Response:
    headers = {"Content-Security-Policy": CONTENT_SECURITY_POLICY}
    return Response((await _written(request)).html, headers=headers, media_type="text/html")


async def _written(request: Request[AppState]) -> _Written:
    """Made when it is first asked for, and kept: it takes a tenth of a second, in a thread, since nobody's events are to wait for
    that, and never changes."""
    kept = request.app.state
    if not hasattr(kept, "documentation"):
        are_callers_known = services_of(request).settings.auth.required
        kept.documentation = await asyncio.to_thread(_write, request.app.routes, are_callers_known=are_callers_known)
    written: _Written = kept.documentation
    return written


def _write(routes: Sequence[GuardedRoute | GuardedWebSocketRoute], *, are_callers_known: bool) -> _Written:
    described = document(routes, are_callers_known=are_callers_known)
    return _Written(json.dumps(described, indent=1).encode(), page(described).encode())
