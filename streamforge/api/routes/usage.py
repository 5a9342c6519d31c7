"""`GET /usage`: what an owner has used up, and what is left."""

from starlette.responses import Response

from streamforge.api.http.answers import answer
from streamforge.api.http.query_values import Text
from streamforge.api.http.unknown_fields import parameters
from streamforge.api.openapi.operation import Operation, describes, json_of
from streamforge.api.quotas import Usage
from streamforge.api.services import Request, own_of, services_of
from streamforge.errors import InvalidField

OWNER = Text("owner", "Of somebody else; for administrators.")


@describes(
    Operation(
        tag="callers",
        summary="What is used up, and what is left",
        answers=(json_of(200, "Of the caller, or of `owner`.", Usage, "Cache-Control"),),
        errors=(InvalidField,),
        parameters=(OWNER,),
    )
)
async def usage(request: Request) -> Response:
    jobs = own_of(request, OWNER.of(parameters(request))).jobs
    return answer(await services_of(request).quotas.view(jobs), headers={"Cache-Control": "no-store"})
