"""Measure the quality of one chunk of every rendition, all in one run of VMAF."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

from temporalio import activity

from activities import receipts
from activities.heartbeats import heartbeats
from activities.originals import Originals
from activities.scratch import Scratch
from streamforge.contracts import names
from streamforge.contracts.events import JobChange, PartProgress
from streamforge.contracts.job import Stage
from streamforge.contracts.media import EncodedTrack, EncodedTracks, RenditionScore
from streamforge.contracts.pipeline import ChunkScores, ValidateChunkInput
from streamforge.errors import StorageCorrupted
from streamforge.events.log import EventLog
from streamforge.events.reporter import Reporter
from streamforge.media.child import MediaChildren
from streamforge.media.vmaf import VmafResult, VmafTask
from streamforge.planning.manifests import INIT_SEGMENT
from streamforge.planning.stages import BANDS
from streamforge.storage import Storage, layout


class ValidateActivities:
    def __init__(
        self, storage: Storage, log: EventLog, children: MediaChildren, originals: Originals, scratch: Scratch
    ) -> None:
        self._storage = storage
        self._log = log
        self._children = children
        self._originals = originals
        self._scratch = scratch

    @activity.defn(name=names.VALIDATE_CHUNK)
    async def validate_chunk(self, work: ValidateChunkInput) -> ChunkScores:
        receipt = receipts.receipt_name(
            work.original.job_id,
            f"vmaf-{work.chunk.index:05}",
            encoded=[part.receipt for part in work.encoded],
            quality=work.plan.quality,
        )
        async with heartbeats() as checkpoint, Reporter(self._log, work.original.job_id) as reporter:
            if (done := await receipts.find(self._storage, receipt, ChunkScores)) is None:

                def on_progress(progress: dict[str, Any]) -> None:
                    checkpoint.set(progress)
                    reporter.report(*_progress(work, progress["frames"]))

                done = ChunkScores(index=work.chunk.index, scores=await self._score(work, on_progress))
                await receipts.write(self._storage, receipt, done)
            reporter.report(*_progress(work, work.chunk.expected_frames))
            return done

    async def _score(
        self, work: ValidateChunkInput, on_progress: Callable[[dict[str, Any]], None]
    ) -> list[RenditionScore]:
        """Nothing for a chunk without pictures of its own: a still picture that lasts longer than it."""
        parts = [await receipts.read(self._storage, part.receipt, EncodedTracks) for part in work.encoded]
        tracks = [track for part in parts for track in part.tracks if track.segments]
        if not tracks:
            return []
        with self._scratch.folder_for("vmaf") as folder:
            renditions = {track.name: await self._assemble(work, track, folder) for track in tracks}
            async with self._originals.file(work.original.source_object) as path:
                task = VmafTask(
                    path=path,
                    source=work.source,
                    plan=work.plan,
                    chunk=work.chunk,
                    renditions=renditions,
                    scratch=folder,
                )
                return (await self._children.run("vmaf", task, VmafResult, on_progress)).scores

    async def _assemble(self, work: ValidateChunkInput, track: EncodedTrack, folder: Path) -> Path:
        """The chunk as it lies in the store, not as the encoder remembers it: what is scored is what is served."""
        target = folder / f"{track.name}.mp4"
        with target.open("wb") as file:
            for part in [INIT_SEGMENT, *(segment.file_name for segment in track.segments)]:
                data = await self._storage.get_bytes(layout.output(work.original.job_id, f"{track.name}/{part}"))
                if data is None:
                    raise StorageCorrupted("A segment has vanished from the media store.", debug=f"{track.name}/{part}")
                file.write(data)
        return target


def _progress(work: ValidateChunkInput, frames: int) -> tuple[JobChange, PartProgress]:
    low, high = BANDS[Stage.VALIDATION]
    change = JobChange(stage=Stage.VALIDATION, message=f"Measuring VMAF of {len(work.plan.renditions)} renditions")
    return change, PartProgress(
        part=f"vmaf-{work.chunk.index}",
        done=min(frames, work.chunk.expected_frames),
        whole=work.total_frames,
        low=low,
        high=high,
    )
