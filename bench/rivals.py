"""What else one would serve events with: sse-starlette as its README shows it, and Nchan."""

import asyncio
import json
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil
import uvicorn
from sse_starlette.sse import EventSourceResponse
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from bench.waiting import until_listening
from streamforge.embedded.ports import free_port

HOST = "127.0.0.1"
NCHAN_MODULE = Path("/usr/lib/nginx/modules/ngx_nchan_module.so")


@dataclass(frozen=True)
class Rival:
    """Something that publishes to all streams at `path` what is posted to `publish`."""

    name: str
    port: int
    path: str
    process: psutil.Process

    def publish(self, body: str) -> None:
        address = f"http://{HOST}:{self.port}/publish"
        with urllib.request.urlopen(urllib.request.Request(address, body.encode(), method="POST")) as answer:
            answer.read()


@contextmanager
def naive() -> Iterator[Rival]:
    """A queue and a generator for each client, a dictionary for each event and client."""
    port = free_port(HOST)
    process = subprocess.Popen([sys.executable, "-m", "bench.rivals", str(port)])
    try:
        until_listening(HOST, port)
        yield Rival("naive sse-starlette", port, "/stream", psutil.Process(process.pid))
    finally:
        process.terminate()
        process.wait()


@contextmanager
def nchan() -> Iterator[Rival]:
    port = free_port(HOST)
    with tempfile.TemporaryDirectory(prefix="streamforge-bench-") as folder:
        config = Path(folder) / "nginx.conf"
        config.write_text(_nginx(folder, port))
        process = subprocess.Popen(["nginx", "-p", folder, "-c", str(config)])
        try:
            until_listening(HOST, port)
            worker = psutil.Process(process.pid).children()[0]
            yield Rival("Nchan", port, "/stream", worker)
        finally:
            process.terminate()
            process.wait()


def _nginx(folder: str, port: int) -> str:
    return f"""
load_module {NCHAN_MODULE};
daemon off;
pid {folder}/nginx.pid;
error_log {folder}/error.log;
worker_processes 1;
worker_rlimit_nofile 20000;
events {{ worker_connections 10000; }}
http {{
    access_log off;
    server {{
        listen {HOST}:{port};
        location = /publish {{ nchan_publisher; nchan_channel_id all; }}
        location = /stream {{ nchan_subscriber eventsource; nchan_channel_id all; }}
    }}
}}
"""


def _naive_app() -> Starlette:
    queues: set[asyncio.Queue[dict[str, str]]] = set()

    async def publish(request: Request) -> Response:
        body = (await request.body()).decode()
        for queue in queues:
            queue.put_nowait({"event": "progress", "data": body, "id": "1"})
        return Response()

    async def stream(_request: Request) -> Response:
        queue: asyncio.Queue[dict[str, str]] = asyncio.Queue()
        queues.add(queue)

        async def events() -> AsyncIterator[dict[str, str]]:
            try:
                yield {"event": "status", "data": json.dumps({})}
                while True:
                    yield await queue.get()
            finally:
                queues.discard(queue)

        return EventSourceResponse(events())

    return Starlette(routes=[Route("/publish", publish, methods=["POST"]), Route("/stream", stream)])


if __name__ == "__main__":
    uvicorn.run(_naive_app(), host=HOST, port=int(sys.argv[1]), log_level="warning")
