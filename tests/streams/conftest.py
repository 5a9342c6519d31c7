"""An API on a port that stays, so that clients find the next one there; its database is another test's."""

from pathlib import Path

import pytest

from streamforge.embedded.ports import free_port
from streamforge.settings import DatabaseSettings, InputSettings, ServerSettings, Settings, TemporalSettings


@pytest.fixture
def settings(tmp_path: Path, database_dsn: str) -> Settings:
    """Temporal is away: no stream must mind."""
    return Settings(
        data_dir=tmp_path / "data",
        server=ServerSettings(port=free_port("127.0.0.1"), heartbeat_seconds=0.2),
        input=InputSettings(min_free_disk_bytes=0),
        database=DatabaseSettings(dsn=database_dsn),
        temporal=TemporalSettings(address=f"127.0.0.1:{free_port('127.0.0.1')}"),
    )
