"""Two API processes behind nginx are replaced one after the other, while npm's EventSource follows a job and others ask for
it: nothing is lost, nothing comes twice, and nobody is told that there is nobody."""

import asyncio
import json
from contextlib import AsyncExitStack
from pathlib import Path
from uuid import UUID

import httpx
from factories import COMPLETED, accepted, progress
from programs import npm_packages, program
from tools import HERE, lines_of, nginx

from streamforge.api.http.server import running
from streamforge.db.jobs import Jobs
from streamforge.embedded.ports import free_port
from streamforge.events.log import EventLog
from streamforge.settings import Settings

BEHIND_A_SWITCH = 'proxy_set_header Host $host; proxy_http_version 1.1; proxy_set_header Connection "";'


def on_a_port_of_its_own(settings: Settings) -> Settings:
    server = settings.server.model_copy(update={"port": free_port("127.0.0.1")})
    return settings.model_copy(update={"server": server})


async def poll(proxy: str, job_id: UUID, statuses: list[int]) -> None:
    async with httpx.AsyncClient(base_url=proxy, timeout=10) as http:
        while True:
            statuses.append((await http.get(f"/jobs/{job_id}")).status_code)
            await asyncio.sleep(0.02)


async def test_a_stream_and_requests_across_a_rolling_deploy(
    settings: Settings, jobs: Jobs, events: EventLog, tmp_path: Path
) -> None:
    node = program("node", "nodejs", package="nodejs")
    program("nginx", "/usr/sbin/nginx", package="nginx-light")
    npm_packages(HERE)
    job_id = await accepted(jobs)
    first, second = on_a_port_of_its_own(settings), on_a_port_of_its_own(settings)
    urls = [f"http://127.0.0.1:{each.server.port}" for each in (first, second)]
    statuses: list[int] = []
    seen: list[int] = []
    async with (
        AsyncExitStack() as one,
        AsyncExitStack() as other,
        nginx(tmp_path, free_port("127.0.0.1"), urls, BEHIND_A_SWITCH) as proxy,
        asyncio.timeout(60),
    ):
        await one.enter_async_context(running(first))
        await other.enter_async_context(running(second))
        async with lines_of(node, "follow.mjs", f"{proxy}/jobs/{job_id}/stream", "close") as lines:
            polling = asyncio.create_task(poll(proxy, job_id, statuses))
            await heard(lines, seen, "status")
            for number in range(2, 8):
                await events.append(job_id, progress(number))
                await heard(lines, seen, "progress")
            for stack, its_settings in ((one, first), (other, second)):
                stopping = asyncio.create_task(stack.aclose())
                for number in range(len(seen) + 2, len(seen) + 8):
                    await events.append(job_id, progress(number))
                await stopping
                for _ in range(6):
                    await heard(lines, seen, "progress")
                await stack.enter_async_context(running(its_settings))
            await events.append(job_id, COMPLETED)
            await heard(lines, seen, "progress")
            await heard(lines, seen, "done")
            polling.cancel()
    assert seen == list(range(2, len(seen) + 2))
    assert len(seen) == 19
    assert set(statuses) == {200}


async def heard(lines: asyncio.StreamReader, seen: list[int], event: str) -> None:
    while True:
        told = json.loads(await lines.readline())
        if told["event"] == "progress":
            seen.append(int(told["id"]))
        if told["event"] == event:
            return
