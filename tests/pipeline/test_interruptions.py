"""Cancels, retries and vanished things: what a job does when it is disturbed."""

import asyncio
import os
import signal
import time
from datetime import UTC, datetime, timedelta

import pytest
from clips import Clips
from factories import run_sql
from playback import ffmpeg_decodes
from processes import media_children
from system import System
from temporalio.client import WorkflowFailureError

from streamforge.contracts.pipeline import SweepInput, SweepResult
from streamforge.settings import Presets, Settings
from streamforge.verification import verify


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Slow enough to be caught in the act."""
    slow = settings.transcode.model_copy(update={"presets": Presets(h264="slow"), "heights": [360]})
    return settings.model_copy(update={"transcode": slow})


async def until_encoding(system: System, job_id: str) -> None:
    async with system.api.stream(job_id) as frames:
        async for frame in frames:
            if frame.event == "progress" and frame.data["progress"] > 10:
                return


async def until_no_media_child() -> None:
    """What is killed is gone a moment later."""
    async with asyncio.timeout(10):
        while media_children():
            await asyncio.sleep(0.01)


async def test_a_cancel_stops_the_encoders_and_leaves_nothing(system: System, clips: Clips) -> None:
    job_id = await system.api.post_ok_with(clips.full_hd.read_bytes())
    await until_encoding(system, job_id)
    encoders = media_children()
    assert encoders
    for encoder in encoders:  # They end neither by themselves nor when they are asked to.
        encoder.send_signal(signal.SIGSTOP)
    response = await system.api.http.delete(f"/jobs/{job_id}")
    assert response.status_code == 202
    frames = await system.api.whole_stream(job_id)
    assert [frame.event for frame in frames][-1] == "done"
    job = await system.api.job(job_id)
    assert (job["status"], job["stage"], job["error"]) == ("cancelled", "cancelled", None)
    await until_no_media_child()
    with pytest.raises(WorkflowFailureError):
        await (await system.workflow(job_id)).result()
    assert system.api.stored == []
    again = await system.api.http.delete(f"/jobs/{job_id}")
    assert again.status_code == 202


async def test_a_finished_job_cannot_be_cancelled(system: System, clips: Clips) -> None:
    finished = await system.process(clips.small)
    response = await system.api.http.delete(f"/jobs/{finished.id}")
    assert (response.status_code, response.json()["code"]) == (409, "job.already_over")


async def test_a_crashed_encoder_is_started_again_and_the_job_completes(system: System, clips: Clips) -> None:
    job_id = await system.api.post_ok_with(clips.small_bunny.read_bytes())
    await until_encoding(system, job_id)
    for child in media_children():
        child.kill()
    frames = await system.api.whole_stream(job_id)
    assert (await system.api.job(job_id))["status"] == "completed"
    progress = [frame.data["progress"] for frame in frames if frame.event == "progress"]
    assert progress == sorted(progress)


async def test_a_store_that_is_away_is_waited_for_and_the_stream_says_so(system: System, clips: Clips) -> None:
    """A file where the folder of outputs should be: nothing can be written there, not even by root."""
    obstacle = system.storage / "output"
    obstacle.parent.mkdir(parents=True, exist_ok=True)
    obstacle.write_bytes(b"in the way")
    job_id = await system.api.post_ok_with(clips.small.read_bytes())
    async with system.api.stream(job_id) as frames:
        async for frame in frames:
            if frame.event == "progress" and frame.data["message"].startswith("Waiting to try again"):
                assert frame.data["details"]["code"] == "storage.unavailable"
                break
    job = await system.api.job(job_id)
    assert job["status"] == "processing"
    obstacle.unlink()
    await system.api.whole_stream(job_id)
    assert (await system.api.job(job_id))["status"] == "completed"


class TestRetention:
    """The sweep as its Schedule starts it."""

    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        quick = settings.transcode.model_copy(update={"presets": Presets(h264="ultrafast")})
        return settings.model_copy(update={"transcode": quick})

    async def sweep(self, system: System) -> SweepResult:
        handle = await system.temporal.start_workflow(
            "SweepRetention", SweepInput(), id="sweep-now", task_queue="video-processing", result_type=SweepResult
        )
        return await handle.result()

    async def test_what_is_past_its_time_goes_and_the_rest_stays(self, system: System, clips: Clips) -> None:
        old = await system.process(clips.small)
        young = await system.process(clips.small)
        dsn = system.api.settings.database.dsn
        assert dsn
        long_ago = datetime.now(UTC) - timedelta(days=8)
        await run_sql(dsn, "UPDATE jobs SET created_at = $2, completed_at = $2 WHERE id = $1", old.id, long_ago)
        assert await self.sweep(system) == SweepResult(jobs_removed=1, orphans_removed=0)
        assert (await system.api.http.get(f"/jobs/{old.id}")).status_code == 404
        assert (await system.api.http.get(old.job["playback"]["hls"])).status_code == 404
        assert (await system.api.http.get(young.job["playback"]["hls"])).status_code == 200
        assert {name.split("/")[1] for name in system.api.stored} == {young.id}

    async def test_folders_that_belong_to_no_job_go_when_they_are_old(self, system: System) -> None:
        orphans = system.storage / "output" / "00000000-0000-4000-8000-000000000000" / "720p"
        recent = system.storage / "output" / "11111111-1111-4111-8111-111111111111"
        for folder in (orphans, recent):
            folder.mkdir(parents=True)
            (folder / "init.mp4").write_bytes(b"x")
        two_days_ago = time.time() - 2 * 86400
        os.utime(orphans / "init.mp4", (two_days_ago, two_days_ago))
        assert await self.sweep(system) == SweepResult(jobs_removed=0, orphans_removed=1)
        assert system.api.stored == [f"output/{recent.name}/init.mp4"]

    async def test_running_jobs_are_never_touched(self, system: System, clips: Clips) -> None:
        job_id = await system.api.post_ok_with(clips.small_bunny.read_bytes())
        await until_encoding(system, job_id)
        dsn = system.api.settings.database.dsn
        assert dsn
        await run_sql(dsn, "UPDATE jobs SET created_at = now() - interval '30 days' WHERE id = $1", job_id)
        assert (await self.sweep(system)).jobs_removed == 0
        await system.api.whole_stream(job_id)
        assert (await system.api.job(job_id))["status"] == "completed"

    async def test_the_schedule_exists_once_and_follows_the_settings(self, system: System) -> None:
        description = await system.temporal.get_schedule_handle("streamforge-retention").describe()
        assert [i.every for i in description.schedule.spec.intervals] == [timedelta(hours=24)]
        schedules = [schedule.id async for schedule in await system.temporal.list_schedules()]
        assert sorted(schedules) == ["streamforge-reconcile", "streamforge-retention"]


async def test_two_jobs_at_once(system: System, clips: Clips) -> None:
    both = await asyncio.gather(system.process(clips.small), system.process(clips.silent))
    assert [finished.job["status"] for finished in both] == ["completed", "completed"]


FREE_BOX = bytes([0, 0, 0, 8]) + b"free"


class TestUpgrade:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        quick = settings.transcode.model_copy(update={"presets": Presets(h264="ultrafast"), "heights": [360, 144]})
        return settings.model_copy(update={"transcode": quick})

    async def test_a_job_goes_on_across_an_upgrade_of_the_encoders(self, system: System, clips: Clips) -> None:
        """What is published by then is as another version writes it: chunks of this one do not fit to its set-up."""
        job_id = await system.api.post_ok_with(clips.short_bottles.read_bytes())
        async with system.api.stream(job_id) as frames:
            async for frame in frames:
                if frame.event == "playable":
                    break
        output = system.output(job_id)
        for init in output.glob("*p/init.mp4"):
            init.write_bytes(init.read_bytes() + FREE_BOX)
        frames_of_the_rest = await system.api.whole_stream(job_id)
        job = await system.api.job(job_id)
        assert job["status"] == "completed"
        progress = [frame.data["progress"] for frame in frames_of_the_rest if frame.event == "progress"]
        assert progress == sorted(progress)
        history = await (await system.workflow(job_id)).fetch_history()
        scheduled = [event.activity_task_scheduled_event_attributes.activity_type.name for event in history.events]
        assert scheduled.count("discard") == 2
        verified = await verify(str(output))
        assert (verified.problems, verified.unlisted) == ([], [])
        assert not any(init.read_bytes().endswith(FREE_BOX) for init in output.glob("*p/init.mp4"))
        decoded = await ffmpeg_decodes(f"{system.api.url}/media/{job_id}/manifest.mpd")
        assert decoded["frames"] == job["result"]["account"]["pictures"]["shown"]  # type: ignore[index]
