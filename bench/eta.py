"""How long a job still takes: how far off the estimate is, and how often its interval holds."""

import random
import time
from datetime import datetime
from pathlib import Path
from statistics import median

import httpx

from bench import clips, report
from bench.system import running

JOBS = 40
LEARNING = 8
"""Jobs that are only learnt from."""
ASK_EVERY_SECONDS = 0.2
PROMISED = 80.0
SEED = 20

Told = tuple[float, float, float, float]
"""When it was asked, and what it answered: seconds, and the two ends of the interval."""


def main() -> None:
    report.machine()
    chance = random.Random(SEED)
    videos = [clips.BUNNY, clips.BOTTLES]
    held: list[float] = []
    off: list[float] = []
    with running() as system, httpx.Client(base_url=system.url, timeout=60) as http:
        for number in range(JOBS):
            told, ended = _process(http, chance.choice(videos))
            if number >= LEARNING and told:
                held.append(sum(low <= ended - at <= high for at, _, low, high in told) / len(told))
                off += [abs(seconds - (ended - at)) / (ended - at) for at, seconds, _, _ in told if ended > at]
    report.note(f"{len(held)} jobs of two videos, after {LEARNING} to learn from; each asked while it ran")
    report.number("the 80 % interval held, mean over jobs", 100 * sum(held) / len(held), "%")
    report.number("… should be", PROMISED, "%")
    report.number("the estimate was off by, median of all answers", 100 * median(off), "%")


def _process(http: httpx.Client, video: Path) -> tuple[list[Told], float]:
    """What was told while it ran, and when it ended."""
    with video.open("rb") as file:
        job_id = http.post("/process", files={"video": (video.name, file)}).raise_for_status().json()["job_id"]
    told: list[Told] = []
    while True:
        now, job = time.time(), http.get(f"/jobs/{job_id}").json()
        if job["status"] not in {"pending", "processing"}:
            return told, datetime.fromisoformat(job["completed_at"]).timestamp()
        if job["eta_interval"] is not None:
            told.append((now, job["eta_seconds"], *job["eta_interval"]))
        time.sleep(ASK_EVERY_SECONDS)
