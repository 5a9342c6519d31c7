"""A mixed load for hours at a small scale: do memory, file descriptors, threads and files of every process stay flat?

Jobs of several kinds, one of which fails, come as fast as they are done; viewers come and go, and what they watch is fetched.
Every ten seconds each part of `up` is looked at, with all its child processes. What has grown by the end, beyond what a part
may, fails the run. `make soak HOURS=2` leaves `soak.csv` and `soak.svg` in data/soak.
"""

import asyncio
import csv
import itertools
import os
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, fields
from pathlib import Path

import asyncpg
import httpx
import psutil

from bench import clips, report, soak_plot
from bench.flatness import Sample, growths
from bench.system import System, running
from streamforge.client import StreamForgeClient

HOURS = float(os.environ.get("HOURS", "2"))
EVERY_SECONDS = float(os.environ.get("SOAK_EVERY_SECONDS", "10"))
SENDERS = 2
FOLDER = clips.ROOT / "data" / "soak"
SETTINGS = {
    "TRANSCODE__PRESETS__H264": "ultrafast",
    "VALIDATION__ON_FAILURE": "warn",
    # Old jobs go while the run lasts, as they do after days elsewhere: the database is to come to rest.
    "RETENTION__DAYS": "0.007",
    "RETENTION__SWEEP_EVERY_HOURS": "0.05",
}


def main() -> None:
    report.machine()
    with running(settings=SETTINGS) as system:
        samples, jobs = asyncio.run(soaked(system, HOURS * 3600))
    FOLDER.mkdir(parents=True, exist_ok=True)
    write(samples, FOLDER / "soak.csv")
    (FOLDER / "soak.svg").write_text(soak_plot.drawn(samples), encoding="utf-8")
    report.number("jobs", jobs)
    found = growths(samples)
    for growth in found:
        report.note(str(growth))
    if HOURS < 2:
        report.note(f"{HOURS * 60:.0f} minutes only: what grows slowly is not seen")
    if grown := [growth for growth in found if not growth.is_flat]:
        sys.exit(f"not flat: {', '.join(f'{growth.measure} of {growth.part}' for growth in grown)}")


async def soaked(system: System, seconds: float) -> tuple[list[Sample], int]:
    """What was seen, and how many jobs there were."""
    load = Load(system.url)
    working = [asyncio.create_task(load.send_on()) for _ in range(SENDERS)]
    samples: list[Sample] = []
    began = time.monotonic()
    try:
        while (at := time.monotonic() - began) < seconds:
            samples += [Sample(seconds=round(at, 1), **seen) for seen in await looked_at(system)]
            done, _ = await asyncio.wait(working, timeout=EVERY_SECONDS)
            for each in done:
                each.result()
    finally:
        for each in working:
            each.cancel()
        await asyncio.gather(*working, return_exceptions=True)
    return samples, load.jobs


class Load:
    """People who send a video, watch it on two connections, and play some of it."""

    def __init__(self, url: str) -> None:
        self.jobs = 0
        self._url = url
        self._videos = itertools.cycle([clips.small(), clips.small(), clips.cuts(), _not_a_video()])

    async def send_on(self) -> None:
        while True:
            async with StreamForgeClient(self._url) as client, httpx.AsyncClient(base_url=self._url) as http:
                job_id = await client.submit(next(self._videos))
                self.jobs += 1
                async for event in client.watch(job_id):
                    if event.progress is not None and event.progress > 50:
                        break
                async for _ in client.watch(job_id):
                    pass
                job = await client.job(job_id)
                if job.playback is not None:
                    (await http.get(job.playback.hls)).raise_for_status()
                (await http.get("/jobs")).raise_for_status()


def _not_a_video() -> Path:
    path = clips.small().with_name("not-a-video.mp4")
    path.write_bytes(b"no video at all\n" * 1000)
    return path


async def looked_at(system: System) -> list[dict[str, object]]:
    disk = {
        "PostgreSQL": await _database_bytes(system.parts.dsn),
        "Temporal": _folder_bytes(system.data_dir / "temporal"),
    }
    return [
        {"part": record.name, "disk_bytes": disk.get(record.name, 0), **_totals(_tree(record.pid))}
        for record in system.parts.processes
    ]


async def _database_bytes(dsn: str) -> int:
    connection = await asyncpg.connect(dsn)
    try:
        return int(await connection.fetchval("SELECT pg_database_size(current_database())"))
    finally:
        await connection.close()


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def _tree(pid: int) -> list[psutil.Process]:
    process = psutil.Process(pid)
    return [process, *process.children(recursive=True)]


def _totals(processes: Iterable[psutil.Process]) -> dict[str, int]:
    """PSS: pages that several processes share, as PostgreSQL's buffers, count once."""
    memory = descriptors = threads = 0
    for process in processes:
        try:
            seen = process.memory_full_info().pss, process.num_fds(), process.num_threads()
        except psutil.Error:  # It has ended meanwhile.
            continue
        memory, descriptors, threads = memory + seen[0], descriptors + seen[1], threads + seen[2]
    return {"memory_bytes": memory, "descriptors": descriptors, "threads": threads}


def write(samples: Sequence[Sample], path: Path) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, [field.name for field in fields(Sample)])
        writer.writeheader()
        writer.writerows(asdict(sample) for sample in samples)
