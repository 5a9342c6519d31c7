"""`kill -9` at random moments of a job: does it complete, what is done twice, and is the result the same to the bit?"""

import asyncio
import contextlib
import hashlib
import json
import random
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID

import psutil
from temporalio.client import WorkflowHistory

from activities.support import work_records
from bench import clips, report
from bench.system import System, start
from streamforge.client import StreamForgeClient
from streamforge.contracts import steps
from streamforge.contracts.job_view import JobView
from streamforge.embedded.ports import free_port
from streamforge.settings import TemporalSettings
from streamforge.temporal.connect import connect

KILLS = 20
SEED = 2026
SETTINGS = {"VALIDATION__ON_FAILURE": "warn"}
PATIENCE_SECONDS = 180


@dataclass
class Victim:
    """The system that is killed, always on the same folder and ports: who watches finds it again."""

    data_dir: Path
    ports: Sequence[str]
    system: System
    job_over: threading.Event = field(default_factory=threading.Event)

    @classmethod
    def started(cls, data_dir: Path) -> "Victim":
        ports = [f"--{name}port={free_port('127.0.0.1')}" for name in ("", "temporal-", "ui-")]
        return cls(data_dir, ports, start(data_dir, SETTINGS, ports))

    def kill_worker(self) -> None:
        psutil.Process(self.system.pid_of("worker")).kill()

    def kill_media_child(self) -> None:
        """One that works at the moment, or the next one that does, if any does before the job is over."""
        while not self.job_over.is_set():
            with contextlib.suppress(psutil.NoSuchProcess):
                zygotes = psutil.Process(self.system.pid_of("worker")).children()
                if working := [child for zygote in zygotes for child in zygote.children()]:
                    working[0].kill()
                    return
            time.sleep(0.005)

    def kill_everything(self) -> None:
        self.system.kill_everything()
        self.system = start(self.data_dir, SETTINGS, self.ports)

    def output(self, job_id: UUID) -> Path:
        return self.data_dir / "storage" / "output" / str(job_id)

    def receipts(self, job_id: UUID) -> list[str]:
        folder = self.data_dir / "storage" / "work" / str(job_id)
        return [path.name for path in folder.iterdir()] if folder.is_dir() else []


@dataclass
class Run:
    """`receipts`: of the work that was done when the kill came."""

    job: JobView | None = None
    seconds: float = 0
    progress: list[int] = field(default_factory=list)
    receipts: list[str] = field(default_factory=list)
    digests: dict[str, str] = field(default_factory=dict)
    begun_again: list[str] = field(default_factory=list)

    @property
    def completed(self) -> bool:
        return self.job is not None and self.job.status == "completed"


def main(kills: Sequence[int] = range(KILLS)) -> None:
    """`kills`: which of them; each has a moment of its own, whatever the others are."""
    report.machine()
    video = clips.cuts()
    with tempfile.TemporaryDirectory(prefix="streamforge-bench-") as scratch:
        victim = Victim.started(Path(scratch) / "data")
        try:
            quiet = asyncio.run(_run(victim, video))
            assert quiet.completed, quiet.job
            report.number("undisturbed, 202 → done", quiet.seconds, "s")
            runs = [_killed(victim, video, quiet, number) for number in kills]
        finally:
            victim.system.stop()
    _report(runs, quiet)


def _killed(victim: Victim, video: Path, quiet: Run, number: int) -> Run:
    chance = random.Random(SEED + number)  # The same moments in every run of this bench.
    moment = chance.uniform(0, quiet.seconds)
    ways = {"worker": victim.kill_worker, "media child": victim.kill_media_child, "everything": victim.kill_everything}
    name = list(ways)[number % len(ways)]
    run = asyncio.run(_run(victim, video, moment, ways[name]))
    same = "the same bits" if run.digests == quiet.digests else "OTHER BITS"
    ended = f"{run.job.status} after {run.seconds:.1f} s, {same}" if run.job else "NOT OVER"
    again = ", ".join(run.begun_again) or "nothing"
    report.note(f"kill {number + 1}: {name} at {moment:.1f} s: {ended}; done again: {again}")
    return run


async def _run(victim: Victim, video: Path, moment: float = 0, kill: Callable[[], None] | None = None) -> Run:
    run = Run()
    victim.job_over.clear()
    async with StreamForgeClient(victim.system.url, give_up_seconds=PATIENCE_SECONDS) as client:
        job_id = await client.submit(video)
        began = time.monotonic()

        async def strike() -> None:
            await asyncio.sleep(moment)
            run.receipts = victim.receipts(job_id)
            if kill is not None:
                await asyncio.to_thread(kill)

        striking = asyncio.create_task(strike())
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(PATIENCE_SECONDS):
                async for event in client.watch(job_id):
                    # Not of `status`: with it a new connection says how things are, before it tells what was missed.
                    if event.event == "progress" and event.progress is not None:
                        run.progress.append(event.progress)
                run.seconds = time.monotonic() - began
                run.job = await client.job(job_id)
        victim.job_over.set()
        await striking
    if run.completed:
        run.digests = _digests(victim.output(job_id))
        run.begun_again = await _begun_again(victim, run)
    return run


def _digests(folder: Path) -> dict[str, str]:
    """Of every file: segments, and manifests, too, in which a finished stream has no time of day."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


async def _begun_again(victim: Victim, run: Run) -> list[str]:
    """Parts of chunks that were begun more than once, but for those whose receipt lay there when the kill came."""
    assert run.job is not None
    client = await connect(TemporalSettings(address=victim.system.parts.temporal_address))
    history = await client.get_workflow_handle(str(run.job.workflow_id)).fetch_history()
    again = [title for title, attempts in _attempts(history) if attempts > 1]
    return [title for title in again if not any(receipt.startswith(title) for receipt in run.receipts)]


def _attempts(history: WorkflowHistory) -> list[tuple[str, int]]:
    """(beginning of its receipt's name, how often it was begun) of every part of a chunk."""
    scheduled = {e.event_id: e.activity_task_scheduled_event_attributes for e in history.events}
    started = [e.activity_task_started_event_attributes for e in history.events]
    attempts = [(scheduled[each.scheduled_event_id], each.attempt) for each in started if each.scheduled_event_id]
    return [
        (_title(json.loads(task.input.payloads[0].data)), attempt)
        for task, attempt in attempts
        if task.activity_type.name == steps.ENCODE_CHUNK.name
    ]


def _title(work: dict) -> str:
    return f"{work_records.CHUNK}{work['chunk']['index']:05}-{work['plan']['renditions'][0]['name']}"


def _report(runs: list[Run], quiet: Run) -> None:
    again = [len(run.begun_again) for run in runs if run.completed]
    report.at_least(f"completed of {len(runs)}", sum(run.completed for run in runs), bar=len(runs))
    report.number("parts of chunks done again by one kill, most", max(again, default=0), bar=1)
    report.number("… on average", sum(again) / max(1, len(again)))
    same = sum(run.digests == quiet.digests for run in runs)
    report.at_least(f"the same {len(quiet.digests)} files to the bit, runs", same, bar=len(runs))
    report.number("runs whose progress went down", sum(run.progress != sorted(run.progress) for run in runs), bar=0)
    report.spread("202 → done of a killed job", [run.seconds for run in runs if run.completed])
