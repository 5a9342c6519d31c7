"""Models as answers: what the description of this API shows is what is sent."""

from collections.abc import Mapping

from pydantic import BaseModel
from starlette.responses import Response


def answer(model: BaseModel, status_code: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    return Response(model.model_dump_json(), status_code, headers, media_type="application/json")
