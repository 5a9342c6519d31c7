"""A backup restored where Temporal is a cluster of one's own, which knows more than the backup, or nothing any more."""

from pathlib import Path

import pytest
from clips import BUNNY
from serving import serving
from system import System
from temporalio.client import WorkflowExecutionStatus

from streamforge.backup import folder, making, restoring
from streamforge.errors import RestoreRefused
from streamforge.settings import DatabaseSettings, Presets, Settings
from streamforge.temporal import deployments
from streamforge.worker.run import worker


@pytest.fixture
def settings(settings: Settings) -> Settings:
    slow = settings.transcode.model_copy(update={"presets": Presets(h264="slow"), "heights": [480]})
    return settings.model_copy(update={"transcode": slow})


@pytest.fixture
def elsewhere(settings: Settings, empty_database_dsn: str, tmp_path: Path) -> Settings:
    database = DatabaseSettings(dsn=empty_database_dsn)
    return settings.model_copy(update={"data_dir": tmp_path / "elsewhere", "database": database})


async def until_encoding(system: System, job_id: str) -> None:
    async with system.api.stream(job_id) as frames:
        async for frame in frames:
            if frame.event == "progress" and frame.data["progress"] > 10:
                return


async def test_its_unfinished_job_begins_again_and_completes(
    settings: Settings, elsewhere: Settings, one_zygote: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(settings) as api, worker(settings) as temporal:
        before = System(api, temporal)
        job_id = await api.post_ok_with(BUNNY.read_bytes())
        await until_encoding(before, job_id)
        old = await before.workflow(job_id)
        await making.make(making.plan_of(settings, tmp_path / "backup", None, False, lambda _: None))
        backup = folder.opened(tmp_path / "backup")
        with pytest.raises(RestoreRefused, match="stop all workers and APIs"):
            await restoring.restore(backup, elsewhere, lambda _: None)
    assert not elsewhere.data_dir.exists()
    monkeypatch.setattr(deployments, "SILENT_FOR", deployments.SILENT_FOR * 0)
    restored = await restoring.restore(backup, elsewhere, lambda _: None)
    assert (restored.go_on, restored.workflows_ended) == (False, 1)
    assert (await old.describe()).status is WorkflowExecutionStatus.TERMINATED
    async with serving(elsewhere) as api, worker(elsewhere) as temporal:
        after = System(api, temporal)
        await api.whole_stream(job_id)
        job = await api.job(job_id)
        assert job["status"] == "completed"
        assert "-restored-" in str(job["workflow_id"])
        events = (await api.http.get(f"/jobs/{job_id}/events", params={"limit": 1000})).json()["events"]
        assert [event["id"] for event in events] == list(range(1, len(events) + 1))
        assert (await (await after.workflow(job_id)).describe()).status is WorkflowExecutionStatus.COMPLETED
