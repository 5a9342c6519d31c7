"""Films to be downloaded: each rendition with its sound as one MP4 file, made of the segments of the stream."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

from activities.registration import performs
from activities.support import work_records
from activities.support.encoded_stream import read_presentation
from activities.support.heartbeats import Checkpoint, heartbeats
from activities.support.scratch import Scratch
from streamforge.contracts import tasks
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import Stage
from streamforge.contracts.media.encoded import EncodedTrack
from streamforge.contracts.pipeline import Download, Downloads, DownloadsInput
from streamforge.contracts.steps import DOWNLOADS
from streamforge.contracts.tasks import ProgressiveTask
from streamforge.events.log import EventLog
from streamforge.events.reporter import Reporter
from streamforge.media.worker.children import MediaChildren
from streamforge.packaging.downloads import download_name, downloaded_tracks
from streamforge.packaging.presentation import INIT_SEGMENT, seconds
from streamforge.progress.bands import progress_at
from streamforge.storage import Storage, layout


@dataclass(eq=False, repr=False)
class DownloadActivities:
    storage: Storage
    events: EventLog
    children: MediaChildren
    scratch: Scratch

    @performs(DOWNLOADS)
    async def make_downloads(self, work: DownloadsInput) -> Downloads:
        """One rendition after the other: each takes twice its size of this worker's disk for a while, and next to no
        memory. What has its record is not made again, and what is gives the same bytes under the same name."""
        async with heartbeats() as checkpoint, Reporter(self.events, work.job_id) as reporter:
            stream = await read_presentation(self.storage, work.source, work.plan, work.encoded)
            files = []
            for track in stream.video:
                name = track.rendition.name
                record = work_records.record_name(work.job_id, f"download-{name}", encoded=work.encoded)
                if (done := await work_records.find(self.storage, record, Download)) is None:
                    await reporter.state(_change(f"Putting {name} together for download"))
                    done = await self._make(work.job_id, name, downloaded_tracks(stream, name), checkpoint)
                    await work_records.write(self.storage, record, done)
                files.append(done)
            return Downloads(files=files)

    async def _make(
        self, job_id: UUID, rendition: str, tracks: Sequence[EncodedTrack], checkpoint: Checkpoint
    ) -> Download:
        with self.scratch.folder_for("download") as folder:
            task = ProgressiveTask(
                tracks=[await self._fetch(job_id, track, folder, checkpoint) for track in tracks],
                frames=[track.frames for track in tracks],
                seconds=max(seconds(track) for track in tracks),
                target=folder / "download.mp4",
            )
            await self.children.run(tasks.PROGRESSIVE, task, lambda told: checkpoint.set(told.model_dump()))
            size = task.target.stat().st_size
            await self.storage.put_file(layout.output(job_id, download_name(rendition)), task.target)
        return Download(rendition=rendition, name=download_name(rendition), size_bytes=size)

    async def _fetch(self, job_id: UUID, track: EncodedTrack, folder: Path, checkpoint: Checkpoint) -> Path:
        """All segments of a track one behind the other, piece by piece."""
        files = [(INIT_SEGMENT, track.init_size_bytes), *((each.file_name, each.size_bytes) for each in track.segments)]
        target = folder / f"{track.name}.mp4"
        with target.open("wb") as file:
            for number, (name, size) in enumerate(files, start=1):
                stored = layout.output(job_id, f"{track.name}/{name}")
                async for piece in self.storage.read(stored, 0, size):
                    await asyncio.to_thread(file.write, piece)
                checkpoint.set({"track": track.name, "fetched": number})
        return target


def _change(message: str) -> JobChange:
    return JobChange(stage=Stage.PACKAGING, progress=progress_at(Stage.PACKAGING, 1), message=message)
