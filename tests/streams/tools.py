"""Programs that these tests follow streams with, or a sentence that says how to get them."""

import asyncio
import socket
import subprocess
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

from programs import program

HERE = Path(__file__).parent


@asynccontextmanager
async def lines_of(*command: str) -> AsyncIterator[asyncio.StreamReader]:
    """What a program prints, as it prints it."""
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, cwd=HERE)
    assert process.stdout is not None
    try:
        yield process.stdout
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


@asynccontextmanager
async def nginx(folder: Path, port: int, upstream: str | Sequence[str], location: str) -> AsyncIterator[str]:
    """A proxy with what it has by default, and `location` beside `proxy_pass`. Of several servers none is left out because it
    was away a moment ago: with `max_fails` a rolling deploy would find both left out."""
    servers = [upstream] if isinstance(upstream, str) else upstream
    apis = " ".join(f"server {each.removeprefix('http://')} max_fails=0;" for each in servers)
    upstreams = f"upstream apis {{ {apis} }}"
    passes = f"proxy_pass {upstream if isinstance(upstream, str) else 'http://apis'}; {location}"
    server = f"server {{ listen 127.0.0.1:{port}; location / {{ {passes} }} }}"
    async with nginx_with(folder, port, f"{upstreams} {server}"):
        yield f"http://127.0.0.1:{port}"


@asynccontextmanager
async def nginx_with(folder: Path, port: int, servers: str) -> AsyncIterator[None]:
    """One that has these servers, and listens on the port by then."""
    config = folder / "nginx.conf"
    config.write_text(
        f"""
        daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log;
        events {{}}
        http {{
            access_log off;
            client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
            uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
            {servers}
        }}
        """
    )
    binary = program("nginx", "/usr/sbin/nginx", package="nginx-light")
    process = await asyncio.create_subprocess_exec(binary, "-p", str(folder), "-c", str(config))
    try:
        await _listening(port)
        yield
    finally:
        process.terminate()
        await process.wait()


async def _listening(port: int) -> None:
    async with asyncio.timeout(10):
        while True:
            try:
                await asyncio.to_thread(lambda: socket.create_connection(("127.0.0.1", port)).close())
                return
            except OSError:
                await asyncio.sleep(0.02)


@contextmanager
def site(folder: Path) -> Iterator[str]:
    """A folder of pages on an origin of its own."""

    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=str(folder)))
    thread = Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
