from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from forked import Forked
from leftovers import end_workflows
from serving import serving
from system import System

from streamforge.media.worker.children import MediaChildren
from streamforge.settings import Settings
from streamforge.worker.run import worker


@pytest.fixture
def settings(tmp_path: Path, database_dsn: str, temporal_address: str) -> Settings:
    return Settings.model_validate(
        {
            "data_dir": tmp_path / "data",
            "server": {"port": 0},
            "input": {"min_free_disk_bytes": 0},
            "transcode": {"presets": {"h264": "ultrafast"}, "max_chunk_seconds": 8},
            "worker": {"graceful_shutdown_seconds": 0},
            "database": {"dsn": database_dsn},
            "temporal": {"address": temporal_address},
        }
    )


@pytest.fixture
def one_zygote(children: MediaChildren, monkeypatch: pytest.MonkeyPatch) -> None:
    """For all workers of this process: to start one takes longer than many a test, and so does trying all encoders."""
    monkeypatch.setattr(Forked, "others", children, raising=False)
    monkeypatch.setattr("streamforge.worker.run.MediaChildren", Forked)


@pytest.fixture
async def system(settings: Settings, one_zygote: None) -> AsyncIterator[System]:
    async with serving(settings) as api, worker(settings) as temporal:
        yield System(api, temporal)
        await end_workflows(temporal)
