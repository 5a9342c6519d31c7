"""What workers outside of this service report of external jobs: in order, once, and into the log that all of them have."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Literal
from uuid import UUID

import structlog

from streamforge.background import Background, Work
from streamforge.contracts.events import JobChange, LoggedEvent
from streamforge.contracts.job import JobError, JobStatus, Stage
from streamforge.contracts.reports import Report
from streamforge.db.jobs import Jobs
from streamforge.db.pool import Database
from streamforge.errors import DatabaseUnavailable, ReporterSilent
from streamforge.events.log import STAGES_IN_ORDER, Entry, change_of, count, events_of
from streamforge.retry import repeatedly

LOOK_SECONDS = 30.0
"""How often silent jobs are looked for; and how long after an outage of ours reporters have to be heard again."""
PAGE = 100

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Outcome:
    """`event` is None of a job that takes no reports: it is over, or none that is worked on outside."""

    kind: Literal["recorded", "behind", "repeated", "over", "none"]
    event: LoggedEvent | None = None


class Reports(Background):
    """Several processes may look for silent jobs: each job ends once. All methods raise DatabaseUnavailable."""

    def __init__(self, database: Database, jobs: Jobs) -> None:
        self._database = database
        self._jobs = jobs

    def work(self) -> Work:
        return {"silent jobs": repeatedly(LOOK_SECONDS, self.end_silent)}

    async def record(self, job_id: UUID, report: Report) -> Outcome:
        """Whoever calls this has found the job to be one that the reporter may report on. To record a report again, after a
        connection that died, finds it."""
        change = report.change()
        written = change_of(Entry(job_id, change))
        if not report.names_our_stage:
            del written["stage"]
        row = await self._database.fetch_one(
            "record_report", job_id, report.token, report.timestamp, report.told(), written, STAGES_IN_ORDER
        )
        if row is None or row["outcome"] is None:
            return Outcome("none")
        if row["id"] is None:
            return Outcome("over")
        [event] = events_of([row])
        if row["outcome"] != "repeated":
            count(change, event)
        return Outcome(row["outcome"], event)

    async def end_silent(self) -> int:
        """How many jobs have ended of silence."""
        try:
            silent = await self._jobs.silent(PAGE)
            return sum([await self._end(job_id, silence) for job_id, silence in silent])
        except DatabaseUnavailable as error:
            log.warning("silent jobs wait for the database", reason=error.debug)
            return 0

    async def _end(self, job_id: UUID, silence: timedelta) -> bool:
        change = _silent(silence)
        rows = await self._database.fetch("end_silent_job", job_id, change_of(Entry(job_id, change)), STAGES_IN_ORDER)
        for event in events_of(rows):
            log.warning("nobody reports on a job any more", job_id=str(job_id))
            count(change, event)
        return bool(rows)


def _silent(silence: timedelta) -> JobChange:
    message = f"Nobody has reported on the job for {silence.total_seconds():g} seconds; look after its worker."
    error = JobError(
        code=ReporterSilent.code,
        message=message,
        stage=Stage.TRANSCODING,
        fault=ReporterSilent.fault,
        retryable=ReporterSilent.retryable,
    )
    return JobChange(stage=Stage.FAILED, message=message, status=JobStatus.FAILED, error=error)
