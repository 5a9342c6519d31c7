"""Where work came from: what log lines and traces of all processes have in common. It changes nothing about the work."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel

TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
"""W3C Trace Context, version 00: trace, span, flags."""


def _traceparent(value: str) -> str:
    if TRACEPARENT.fullmatch(value) is None:
        raise ValueError("is no traceparent")
    return value


class Origin(BaseModel):
    """Of a job: the request that brought it, and the span of that request, as W3C's `traceparent`."""

    request_id: str | None = None
    traceparent: Annotated[str, AfterValidator(_traceparent)] | None = None
