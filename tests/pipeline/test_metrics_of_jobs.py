"""What a job leaves in the metrics of API and worker; both are this process here, and share one page."""

import re

import httpx
import pytest
from clips import Clips
from scraping import Page, scraped
from serving import serving
from system import System

from streamforge.embedded.ports import free_port
from streamforge.settings import MetricsSettings, Settings
from streamforge.worker.run import worker

UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")
STAGES = ("uploading", "transcoding", "validation", "packaging", "storage")


@pytest.fixture
def metrics_port() -> int:
    return free_port("127.0.0.1")


@pytest.fixture
async def measured(settings: Settings, metrics_port: int, one_zygote: None):
    shown = settings.model_copy(update={"metrics": MetricsSettings(worker_port=metrics_port, port=0)})
    async with serving(shown) as api, worker(shown) as temporal:
        yield System(api, temporal)


async def test_a_job_is_seen_in_every_metric_of_it(measured: System, clips: Clips, metrics_port: int) -> None:
    url = f"http://127.0.0.1:{metrics_port}/metrics"
    async with httpx.AsyncClient() as http:
        before = await scraped(http, url)
        done = await measured.process(clips.small)
        broken = await measured.process(b"this is no video", name="broken.mp4")
        page = await scraped(http, url)
    assert (done.job["status"], broken.job["status"]) == ("completed", "failed")

    def more(name: str, **labels: str) -> float:
        return page.value(name, **labels) - before.value(name, **labels)

    assert more("streamforge_jobs_finished_total", status="completed") == 1
    code = broken.job["error"]["code"]
    assert more("streamforge_jobs_finished_total", status="failed", fault="caller") == 1
    assert more("streamforge_job_failures_total", stage="uploading", code=code) == 1
    for stage in STAGES:
        assert more("streamforge_stage_seconds_count", stage=stage) == 1
    assert more("streamforge_media_seconds_total") == pytest.approx(done.job["result"]["duration"], abs=0.1)
    assert more("streamforge_vmaf_count", codec="h264") == len(done.job["renditions"])
    assert more("streamforge_chunk_seconds_count", encoder="cpu") >= 1
    assert more("streamforge_activity_seconds_count", activity="transcode_chunk", outcome="done") >= 1
    assert more("streamforge_activity_seconds_count", activity="probe", outcome="failed") == 1
    assert more("streamforge_media_child_seconds_count", task="encode", outcome="done") >= 1
    assert more("streamforge_media_memory_wait_seconds_count") >= 1
    assert more("streamforge_event_lag_seconds_count", source="job") >= 5
    assert more("streamforge_event_write_seconds_count") >= 5
    assert page.value("streamforge_media_memory_held_bytes") == 0
    assert page.value("streamforge_encoder_slots") >= 2
    assert page.value("streamforge_encoder_slots_in_use") == 0
    assert more("temporal_workflow_completed") + more("temporal_workflow_completed_total") >= 1
    assert page.has("temporal_activity_execution_latency_count")
    assert_no_series_for_each_job(page)


def assert_no_series_for_each_job(page: Page) -> None:
    assert not [value for value in page.label_values if UUID.search(value)]
    # Durations have fifteen buckets for each route, and all APIs of this process's tests told theirs in one registry.
    assert max(page.series_of("streamforge_").values()) < 15 * 100


async def test_who_works_is_known_from_temporal(measured: System) -> None:
    page = await scraped(measured.api.http)
    assert page.value("streamforge_queue_pollers", queue="video-processing-media") >= 1
