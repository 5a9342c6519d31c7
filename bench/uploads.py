"""Uploads by `/process` and by tus against nginx's own PUT (its dav module), by curl; memory of the API meanwhile."""

import os
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import psutil

from bench import report
from bench.system import ANY_PORTS, NO_WORKER, running
from bench.upload_memory import MIB, Peak
from bench.waiting import until_listening
from streamforge.embedded.ports import free_port

SIZE = int(os.environ.get("BENCH_UPLOAD_MIB", "1024")) * MIB
ROUNDS = 3
BAR = 0.6
MEMORY_BAR_MIB = 64

NGINX = """
daemon off; pid {folder}/nginx.pid; error_log {folder}/error.log; worker_processes auto;
events {{ worker_connections 256; }}
http {{
  access_log off; client_max_body_size 0; client_body_temp_path {folder}/temp; client_body_buffer_size 1m;
  proxy_temp_path {folder}/p; fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;
  server {{ listen 127.0.0.1:{port}; root {folder}/files; dav_methods PUT; }}
}}
"""
OF_TUS = ["-H", "Tus-Resumable: 1.0.0"]


def main() -> None:
    report.machine()
    with (
        tempfile.TemporaryDirectory(prefix="streamforge-bench-") as scratch,
        running(arguments=[*ANY_PORTS, NO_WORKER]) as system,
    ):
        folder = Path(scratch)
        film = folder / "film.bin"
        _write(film)
        api = psutil.Process(system.pid_of("API"))
        with _nginx(folder) as nginx:
            ways: dict[str, Callable[[], float]] = {
                "nginx, PUT": lambda: _put(nginx, film),
                "POST /process": lambda: _process(system.url, film),
                "tus, one PATCH": lambda: _tus(system.url, film),
            }
            _compare(ways, api, system.data_dir / "storage")


def _compare(ways: dict[str, Callable[[], float]], api: psutil.Process, stored: Path) -> None:
    """Turn by turn, so that whatever else the machine does is everybody's."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    grown = dict.fromkeys(ways, 0.0)
    for _ in range(ROUNDS):
        for name, send in ways.items():
            before = api.memory_info().rss
            with Peak(api) as peak:
                seconds[name].append(send())
            grown[name] = max(grown[name], (peak.rss - before) / MIB)
            _make_room(stored)
    best = {name: min(times) for name, times in seconds.items()}
    nginx = best["nginx, PUT"]
    for name, taken in best.items():
        report.number(f"{name}: {SIZE // MIB} MiB, best of {ROUNDS}", SIZE / MIB / taken, "MiB/s")
    for name in ("POST /process", "tus, one PATCH"):
        report.at_least(f"{name} ÷ nginx", nginx / best[name], bar=BAR)
        report.number(
            f"{name}: memory of the API at its peak, more than before", grown[name], "MiB", bar=MEMORY_BAR_MIB
        )


def _write(film: Path) -> None:
    block = os.urandom(MIB)
    with film.open("wb") as file:
        for _ in range(SIZE // MIB):
            file.write(block)


def _make_room(stored: Path) -> None:
    for path in stored.rglob("original"):
        path.unlink()


def _put(url: str, film: Path) -> float:
    return _curl("-T", str(film), f"{url}/film.bin")


def _process(url: str, film: Path) -> float:
    return _curl("-F", f"video=@{film}", f"{url}/process")


def _tus(url: str, film: Path) -> float:
    began = time.monotonic()
    created = httpx.post(f"{url}/uploads", headers={"Tus-Resumable": "1.0.0", "Upload-Length": str(SIZE)})
    address = url + created.raise_for_status().headers["location"]
    octets = ["-H", "Content-Type: application/offset+octet-stream", "-H", "Upload-Offset: 0"]
    _curl("-X", "PATCH", *OF_TUS, *octets, "-T", str(film), address)
    return time.monotonic() - began


def _curl(*arguments: str) -> float:
    began = time.monotonic()
    subprocess.run(["curl", "-sS", "--fail", "-H", "Expect:", "-o", os.devnull, *arguments], check=True)
    return time.monotonic() - began


@contextmanager
def _nginx(folder: Path) -> Iterator[str]:
    port = free_port("127.0.0.1")
    (folder / "files").mkdir()
    folder.chmod(0o777)
    (folder / "files").chmod(0o777)
    config = folder / "nginx.conf"
    config.write_text(("user root;\n" if os.getuid() == 0 else "") + NGINX.format(folder=folder, port=port))
    process = subprocess.Popen(["nginx", "-p", str(folder), "-c", str(config)], stderr=subprocess.DEVNULL)
    try:
        until_listening("127.0.0.1", port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait()
