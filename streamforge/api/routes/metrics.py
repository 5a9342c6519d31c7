"""`GET /metrics`: what Prometheus asks for, of this process, where it has no port of its own for it."""

from starlette.responses import Response

from streamforge.api.http.foreign_pages import refuse_foreign_page
from streamforge.api.openapi.operation import TEXT, Answer, Operation, describes
from streamforge.api.services import Request, services_of
from streamforge.errors import ForeignPage
from streamforge.observability.metrics import page

CONTENT_TYPES = ("text/plain", "application/openmetrics-text")


@describes(
    Operation(
        tag="operations",
        summary="What Prometheus asks for",
        answers=(Answer(200, "In the format that was asked for.", dict.fromkeys(CONTENT_TYPES, TEXT)),),
        errors=(ForeignPage,),
    )
)
async def metrics(request: Request) -> Response:
    refuse_foreign_page(request)
    await services_of(request).gauges.look()
    content, content_type = page(request.headers.get("accept", ""))
    return Response(content, headers={"Content-Type": content_type})
