"""The last stage: every file that the manifests mention is in the store, complete. Then, and only then, it is a stream."""

from temporalio import activity

from activities.heartbeats import Checkpoint, heartbeats
from activities.stream import read_presentation
from streamforge.contracts import names
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import RenditionView, Stage
from streamforge.contracts.pipeline import ProcessVideoResult, StoreInput, ValidatedStream
from streamforge.errors import StorageCorrupted
from streamforge.events.log import EventLog
from streamforge.events.reporter import Reporter
from streamforge.planning.manifests import (
    Presentation,
    average_bitrate,
    media_files,
)
from streamforge.planning.per_title import with_final_vmaf
from streamforge.planning.quality import told
from streamforge.planning.stages import progress_at
from streamforge.storage import Storage, layout


class StoreActivities:
    def __init__(self, storage: Storage, log: EventLog) -> None:
        self._storage = storage
        self._log = log

    @activity.defn(name=names.STORE)
    async def store(self, work: StoreInput) -> ProcessVideoResult:
        """Raises StorageCorrupted, naming the first file that is missing or has another size."""
        async with heartbeats() as checkpoint, Reporter(self._log, work.original.job_id) as reporter:
            presentation = await read_presentation(self._storage, work.source, work.plan, work.encoded)
            files = media_files(presentation) | work.packaged.manifests | work.extras
            await self._verify(work, files, checkpoint, reporter)
            result = _result(work, presentation, files)
            done = progress_at(Stage.STORAGE, 1)
            await reporter.state(
                JobChange(
                    stage=Stage.STORAGE,
                    progress=done,
                    message=f"{len(files)} files verified",
                    renditions=result.renditions,
                    playback=result.playback,
                )
            )
            return result

    async def _verify(
        self, work: StoreInput, files: dict[str, int], checkpoint: Checkpoint, reporter: Reporter
    ) -> None:
        """A retry goes on behind the last file that the attempt before it had verified."""
        verified = int((checkpoint.previous or {}).get("verified", 0))
        for number, (name, size) in enumerate(files.items(), start=1):
            if number <= verified:
                continue
            found = await self._storage.stat(layout.output(work.original.job_id, name))
            if found is None or found.size_bytes != size:
                raise StorageCorrupted(
                    "A file of the stream is not complete in the media store.",
                    debug=f"{name}: {found.size_bytes if found else 'missing'}, expected {size}",
                )
            checkpoint.set({"verified": number})
            reporter.report(
                JobChange(
                    stage=Stage.STORAGE,
                    progress=progress_at(Stage.STORAGE, number / len(files)),
                    message="Verifying what is stored",
                )
            )


def _result(work: StoreInput, presentation: Presentation, files: dict[str, int]) -> ProcessVideoResult:
    validated = work.validated or ValidatedStream(scores=[], repairs=[], repair_count=0)
    scores = {score.name: told(score.vmaf) for score in validated.scores}
    return ProcessVideoResult(
        duration=work.source.duration,
        size_bytes=sum(files.values()),
        file_count=len(files),
        source_sha256=work.original.sha256,
        renditions=[
            RenditionView(
                name=track.rendition.name,
                width=track.rendition.width,
                height=track.rendition.height,
                codec=track.rendition.codec,
                bitrate=average_bitrate(track.encoded),
                progress=100,
                vmaf=scores.get(track.rendition.name),
            )
            for track in presentation.video
        ],
        playback=layout.playback(work.original.job_id, work.plan, presentation.text),
        text=presentation.text,
        repairs=validated.repairs,
        repair_count=validated.repair_count,
        per_title=with_final_vmaf(work.per_title, {name: vmaf.mean for name, vmaf in scores.items()}),
        warnings=work.warnings,
    )
