"""Text beside the picture: subtitles that the source has, and captions from what is said in it."""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from temporalio import activity

from activities.registration import performs
from activities.support import source_clocks, work_records
from activities.support.heartbeats import FIRST_ATTEMPT, Checkpoint, heartbeats
from activities.support.originals import Originals
from activities.support.puts import put_file
from activities.support.scratch import Scratch
from activities.support.waiting_puts import retry_while_store_is_away
from streamforge.contracts import tasks
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import Stage
from streamforge.contracts.media.encoded import Text
from streamforge.contracts.pipeline import KeepSubtitlesInput, TranscribeInput
from streamforge.contracts.steps import KEEP_SUBTITLES, TRANSCRIBE
from streamforge.contracts.tasks import Listened, SubtitlesTask, TranscribeTask
from streamforge.errors import CaptionsUnavailable, Superseded
from streamforge.events.log import EventLog
from streamforge.events.reporter import LAST_PROGRESS_TIMEOUT_SECONDS, Reporter
from streamforge.media.worker.children import MediaChildren
from streamforge.media.worker.speech import with_model_here
from streamforge.packaging.presentation import TEXT_FILE
from streamforge.storage import AlreadyThere, Storage, layout

MOST_BEGINNINGS = 3
"""A transcription that takes its worker down with it each time is given up."""

EVENT = "captions"
STEPS = 20
"""Events for each phase, at most: they are told one by one, beside the progress of the stages."""

PHASES = {"extracting_audio": "Extracting the sound for captions", "transcribing": "Transcribing what is said"}


@dataclass(eq=False, repr=False)
class CaptionsActivities:
    storage: Storage
    events: EventLog
    children: MediaChildren
    originals: Originals
    scratch: Scratch

    @performs(KEEP_SUBTITLES)
    async def keep_subtitles(self, work: KeepSubtitlesInput) -> Text:
        """Every text track of the source as WebVTT."""
        job_id = work.job_id
        record = work_records.record_name(
            job_id, "subtitles", source=work.original.sha256, renditions=[r.model_dump() for r in work.renditions]
        )
        async with heartbeats():
            if (done := await work_records.find(self.storage, record, Text)) is not None:
                return done
            with self.scratch.folder_for("subtitles") as folder:
                async with self.originals.file(work.original.source_object) as path:
                    source = await source_clocks.read(self.storage, work.source)
                    task = SubtitlesTask(path=path, source=source, renditions=work.renditions, target=folder)
                    text = await self.children.run(tasks.SUBTITLES, task)
                await self._publish(job_id, folder, text)
            await work_records.write(self.storage, record, text)
            return text

    @performs(TRANSCRIBE)
    async def captions(self, work: TranscribeInput) -> Text:
        """What is said in the source, as captions. Raises CaptionsUnavailable."""
        job_id = work.job_id
        record = work_records.record_name(
            job_id, "transcript", source=work.original.sha256, transcription=work.transcription
        )
        async with heartbeats() as checkpoint, Reporter(self.events, job_id) as reporter:
            if (done := await work_records.find(self.storage, record, Text)) is not None:
                return done
            with _noted_beginning(checkpoint), self.scratch.folder_for("captions") as folder:
                async with self.originals.file(work.original.source_object) as path, _reporting(reporter) as progress:
                    source = await source_clocks.read(self.storage, work.source)
                    transcription = await with_model_here(work.transcription)
                    task = TranscribeTask(path=path, source=source, transcription=transcription, target=folder)
                    text = await self.children.run(tasks.TRANSCRIBE, task, progress.put_nowait)
                # No two transcriptions need be the same: one that comes late must not write over what a newer one told of.
                if (done := await work_records.find(self.storage, record, Text)) is not None:
                    return done
                is_first = activity.info().attempt == FIRST_ATTEMPT
                try:
                    await retry_while_store_is_away(reporter, self._publish, job_id, folder, text, replace=not is_first)
                    await retry_while_store_is_away(
                        reporter, work_records.write, self.storage, record, text, replace=not is_first
                    )
                except AlreadyThere as error:
                    raise Superseded("Another attempt has written these captions.", debug=str(error)) from error
            return text

    async def _publish(self, job_id: UUID, folder: Path, text: Text, *, replace: bool = True) -> None:
        for track in text.tracks:
            name = f"{track.name}/{TEXT_FILE}"
            await put_file(self.storage, layout.output(job_id, name), folder / name, replace=replace)


@contextmanager
def _noted_beginning(checkpoint: Checkpoint) -> Iterator[None]:
    """Counted are those that end without a word, with their whole worker: whatever raises has said why."""
    begun = int((checkpoint.previous or {}).get("begun", 0))
    if begun >= MOST_BEGINNINGS:
        raise CaptionsUnavailable(f"The transcription ended without a word {begun} times and was given up.")
    checkpoint.set({"begun": begun + 1})
    checkpoint.beat()
    try:
        yield
    finally:
        checkpoint.set({"begun": begun})
        checkpoint.beat()


@asynccontextmanager
async def _reporting(reporter: Reporter) -> AsyncIterator["asyncio.Queue[Listened | None]"]:
    """What is put into the queue becomes events of the job. They leave its progress as it is."""
    progress: asyncio.Queue[Listened | None] = asyncio.Queue()
    telling = asyncio.create_task(_tell(progress, reporter))
    try:
        yield progress
        progress.put_nowait(None)
        await asyncio.wait([telling], timeout=LAST_PROGRESS_TIMEOUT_SECONDS)
    finally:
        telling.cancel()


async def _tell(progress: "asyncio.Queue[Listened | None]", reporter: Reporter) -> None:
    """The first of each step, until None comes."""
    told: tuple[str, int] | None = None
    while (listened := await progress.get()) is not None:
        step = (listened.phase, int(listened.progress * STEPS))
        if step != told:
            told = step
            message = f"{PHASES[step[0]]}: {100 * step[1] // STEPS} %"
            details = listened.model_dump(exclude_unset=True)
            await reporter.state(JobChange(event=EVENT, stage=Stage.TRANSCODING, message=message, details=details))
