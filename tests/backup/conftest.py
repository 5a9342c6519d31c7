from pathlib import Path

import pytest
from installation import Restore, Stocked, stock

from streamforge.backup import folder, restoring
from streamforge.db.jobs import Jobs
from streamforge.embedded.ports import free_port
from streamforge.events.log import EventLog
from streamforge.settings import DatabaseSettings, Settings, TemporalSettings


@pytest.fixture
def settings(tmp_path: Path, database_dsn: str) -> Settings:
    """Temporal is somebody else's, and away: a backup needs nothing of it."""
    return Settings(
        data_dir=tmp_path / "data",
        database=DatabaseSettings(dsn=database_dsn),
        temporal=TemporalSettings(address=f"127.0.0.1:{free_port()}"),
    )


@pytest.fixture
async def stocked(settings: Settings, jobs: Jobs, events: EventLog) -> Stocked:
    return await stock(settings, jobs, events)


@pytest.fixture
def elsewhere(tmp_path: Path, empty_database_dsn: str) -> Settings:
    """Another machine: an empty database, no data folder, and no Temporal yet."""
    return Settings(data_dir=tmp_path / "elsewhere", database=DatabaseSettings(dsn=empty_database_dsn))


@pytest.fixture
def restore(elsewhere: Settings) -> Restore:
    async def restored(backup: Path) -> restoring.Restored:
        return await restoring.restore(folder.opened(backup), elsewhere, lambda _: None)

    return restored
