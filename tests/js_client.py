"""The JavaScript client of this repository, in one Node for all tests."""

import asyncio
import itertools
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from every_endpoint import World
from programs import npm_packages, program

HERE = Path(__file__).parent / "client" / "js"
PACKAGE = Path(__file__).parents[1] / "clients" / "js"
MEBIBYTE = 2**20


class Failed(Exception):
    """What the client threw."""

    def __init__(self, error: dict[str, Any]) -> None:
        super().__init__(error["stack"])
        self.name, self.code, self.message = error["name"], error.get("code"), error["message"]
        self.status, self.request_id = error.get("status"), error.get("requestId")


@dataclass
class Call:
    done: "asyncio.Future[Any]" = field(default_factory=lambda: asyncio.get_running_loop().create_future())
    told: "asyncio.Queue[Any]" = field(default_factory=asyncio.Queue)

    async def result(self) -> Any:
        """Raises Failed."""
        async with asyncio.timeout(90):
            return await self.done

    async def until(self, what: str) -> None:
        async with asyncio.timeout(60):
            while await self.told.get() != what:
                pass


@dataclass
class Node:
    process: asyncio.subprocess.Process
    world: World
    calls: dict[int, Call] = field(default_factory=dict)
    numbers: "itertools.count[int]" = field(default_factory=itertools.count)

    def begin(
        self, scenario: str, *, url: str | None = None, options: dict[str, Any] | None = None, **args: Any
    ) -> Call:
        number, call = next(self.numbers), Call()
        self.calls[number] = call
        what = {
            "call": number, "scenario": scenario, "url": url or self.world.api.url, "key": self.world.key,
            "options": options or {}, "args": args,
        }  # fmt: skip
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(what).encode() + b"\n")
        return call

    async def run(self, scenario: str, **args: Any) -> Any:
        """Raises Failed."""
        return await self.begin(scenario, **args).result()

    async def listen(self) -> None:
        assert self.process.stdout is not None
        try:
            async for line in self.process.stdout:
                self._hear(json.loads(line))
        finally:
            for call in self.calls.values():
                if not call.done.done():
                    call.done.set_exception(AssertionError("Node has ended, or does not speak JSON"))

    def _hear(self, said: dict[str, Any]) -> None:
        call = self.calls[said["call"]]
        match said:
            case {"told": told}:
                call.told.put_nowait(told)
            case {"result": result}:
                call.done.set_result(result)
            case {"error": error}:
                call.done.set_exception(Failed(error))


@asynccontextmanager
async def node_for(world: World) -> AsyncIterator[Node]:
    command = [
        program("node", "nodejs", package="nodejs"),
        "--no-warnings",
        "--experimental-websocket",
        "scenarios.mjs",
    ]
    npm_packages(PACKAGE)
    process = await asyncio.create_subprocess_exec(
        *command, cwd=HERE, stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, limit=MEBIBYTE
    )
    node = Node(process, world)
    listening = asyncio.create_task(node.listen())
    try:
        yield node
    finally:
        assert process.stdin is not None
        process.stdin.close()
        await process.wait()
        await listening
