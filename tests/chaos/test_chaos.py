"""Everything that can fail does, while jobs run: in the end it is as if nothing had happened.

Worker, API, PostgreSQL and Temporal are killed with SIGKILL, the disk is full, the store answers 500 or not at all, a worker's
clock jumps, viewers come and go. `make test` does each once to a few jobs; `make chaos` goes on for MINUTES, with 30 jobs, in
another order for each CHAOS_SEED.
"""

import asyncio
import itertools
import os
import random
import time
from pathlib import Path

import pytest
from aftermath import (
    Outcome,
    contradictions,
    left_in_scratch,
    misheard,
    orphans_in_store,
    outcomes,
    until_all_are_over,
    workflows_still_running,
)
from clips import Clips
from endangered import Installation, installed, processes_left
from faults import Faults
from visitors import Crowd

MINUTES = float(os.environ.get("CHAOS_MINUTES", "0"))
SEED = int(os.environ.get("CHAOS_SEED", "2026"))
JOBS = 30 if MINUTES else 6
SETTLED_SECONDS = 360
"""After the last fault. An activity that failed often is tried again after 30 s; what is left of one that was killed goes
to another worker after 10."""
LONGEST_PAUSE_SECONDS = 5.0 if MINUTES else 1.5


@pytest.fixture
def videos(clips: Clips) -> dict[str, Path]:
    """By kind: one chunk, several chunks, two languages, and one that cannot be had."""
    return {
        "small": clips.small,
        "long": clips.slow,
        "languages": clips.two_languages,
        "damaged": clips.cut_off,
    }


@pytest.mark.timeout(MINUTES * 60 + SETTLED_SECONDS + 300)
async def test_every_job_ends_as_in_a_calm_hour_whatever_fails_meanwhile(
    tmp_path: Path, videos: dict[str, Path]
) -> None:
    dice = random.Random(SEED)
    print(f"\nCHAOS_SEED={SEED}")
    with installed(tmp_path) as installation:
        print("".join(f"left out: {fault}\n" for fault in installation.cannot), end="")
        calm = await calm_outcomes(installation, videos)
        assert {kind: outcome.status for kind, outcome in calm.items()} == {
            "small": "completed", "long": "completed", "languages": "completed", "damaged": "failed",
        }  # fmt: skip
        crowd = Crowd(lambda: installation.url, random.Random(dice.random()))
        await besieged(installation, crowd, Faults(installation, dice), videos)

        ended = await outcomes(installation)
        print(f"{len(ended)} jobs; posts refused: {crowd.refusals}, without an answer: {crowd.unanswered}")
        assert {str(job_id): told(outcome) for kind, job_id, outcome in ended if outcome != calm[kind]} == {}
        assert await contradictions(installation) == {}
        assert [wrong for visitor in crowd.visitors for wrong in await misheard(installation, visitor)] == []
        assert await workflows_still_running(installation) == 0
        # What came in full before its API was killed, and never became a job, is taken by the sweep after a day.
        orphans = await orphans_in_store(installation)
        assert len([name for name in orphans if name.startswith("input/")]) <= crowd.unanswered
        assert [name for name in orphans if not name.startswith("input/")] == []

        installation.stop()
        assert processes_left(installation) == []
        assert left_in_scratch(installation) == []


async def calm_outcomes(installation: Installation, videos: dict[str, Path]) -> dict[str, Outcome]:
    """How each kind ends when nothing fails."""
    crowd = Crowd(lambda: installation.url, random.Random(SEED))
    async with asyncio.timeout(120):
        await asyncio.gather(*(crowd.send(kind, video) for kind, video in videos.items()))
    return {kind: outcome for kind, _, outcome in await outcomes(installation)}


async def besieged(installation: Installation, crowd: Crowd, faults: Faults, videos: dict[str, Path]) -> None:
    """Every kind in turn, at random moments of the faults; returns when every job is over and every viewer has gone."""
    end = time.monotonic() + MINUTES * 60
    moments = [faults.dice.uniform(0, max(20, MINUTES * 55)) for _ in range(JOBS)]
    kinds = itertools.cycle(videos.items())
    async with asyncio.timeout(MINUTES * 60 + SETTLED_SECONDS), asyncio.TaskGroup() as sending:
        for moment, (kind, video) in zip(moments, kinds, strict=False):
            sending.create_task(sent_at(moment, crowd, kind, video))
        await faults.go_on_until(end, LONGEST_PAUSE_SECONDS)
    async with asyncio.timeout(60):
        await until_all_are_over(installation)


async def sent_at(moment: float, crowd: Crowd, kind: str, video: Path) -> None:
    await asyncio.sleep(moment)
    await crowd.send(kind, video)


def told(outcome: Outcome) -> str:
    return f"{outcome.status} {outcome.error or ''} {sorted(outcome.files)}"
