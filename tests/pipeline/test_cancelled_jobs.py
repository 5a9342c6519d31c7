"""Many cancels at random moments: what was answered 202 ends cancelled and leaves nothing, what was answered 409 had ended."""

import asyncio
import random
from dataclasses import dataclass

from clips import Clips
from system import System
from temporalio.service import RPCError, RPCStatusCode

JOBS = 8
SIDE_BY_SIDE = 5


@dataclass
class Cancelled:
    """A job, how long after its acceptance it was cancelled, in seconds, and what was answered."""

    id: str
    after: float
    answer: int
    job: dict[str, object]


async def test_cancels_at_random_moments(system: System, clips: Clips) -> None:
    video = clips.small.read_bytes()
    began = asyncio.get_running_loop().time()
    await system.process(clips.small)
    longest = (asyncio.get_running_loop().time() - began) * SIDE_BY_SIDE / 2
    seed = random.randrange(2**32)
    moments = random.Random(seed)
    turns = asyncio.Semaphore(SIDE_BY_SIDE)

    async def cancel_one() -> Cancelled:
        nonlocal longest
        async with turns:
            after = moments.uniform(0, longest)
            job_id = await system.api.post_ok_with(video)
            await asyncio.sleep(after)
            answer = await system.api.http.delete(f"/jobs/{job_id}")
            if answer.status_code == 409:  # Too late: the machine is less busy than it was.
                longest *= 0.8
            frames = await system.api.whole_stream(job_id)
            assert frames[-1].event == "done"
            return Cancelled(job_id, after, answer.status_code, await system.api.job(job_id))

    cancelled = await asyncio.gather(*(cancel_one() for _ in range(JOBS)))
    wrong = [
        (one.after, one.answer, one.job["status"])
        for one in cancelled
        if (one.answer, one.job["status"]) not in {(202, "cancelled"), (409, "completed")}
    ]
    assert wrong == [], f"seed {seed}"
    promised = {one.id for one in cancelled if one.answer == 202}
    assert len(promised) > JOBS / 5, f"seed {seed}: cancels came too late to try anything"
    for job_id in promised:
        await over(system, job_id)
    left = {name.split("/")[1] for name in system.api.stored} & promised
    assert left == set(), f"seed {seed}"


async def over(system: System, job_id: str) -> None:
    """Until the workflow is, too: it cleans up after its last word. What was cancelled first of all never had one."""
    handle = await system.workflow(job_id)
    async with asyncio.timeout(20):
        try:
            while (await handle.describe()).close_time is None:
                await asyncio.sleep(0.02)
        except RPCError as error:
            if error.status is not RPCStatusCode.NOT_FOUND:
                raise
