"""text/event-stream, read the plain way: what is on the wire, not what a library makes of it."""

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx


@dataclass(frozen=True)
class Frame:
    event: str
    data: Any
    id: int | None = None
    comment: str | None = field(default=None, compare=False)
    retry: int | None = None


async def read_frames(response: httpx.Response, *, comments: bool = False) -> AsyncIterator[Frame]:
    buffer = ""
    async for text in response.aiter_text():
        buffer += text
        while "\n\n" in buffer:
            block, _, buffer = buffer.partition("\n\n")
            frame = parse(block)
            if comments or frame.comment is None:
                yield frame
    assert buffer == "", "the stream ended in the middle of a frame"


def parse(block: str) -> Frame:
    fields = dict(line.split(": ", 1) for line in block.split("\n") if not line.startswith(":"))
    comment = block[2:] if block.startswith(":") else None
    return Frame(
        event=fields.get("event", ""),
        data=json.loads(fields.get("data", "null")),
        id=int(fields["id"]) if "id" in fields else None,
        comment=comment,
        retry=int(fields["retry"]) if "retry" in fields else None,
    )
