"""A GPU's encoder sessions are counted; what gets none is for the CPU, at once."""

import pytest
from sources import source, video

from activities.support.gpu_sessions import GpuSessions
from streamforge.media.worker.capabilities import Gpu
from streamforge.media.worker.gpus import GpuMeter
from streamforge.planning.gpu import with_gpu
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings

NVENC = {"h264_nvenc"}
PLAN = make_plan(source(video()), Settings())
LADDER = with_gpu(PLAN, NVENC).renditions


def test_the_largest_renditions_get_the_sessions_and_the_others_the_cpu() -> None:
    sessions = GpuSessions(NVENC, 3, GpuMeter())
    with sessions.take(LADDER) as first, sessions.take(LADDER) as second:
        assert first == {"1080p", "720p", "480p"}
        assert second == frozenset()


def test_a_session_is_given_back_whatever_happens() -> None:
    sessions = GpuSessions(NVENC, 3, GpuMeter())
    with pytest.raises(RuntimeError), sessions.take(LADDER[:2]):
        raise RuntimeError
    with sessions.take(LADDER[:2]), sessions.take(LADDER) as rest:
        assert rest == {"1080p"}


def test_a_worker_without_a_gpu_helps_with_a_job_that_was_planned_by_one_with() -> None:
    with GpuSessions(set(), 3, GpuMeter()).take(LADDER) as taken:
        assert taken == frozenset()


def test_a_plan_without_gpus_takes_none_where_there_is_one() -> None:
    with GpuSessions(NVENC, 3, GpuMeter()).take(PLAN.renditions) as taken:
        assert taken == frozenset()


def test_a_heartbeat_tells_how_busy_gpus_are_only_where_there_are_some() -> None:
    meter = GpuMeter()
    sessions = GpuSessions(NVENC, 3, meter)
    assert sessions.utilisation() == {}
    meter.latest = [Gpu(name="A", memory_bytes=100, memory_used_bytes=40, utilisation_percent=70)]
    [told] = sessions.utilisation()["gpus"]
    assert told == {"name": "A", "memory_bytes": 100, "memory_used_bytes": 40, "utilisation_percent": 70}
