"""POST → completed of a 4-s 176×144 clip: the price of everything around the encoding."""

import asyncio
import itertools
from datetime import datetime
from statistics import median

import httpx

from bench import clips, report
from bench.system import Watched, process, running
from streamforge.contracts.job import Stage

RUNS = 20
BAR_SECONDS = 2.0


def main() -> None:
    report.machine()
    clip = clips.small()
    with running() as system:
        asyncio.run(process(system.url, clip))
        runs = [asyncio.run(process(system.url, clip)) for _ in range(RUNS)]
        assert all(run.job.status == "completed" for run in runs), runs[0].job.error_message
        report.spread("POST → done", [run.seconds for run in runs], bar=BAR_SECONDS)
        report.spread("of that, POST → 202", [run.upload_seconds for run in runs])
        stages = [_stage_seconds(system.url, run) for run in runs]
    for stage in stages[0]:
        report.number(f"{stage}, median", median(each[stage] for each in stages), "s")


def _stage_seconds(url: str, run: Watched) -> dict[str, float]:
    """From each stage's first event to the next one's. `uploading` begins when the row is written, so the POST itself
    is not in it; `completed` has nothing left to do."""
    events = httpx.get(f"{url}/jobs/{run.job.id}/events", params={"limit": 1000}).raise_for_status().json()["events"]
    begins: dict[str, datetime] = {}
    for event in events:
        begins.setdefault(event["data"]["stage"], datetime.fromisoformat(event["created_at"]))
    stages = [stage for stage in Stage if stage in begins]
    return {
        stage: (begins[following] - begins[stage]).total_seconds() for stage, following in itertools.pairwise(stages)
    }
