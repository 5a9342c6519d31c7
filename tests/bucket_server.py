"""A real S3 endpoint for tests: rclone's, behind a gateway that can be told to misbehave."""

import asyncio
import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import httpx
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

BUCKET = "media"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret", "AWS_REGION": "us-east-1"}


class Gateway:
    """Passes requests on. Ranges are answered with 206 as S3 does: rclone 1.75 sends the right bytes with 200. A put with
    If-None-Match is refused where something is: rclone does not know the header.

    Set `cut_bodies_after` to break the connection after so many bytes of each answer, `before_put` to hold up what is put
    under some names, or to fail it, `answers_nothing` to keep whoever asks waiting, and `answers_with` to an error that all
    are told.
    """

    def __init__(self, upstream: str, folder: Path) -> None:
        self.cut_bodies_after: int | None = None
        self.ignores_conditions = False
        self.before_put: Callable[[str], Awaitable[None]] | None = None
        self._folder = folder
        self._one_at_a_time = asyncio.Lock()
        self.answers_nothing = False
        self.answers_with: tuple[int, str] | None = None
        self.requests: list[tuple[str, str]] = []
        self._upstream = upstream
        methods = ["GET", "HEAD", "PUT", "POST", "DELETE"]
        self._app = Starlette(
            routes=[Route("/{path:path}", self._forward, methods=methods)], lifespan=self._with_client
        )
        self._client: httpx.AsyncClient

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)

    @asynccontextmanager
    async def _with_client(self, _: Starlette) -> AsyncIterator[None]:
        async with httpx.AsyncClient(timeout=30) as self._client:
            yield

    def is_well_again(self) -> None:
        self.cut_bodies_after = self.before_put = self.answers_with = None
        self.answers_nothing = False

    async def _forward(self, request: Request) -> Response:
        while self.answers_nothing:
            await asyncio.sleep(0.01)
        if self.answers_with is not None:
            status, code = self.answers_with
            return Response(f"<Error><Code>{code}</Code></Error>", status, media_type="application/xml")
        self.requests.append((request.method, request.url.path))
        if request.method == "PUT" and self.before_put is not None:
            await self.before_put(request.url.path)
        if request.headers.get("if-none-match") != "*" or self.ignores_conditions:
            return await self._pass_on(request)
        async with self._one_at_a_time:
            is_there = (self._folder / request.url.path.lstrip("/")).exists()
            return Response(status_code=412) if is_there else await self._pass_on(request)

    async def _pass_on(self, request: Request) -> Response:
        target = self._upstream + request.scope["raw_path"].decode()
        if request.url.query:
            target += f"?{request.url.query}"
        # With its Host, which the signature covers.
        answer = await self._client.send(
            self._client.build_request(
                request.method, target, headers=request.headers.raw, content=await request.body()
            ),
            stream=True,
        )
        status = 206 if answer.status_code == 200 and "content-range" in answer.headers else answer.status_code
        response = StreamingResponse(self._body(answer), status)
        response.raw_headers = [(name.lower(), value) for name, value in answer.headers.raw]
        return response

    async def _body(self, answer: httpx.Response) -> AsyncIterator[bytes]:
        sent = 0
        try:
            async for piece in answer.aiter_raw():
                if self.cut_bodies_after is not None and sent + len(piece) > self.cut_bodies_after:
                    yield piece[: self.cut_bodies_after - sent]
                    raise ConnectionResetError
                sent += len(piece)
                yield piece
        finally:
            await answer.aclose()


class Server(uvicorn.Server):
    """In a thread of its own, so that each test may have its own event loop."""

    @contextmanager
    def running(self) -> Iterator[None]:
        thread = threading.Thread(target=self.run)
        thread.start()
        try:
            yield
        finally:
            self.should_exit = True
            thread.join()


@contextmanager
def bucket_server(folder: Path) -> Iterator[tuple[str, Gateway]]:
    """The URL of the endpoint over `folder`, whose subfolders are the buckets, and its gateway."""
    with socket.create_server(("127.0.0.1", 0)) as listening, _rclone(folder) as upstream:
        gateway = Gateway(upstream, folder)
        config = uvicorn.Config(gateway, log_level="critical", lifespan="on", fd=listening.fileno())
        with Server(config).running():
            yield f"http://127.0.0.1:{listening.getsockname()[1]}", gateway


@contextmanager
def _rclone(folder: Path) -> Iterator[str]:
    port = free_port()
    keys = f"{CREDENTIALS['AWS_ACCESS_KEY_ID']},{CREDENTIALS['AWS_SECRET_ACCESS_KEY']}"
    command = [Path(sys.executable).parent / "rclone", "serve", "s3", "--addr", f"127.0.0.1:{port}", "--auth-key", keys]
    environment = os.environ | {"RCLONE_CONFIG": os.devnull}
    with subprocess.Popen([*command, folder], stderr=subprocess.DEVNULL, env=environment) as process:
        try:
            _wait_for(port, process)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as unused:
        return int(unused.getsockname()[1])


def _wait_for(port: int, process: subprocess.Popen[bytes]) -> None:
    give_up = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < give_up:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            time.sleep(0.01)
    raise RuntimeError("rclone does not listen")
