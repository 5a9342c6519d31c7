"""Per-title encoding: find the CRF of each rendition before the film is encoded."""

from dataclasses import dataclass

from activities.registration import performs
from activities.support import source_clocks, work_records
from activities.support.heartbeats import Checkpoint, heartbeats
from activities.support.memory import MemoryBudget
from activities.support.originals import Originals
from activities.support.scratch import Scratch
from streamforge.contracts import tasks
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import RenditionView, Stage
from streamforge.contracts.media.per_title import Probed, SearchedPlan
from streamforge.contracts.media.plan import PerTitleTarget
from streamforge.contracts.pipeline import SearchInput
from streamforge.contracts.steps import SEARCH
from streamforge.contracts.tasks import SearchRound, SearchTask
from streamforge.events.log import EventLog
from streamforge.events.reporter import Reporter
from streamforge.media.worker.children import MediaChildren
from streamforge.planning.per_title.search import searched_plan
from streamforge.progress.bands import progress_at
from streamforge.storage import Storage, layout


@dataclass(eq=False, repr=False)
class SearchActivities:
    storage: Storage
    events: EventLog
    children: MediaChildren
    originals: Originals
    scratch: Scratch
    room: MemoryBudget

    @performs(SEARCH)
    async def search_per_title(self, work: SearchInput) -> SearchedPlan:
        """What is known about these bytes and options, from this job or from another one, is not searched again."""
        target = work.plan.per_title
        async with heartbeats() as checkpoint, Reporter(self.events, work.job_id) as reporter:
            name = _record_name(work, target)
            if (probed := await work_records.find(self.storage, name, Probed)) is None:
                probed = await self._probe(work, target, checkpoint, reporter)
                await work_records.write(self.storage, name, probed)
            searched = searched_plan(work.plan, target, probed)
            await reporter.state(_result_change(work, searched))
            return searched

    async def _probe(
        self, work: SearchInput, target: PerTitleTarget, checkpoint: Checkpoint, reporter: Reporter
    ) -> Probed:
        def on_progress(told: SearchRound) -> None:
            checkpoint.set(told.model_dump())
            reporter.report(_change(told.round))

        with self.scratch.folder_for("search") as folder:
            async with self.originals.file(work.original.source_object) as path:
                source = await source_clocks.read(self.storage, work.source)
                task = SearchTask(path=path, source=source, plan=work.plan, per_title=target, target=folder)
                async with self.room.hold(work.source, work.plan.renditions):
                    return await self.children.run(tasks.SEARCH, task, on_progress)


def _record_name(work: SearchInput, target: PerTitleTarget) -> str:
    """Named after all that the probes depend on. Names of renditions are among it; the job is not."""
    inputs = {"source": work.original.sha256, "renditions": work.plan.renditions, "target": target}
    return layout.search(work.original.sha256, work_records.digest(**inputs, gop_seconds=work.plan.gop_seconds))


def _change(probe: int) -> JobChange:
    return JobChange(
        stage=Stage.TRANSCODING,
        progress=progress_at(Stage.TRANSCODING, 0),
        message=f"Looking for the CRF of each rendition, probe {probe}",
    )


def _result_change(work: SearchInput, searched: SearchedPlan) -> JobChange:
    ladder = ", ".join(f"{rendition.name} at CRF {rendition.options['crf']}" for rendition in searched.renditions)
    return JobChange(
        stage=Stage.TRANSCODING,
        progress=progress_at(Stage.TRANSCODING, 0),
        message=f"Per title: {ladder}",
        details={"per_title": searched.per_title.model_dump(mode="json")},
        renditions=[
            RenditionView(name=r.name, width=r.width, height=r.height, codec=r.codec, frames=work.total_frames)
            for r in searched.renditions
        ],
    )
