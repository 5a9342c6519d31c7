"""What the API's memory does while 4 GiB come in. The file is no video, so its job ends with a code."""

import os
import shutil
import tempfile
import threading
import time
from collections.abc import Iterator

import httpx
import psutil

from bench import report
from bench.system import running

MIB = 2**20
SIZE = 4 * 2**30
SPARE = 3 * 2**30
"""What must stay free beside the file: the API itself refuses to leave less than 1 GiB."""
BAR_MIB = 64
SAMPLE_SECONDS = 0.005


def main() -> None:
    report.machine()
    if shutil.disk_usage(tempfile.gettempdir()).free < SIZE + SPARE:
        report.note(f"skipped: needs {(SIZE + SPARE) / 2**30:.0f} GiB free in {tempfile.gettempdir()}")
        return
    with running() as system:
        api = psutil.Process(system.pid_of("API"))
        before = api.memory_info().rss
        with Peak(api) as peak:
            began = time.monotonic()
            job = _upload(system.url)
            seconds = time.monotonic() - began
        after = api.memory_info().rss
        report.number("API before", before / MIB, "MiB")
        report.number(
            "API at its peak during the upload, more than before", (peak.rss - before) / MIB, "MiB", bar=BAR_MIB
        )
        report.number("API after, more than before", (after - before) / MIB, "MiB")
        report.number("4 GiB arrived and safe on disk after", seconds, "s")
        report.number("throughput", SIZE / MIB / seconds, "MiB/s")
        _wait_for_the_end(system.url, job)


class Peak:
    """The largest resident size seen while the block lasts."""

    def __init__(self, process: psutil.Process) -> None:
        self.rss = 0
        self._process = process
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._sample)

    def __enter__(self) -> "Peak":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _sample(self) -> None:
        while not self._stop.wait(SAMPLE_SECONDS):
            self.rss = max(self.rss, self._process.memory_info().rss)


def _upload(url: str) -> str:
    """Streamed as it is made, so that nothing of ours lies on the disk either."""
    head = b'--edge\r\nContent-Disposition: form-data; name="video"; filename="large.bin"\r\n\r\n'
    tail = b"\r\n--edge--\r\n"

    def body() -> Iterator[bytes]:
        block = os.urandom(MIB)
        yield head
        for _ in range(SIZE // MIB):
            yield block
        yield tail

    headers = {
        "Content-Type": "multipart/form-data; boundary=edge",
        "Content-Length": str(len(head) + SIZE + len(tail)),
    }
    answer = httpx.post(f"{url}/process", content=body(), headers=headers, timeout=600).raise_for_status()
    return str(answer.json()["job_id"])


def _wait_for_the_end(url: str, job_id: str) -> None:
    began = time.monotonic()
    while (job := httpx.get(f"{url}/jobs/{job_id}").json())["status"] in {"pending", "processing"}:
        time.sleep(0.1)
    code = (job["error"] or {}).get("code")
    report.note(f"its job: {job['status']} ({code}) {time.monotonic() - began:.1f} s after its upload")
