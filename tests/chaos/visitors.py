"""Those who send videos, and those who follow them on connections that come and go."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import httpx
from sse import Frame, read_frames

from streamforge.client import RequestRefused, ServerUnreachable, StreamForgeClient
from streamforge.errors import Fault

SHORTEST_VISIT_SECONDS, LONGEST_VISIT_SECONDS = 0.3, 6.0
UNNUMBERED = {"status", "done"}
"""Frames of a connection, not of the log."""


@dataclass
class Visitor:
    """Follows one job to its end. `heard`: what it was sent, in order, over all its connections."""

    url: str
    job_id: UUID
    dice: random.Random
    heard: list[Frame] = field(default_factory=list)
    visits: int = 0

    async def follow(self) -> None:
        async with httpx.AsyncClient(base_url=self.url, timeout=30) as http:
            while not await self._visit(http):
                await asyncio.sleep(self.dice.uniform(0.05, 0.5))

    async def _visit(self, http: httpx.AsyncClient) -> bool:
        """Whether the job is over and everything told."""
        self.visits += 1
        try:
            async with asyncio.timeout(self.dice.uniform(SHORTEST_VISIT_SECONDS, LONGEST_VISIT_SECONDS)):
                return await self._listen(http)
        except (httpx.TransportError, TimeoutError):
            return False

    async def _listen(self, http: httpx.AsyncClient) -> bool:
        last = next((frame.id for frame in reversed(self.heard) if frame.id is not None), 0)
        path, cursor = f"/jobs/{self.job_id}/stream", {"Last-Event-ID": str(last)}
        async with http.stream("GET", path, headers=cursor) as response:
            if response.status_code == httpx.codes.NO_CONTENT:
                return True
            if response.status_code != httpx.codes.OK:
                assert response.is_server_error, response.status_code
                return False
            async for frame in read_frames(response):
                if frame.event == "done":
                    return True
                if frame.event and frame.event not in UNNUMBERED:
                    self.heard.append(frame)
        return False


@dataclass
class Crowd:
    """`unanswered`: posts of which nobody knows what became; there may be a job of each, or not."""

    url: Callable[[], str]
    dice: random.Random
    visitors: list[Visitor] = field(default_factory=list)
    refusals: dict[str, int] = field(default_factory=dict)
    unanswered: int = 0

    async def send(self, kind: str, video: Path) -> None:
        """Until it is taken, and then follow it to the end."""
        while (job_id := await self._post(kind, video)) is None:
            await asyncio.sleep(self.dice.uniform(0.2, 1))
        visitor = Visitor(self.url(), job_id, random.Random(self.dice.random()))
        self.visitors.append(visitor)
        await visitor.follow()

    async def _post(self, kind: str, video: Path) -> UUID | None:
        async with StreamForgeClient(self.url()) as client:
            try:
                return await client.submit(video, key=kind)
            except ServerUnreachable:
                self.unanswered += 1
            except RequestRefused as error:
                if error.fault is Fault.CALLER:
                    raise
                self.refusals[error.code] = self.refusals.get(error.code, 0) + 1
        return None
