"""A part that was queued before its job was paused is not begun."""

from typing import Any, cast

import pytest
from factories import accepted

from activities.transcode import TranscodeActivities
from streamforge.db.chunks import Chunks
from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.db.pool import Database
from streamforge.errors import JobPaused


async def test_a_worker_asks_the_row_before_it_begins(jobs: Jobs, database: Database) -> None:
    nothing = cast(Any, None)
    activities = TranscodeActivities(
        nothing, nothing, nothing, nothing, nothing, nothing, nothing, nothing, jobs, Chunks(database)
    )
    job_id = await accepted(jobs)
    await activities._require_unpaused(job_id)
    assert await jobs.of(EVERYONE).set_paused(job_id, True)
    with pytest.raises(JobPaused):
        await activities._require_unpaused(job_id)
    assert await jobs.of(EVERYONE).set_paused(job_id, False)
    await activities._require_unpaused(job_id)
