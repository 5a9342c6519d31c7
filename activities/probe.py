"""Find out what the source is, and plan everything that follows from it."""

from temporalio import activity

from activities.heartbeats import heartbeats
from activities.originals import Originals
from streamforge.contracts import names
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import RenditionView, Stage
from streamforge.contracts.media import Plan, Source
from streamforge.contracts.pipeline import ProbedSource, ProbeInput
from streamforge.events.log import EventLog
from streamforge.events.reporter import Reporter
from streamforge.media.child import MediaChildren
from streamforge.media.probe import ProbeTask
from streamforge.planning.plan import make_plan
from streamforge.planning.stages import progress_at
from streamforge.settings import Settings


class ProbeActivities:
    def __init__(self, log: EventLog, children: MediaChildren, originals: Originals, settings: Settings) -> None:
        self._log = log
        self._children = children
        self._originals = originals
        self._settings = settings

    @activity.defn(name=names.PROBE)
    async def probe(self, work: ProbeInput) -> ProbedSource:
        """Raises the errors of streamforge.media.probe: what is wrong with the file is found here, in seconds."""
        limits = self._settings.input
        async with heartbeats(), Reporter(self._log, work.original.job_id) as reporter:
            async with self._originals.file(work.original.source_object) as path:
                task = ProbeTask(
                    path=path,
                    max_width=limits.max_width,
                    max_height=limits.max_height,
                    max_duration=limits.max_duration_seconds,
                )
                source = await self._children.run("probe", task, Source)
            plan = make_plan(source, self._settings)
            await reporter.state(_planned(source, plan))
            return ProbedSource(source=source, plan=plan)


def _planned(source: Source, plan: Plan) -> JobChange:
    ladder = ", ".join(rendition.name for rendition in plan.renditions)
    return JobChange(
        stage=Stage.TRANSCODING,
        progress=progress_at(Stage.TRANSCODING, 0),
        message=f"Transcoding {source.video.width}×{source.video.height} to {ladder}",
        source=source.model_dump(mode="json"),
        renditions=[RenditionView(name=r.name, width=r.width, height=r.height, codec=r.codec) for r in plan.renditions],
    )
