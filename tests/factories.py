"""Small makers of test data, shared by the test folders."""

from uuid import UUID, uuid4

import asyncpg

from streamforge.contracts.events import JobChange
from streamforge.contracts.ids import workflow_id
from streamforge.contracts.job import JobError, JobStatus, Stage
from streamforge.contracts.job_options import JobOptions
from streamforge.contracts.media.encoded import TextTrack
from streamforge.contracts.media.scores import Passage, QualityScore
from streamforge.db.jobs import EVERYONE, Jobs, NewJob
from streamforge.storage import layout

NOBODY = UUID("00000000-0000-4000-8000-000000000000")
"""An id that no job and no batch has. The same in every process, as the names of tests must be."""


async def run_sql(dsn: str, sql: str, *args: object) -> list[asyncpg.Record]:
    """For what no production code does, such as turning back a clock."""
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetch(sql, *args)
    finally:
        await connection.close()


def new_job(**fields: object) -> NewJob:
    """Of fields, and of options by their names."""
    job_id = uuid4()
    options = {name: fields.pop(name) for name in JobOptions.model_fields if name in fields}
    key = str(fields.pop("key", "clip.mp4"))
    return NewJob.model_validate(
        {
            "id": job_id,
            "key": key,
            "workflow_id": workflow_id(key, job_id),
            "source_object": layout.original(job_id),
            "size_bytes": 1000,
            "source_sha256": "0" * 64,
            "options": options,
            **fields,
        }
    )


async def accepted(jobs: Jobs, **fields: object) -> UUID:
    """A job as `POST /process` leaves it: pending, one event."""
    job = new_job(**fields)
    await jobs.of(EVERYONE).create(job, progress=5, message="File received")
    return job.id


def progress(percent: int, message: str = "Working", stage: Stage = Stage.TRANSCODING) -> JobChange:
    return JobChange(stage=stage, progress=percent, message=message)


PROCESSING = JobChange(stage=Stage.UPLOADING, progress=10, message="File saved", status=JobStatus.PROCESSING)
COMPLETED = JobChange(stage=Stage.COMPLETED, message="Completed", status=JobStatus.COMPLETED)
CANCELLED = JobChange(stage=Stage.CANCELLED, message="Cancelled", status=JobStatus.CANCELLED)
FAILED = JobChange(
    stage=Stage.TRANSCODING,
    message="The file is not a video.",
    status=JobStatus.FAILED,
    error=JobError(
        code="input.not_a_video",
        message="The file is not a video.",
        stage=Stage.TRANSCODING,
        fault="caller",
        retryable=False,
    ),
)


def text_track(name: str, **changes: object) -> TextTrack:
    return TextTrack.model_validate({"name": name, "label": "English", "cues": 2, "size_bytes": 100} | changes)


def vmaf(mean: float, frames: int = 100) -> QualityScore:
    """A film that is as good everywhere."""
    return QualityScore(
        mean=mean,
        margin=0.5,
        harmonic_mean=mean,
        percentile_1=mean,
        worst_5_seconds=Passage(mean=mean, start=2.04, end=7.04),
        frames=frames,
        frames_scored=10,
    )
