"""How good the renditions are: what was measured while their chunks were encoded, put together for the whole film."""

import asyncio
from dataclasses import dataclass

from temporalio import activity

from activities.registration import performs
from activities.support import work_records
from activities.support.heartbeats import Checkpoint, heartbeats
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import Stage
from streamforge.contracts.media.plan import EncodePlan
from streamforge.contracts.media.scores import PartQuality, Repair
from streamforge.contracts.pipeline import ValidatedStream, ValidateInput
from streamforge.contracts.steps import VALIDATE
from streamforge.events.log import EventLog
from streamforge.events.reporter import Reporter
from streamforge.observability import metrics
from streamforge.progress.bands import progress_at
from streamforge.quality.floors import rounded
from streamforge.quality.registry import METRIC
from streamforge.quality.scoring import ScoreBoard
from streamforge.storage import Storage

MOST_REPAIRS_TOLD = 100
"""A long film that is below its floors all over would otherwise have a result that no message can carry."""


@dataclass(eq=False, repr=False)
class ValidateActivities:
    storage: Storage
    events: EventLog

    @performs(VALIDATE)
    async def validate(self, work: ValidateInput) -> ValidatedStream:
        async with heartbeats() as checkpoint, Reporter(self.events, work.job_id) as reporter:
            board, repairs = await self._read(work, checkpoint, reporter)
            scores = {score.name: score for score in await asyncio.to_thread(board.scores)}
            validated = ValidatedStream(
                scores=[scores[r.name] for r in work.plan.renditions if r.name in scores],
                repairs=repairs[:MOST_REPAIRS_TOLD],
                repair_count=len(repairs),
                attempt=activity.info().attempt,
            )
            await reporter.state(_verdict(validated))
            _measure(work.plan, validated)
            return validated

    async def _read(
        self, work: ValidateInput, checkpoint: Checkpoint, reporter: Reporter
    ) -> tuple[ScoreBoard, list[Repair]]:
        board, repairs = ScoreBoard(), list[Repair]()
        for number, name in enumerate(work.qualities, start=1):
            part = await work_records.read(self.storage, name, PartQuality)
            board.add(part)
            repairs += part.repairs
            checkpoint.set({"parts": number})
            reporter.report(
                _change(
                    number / len(work.qualities),
                    f"Putting together the {METRIC.label} of {len(work.plan.renditions)} renditions",
                )
            )
        return board, repairs


def _measure(plan: EncodePlan, validated: ValidatedStream) -> None:
    codecs = {rendition.name: rendition.codec for rendition in plan.renditions}
    for score in validated.scores:
        metrics.VMAF.labels(codecs[score.name]).observe(score.vmaf.mean)
    metrics.REPAIRS.inc(validated.repair_count)


def _verdict(validated: ValidatedStream) -> JobChange:
    scores = {score.name: rounded(score.vmaf) for score in validated.scores}
    again = f"; {validated.repair_count} chunks encoded again" if validated.repair_count else ""
    means = ", ".join(f"{name} {vmaf.mean:.1f} ± {vmaf.margin:.1f}" for name, vmaf in scores.items())
    return JobChange(
        stage=Stage.VALIDATION,
        progress=progress_at(Stage.VALIDATION, 1),
        message=f"{METRIC.label} {means}{again}",
        details={"vmaf": {name: vmaf.model_dump(mode="json") for name, vmaf in scores.items()}},
    )


def _change(fraction: float, message: str) -> JobChange:
    return JobChange(stage=Stage.VALIDATION, progress=progress_at(Stage.VALIDATION, fraction), message=message)
