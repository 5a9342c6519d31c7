"""Runs a source through the text tasks as the activities do, and reads what was written."""

from pathlib import Path
from typing import Any

from test_probe import probe

from streamforge.contracts import tasks
from streamforge.contracts.media.encoded import Text
from streamforge.contracts.media.plan import Plan
from streamforge.contracts.tasks import Listened, SubtitlesTask, TranscribeTask
from streamforge.media.worker.children import MediaChildren
from streamforge.media.worker.speech import with_model_here
from streamforge.planning.plan import make_plan
from streamforge.planning.text.webvtt import Cue, read_webvtt
from streamforge.settings import CaptionsSettings, Settings


async def keep_subtitles(children: MediaChildren, clip: Path, folder: Path) -> tuple[Plan, Text]:
    source = await probe(children, clip)
    plan = make_plan(source, Settings())
    task = SubtitlesTask(path=clip, source=source, renditions=plan.subtitles, target=folder)
    return plan, await children.run(tasks.SUBTITLES, task)


async def transcribe(
    children: MediaChildren, clip: Path, folder: Path, captions: CaptionsSettings
) -> tuple[Text, list[dict[str, Any]]]:
    """What came out, and what was told on the way."""
    source = await probe(children, clip)
    wanted = make_plan(source, Settings(captions=captions)).transcription
    assert wanted is not None
    told: list[dict[str, Any]] = []
    task = TranscribeTask(path=clip, source=source, transcription=await with_model_here(wanted), target=folder)

    def tell(listened: Listened) -> None:
        told.append(listened.model_dump(exclude_unset=True))

    return await children.run(tasks.TRANSCRIBE, task, tell), told


def cues_of(folder: Path, name: str) -> list[Cue]:
    return read_webvtt((folder / name / "text.vtt").read_text(encoding="utf-8"))
