"""A worker that is asked to stop while it encodes: with time it ends its chunk, without it hands the chunk on."""

from collections.abc import Sequence
from contextlib import AsyncExitStack

import pytest
from clips import BUNNY
from serving import serving
from system import System
from temporalio.api.history.v1 import HistoryEvent

from streamforge.settings import Presets, Settings
from streamforge.worker.run import worker


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """One chunk after the other, each slow enough to be caught in the act."""
    slow = settings.transcode.model_copy(update={"presets": Presets(h264="slow"), "heights": [720]})
    return settings.model_copy(update={"transcode": slow})


def with_grace(settings: Settings, seconds: float) -> Settings:
    work = settings.worker.model_copy(update={"graceful_shutdown_seconds": seconds})
    return settings.model_copy(update={"worker": work})


async def until_encoding(system: System, job_id: str) -> None:
    async with system.api.stream(job_id) as frames:
        async for frame in frames:
            if frame.event == "progress" and frame.data["progress"] > 10:
                return


async def history_after_a_deploy(settings: Settings, grace_seconds: float) -> Sequence[HistoryEvent]:
    """Of a job whose worker is replaced while it encodes."""
    async with serving(settings) as api, AsyncExitStack() as old, AsyncExitStack() as new:
        temporal = await old.enter_async_context(worker(with_grace(settings, grace_seconds)))
        system = System(api, temporal)
        job_id = await api.post_ok_with(BUNNY.read_bytes())
        await until_encoding(system, job_id)
        system = System(api, await new.enter_async_context(worker(settings)))
        await old.aclose()
        await api.whole_stream(job_id)
        assert (await api.job(job_id))["status"] == "completed"
        return (await (await system.workflow(job_id)).fetch_history()).events


async def test_with_time_the_chunk_in_hand_is_finished(settings: Settings, one_zygote: None) -> None:
    events = await history_after_a_deploy(settings, grace_seconds=60)
    assert max(attempts(events)) == 1


async def test_without_time_another_worker_does_it_at_once(settings: Settings, one_zygote: None) -> None:
    """It does not wait until Temporal misses the heartbeats."""
    events = await history_after_a_deploy(settings, grace_seconds=0)
    assert max(attempts(events)) == 2
    failures = [
        each.activity_task_started_event_attributes.last_failure
        for each in events
        if each.activity_task_started_event_attributes.attempt == 2
    ]
    assert failures
    assert not any(failure.HasField("timeout_failure_info") for failure in failures)


def attempts(events: Sequence[HistoryEvent]) -> list[int]:
    return [started for each in events if (started := each.activity_task_started_event_attributes.attempt)]
