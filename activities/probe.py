"""Find out what the source is, and plan everything that follows from it."""

from contextlib import suppress
from dataclasses import dataclass
from uuid import UUID

from temporalio import activity

from activities.registration import performs
from activities.support import source_clocks
from activities.support.gpu_sessions import GpuSessions
from activities.support.heartbeats import heartbeats
from activities.support.originals import Originals
from streamforge.contracts import tasks
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import RenditionView, Stage
from streamforge.contracts.job_options import WorkOptions
from streamforge.contracts.media.plan import Plan
from streamforge.contracts.media.source import Source
from streamforge.contracts.pipeline import IdentifyVideo, PlanVideo, ProbedSource, ProbeInput
from streamforge.contracts.printable_plan import PrintablePlan
from streamforge.contracts.steps import IDENTIFY, PLAN, PROBE
from streamforge.contracts.tasks import CodecsTask, IdentifyTask
from streamforge.db.chunks import Chunks
from streamforge.db.jobs import Jobs
from streamforge.errors import DatabaseUnavailable, FilmBeyondQuota
from streamforge.events.log import EventLog
from streamforge.events.reporter import Reporter
from streamforge.keys import Keys
from streamforge.media.worker.capabilities import cores
from streamforge.media.worker.children import MediaChildren
from streamforge.media.worker.tasks import probe_task
from streamforge.planning.gpu import with_gpu
from streamforge.planning.plan import make_plan
from streamforge.planning.prediction import printable
from streamforge.planning.text.tracks import with_captions_option
from streamforge.progress.bands import progress_at
from streamforge.retry import until_available
from streamforge.settings import Settings
from streamforge.storage import Storage


@dataclass(eq=False, repr=False)
class ProbeActivities:
    storage: Storage
    events: EventLog
    jobs: Jobs
    children: MediaChildren
    originals: Originals
    settings: Settings
    keys: Keys
    gpu: GpuSessions
    chunks: Chunks

    @performs(PROBE)
    async def probe(self, work: ProbeInput) -> ProbedSource:
        """What is wrong with the file is found here, in seconds. Raises FilmBeyondQuota, and what the probe raises."""
        async with heartbeats(), Reporter(self.events, work.job_id) as reporter:
            source = await self._source(work.original.source_object, work)
            await until_available(lambda: self._admit(work.job_id, source.duration))
            plan = make_plan(source, self._settings_for(work), work.copy_failed)
            plan = with_gpu(plan, self.gpu.encoders)
            codecs = await self.children.run(tasks.CODECS, CodecsTask(source=source, plan=plan))
            plan = self._with_keys(plan.with_codec_strings(codecs.codec_strings), work.job_id)
            sent = await source_clocks.keep(self.storage, work.job_id, source.without_key_frames())
            probed = ProbedSource(source=sent, plan=plan, attempt=activity.info().attempt)
            await reporter.state(_planned(probed.source, probed.plan))
            with suppress(DatabaseUnavailable):  # For people who look; nothing depends on it.
                await self.chunks.plan(work.job_id, [(chunk.start, chunk.end) for chunk in plan.chunks])
            return probed

    @performs(PLAN)
    async def plan(self, work: PlanVideo) -> PrintablePlan:
        """The same for a dry run: no job, no events. Raises what `probe` raises."""
        async with heartbeats():
            source = await self._source(work.source_object, work)
            plan = make_plan(source, self._settings_for(work))
            return printable(source_clocks.without_long(source), plan, cores())

    async def _admit(self, job_id: UUID, seconds: float) -> None:
        """Raises FilmBeyondQuota, DatabaseUnavailable."""
        minutes = self.settings.limit("minutes_per_month")
        so_far = await self.jobs.admit_film(job_id, seconds, None if minutes is None else minutes * 60)
        if so_far is not None:
            raise FilmBeyondQuota(
                f"The film is {seconds / 60:.2f} minutes long, and {so_far / 60:.2f} of the {minutes} minutes that you may have "
                "processed in a month (UTC) are used up or being processed."
            )

    @performs(IDENTIFY)
    async def identify(self, work: IdentifyVideo) -> None:
        """Raises NotAVideo."""
        async with heartbeats(), self.originals.file(work.beginning) as path:
            await self.children.run(tasks.IDENTIFY, IdentifyTask(path=path))

    def _with_keys(self, plan: Plan, job_id: UUID) -> Plan:
        """Their ids, not themselves."""
        if plan.protection is None:
            return plan
        key_ids = {track_type: key.key_id for track_type, key in self.keys.of_job(job_id).items()}
        found = {"key_ids": key_ids, "key_url": self.keys.folder_url(job_id)}
        return plan.model_copy(update={"protection": plan.protection.model_copy(update=found)})

    def _settings_for(self, asked: WorkOptions) -> Settings:
        return with_captions_option(self.settings.for_profile(asked.profile), asked.captions)

    async def _source(self, source_object: str, asked: WorkOptions) -> Source:
        async with self.originals.file(source_object) as path:
            task = probe_task(path, self.settings.input, keep_damaged=asked.on_damage == "keep")
            return await self.children.run(tasks.PROBE, task)


def _planned(source: Source, plan: Plan) -> JobChange:
    what = f"{source.video.width}×{source.video.height}" if source.video else "sound"
    return JobChange(
        stage=Stage.TRANSCODING,
        progress=progress_at(Stage.TRANSCODING, 0),
        message=f"{'Copying' if plan.is_copy else 'Transcoding'} {what} to {', '.join(plan.names)}",
        source=source.model_dump(mode="json"),
        renditions=[
            RenditionView(name=r.name, width=r.width, height=r.height, codec=r.codec, frames=plan.total_frames)
            for r in plan.renditions
        ],
    )
