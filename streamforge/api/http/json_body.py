"""Requests whose body is a JSON object."""

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from streamforge.api.services import Request
from streamforge.contracts.job_options import WHOLE_SENTENCE
from streamforge.errors import InvalidField

B = TypeVar("B", bound=BaseModel)

MAX_BYTES = 64 * 1024


async def body_of(
    request: Request, model: type[B], *, may_be_empty: bool = False, context: Mapping[str, Any] | None = None
) -> B:
    """`context` is for the validators of the model. Raises InvalidField, which names the field that is wrong."""
    body = b""
    async for piece in request.stream():
        body += piece
        if len(body) > MAX_BYTES:
            raise InvalidField(f"The body is longer than {MAX_BYTES} bytes.")
    try:
        return model.model_validate_json(b"{}" if may_be_empty and not body else body, context=context)
    except ValidationError as error:
        raise InvalidField(_sentence(error)) from error


def _sentence(error: ValidationError) -> str:
    """Of the first thing that is wrong. What the caller wrote is not repeated."""
    problem = error.errors(include_url=False, include_context=False, include_input=False)[0]
    if problem["type"] == WHOLE_SENTENCE:
        return problem["msg"]
    where = ".".join(str(part) for part in problem["loc"] if str(part).isidentifier())[:64]
    if problem["type"] == "extra_forbidden":
        return f"There is no field `{where}`." if where else "There is a field that this address does not know."
    said = problem["msg"].removeprefix("Value error, ").rstrip(".")
    if not where:
        return f"The body is not the JSON object that is asked for: {said}."
    return f"`{where}` is not what it should be: {said}."
