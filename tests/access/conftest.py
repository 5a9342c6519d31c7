"""An API that wants to know who asks."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from serving import Api, serving

from streamforge.embedded.ports import free_port
from streamforge.settings import (
    AuthSettings,
    DatabaseSettings,
    InputSettings,
    ServerSettings,
    Settings,
    TemporalSettings,
)

SECRET = "the secret of this installation, for tests"


@pytest.fixture
def settings(tmp_path: Path, database_dsn: str) -> Settings:
    return Settings(
        data_dir=tmp_path / "data",
        server=ServerSettings(port=0),
        auth=AuthSettings(required=True, secret=SECRET),  # type: ignore[arg-type]
        input=InputSettings(max_size_bytes=200_000, min_free_disk_bytes=0),
        database=DatabaseSettings(dsn=database_dsn),
        temporal=TemporalSettings(address=f"127.0.0.1:{free_port('127.0.0.1')}"),
    )


@pytest.fixture
async def guarded_api(settings: Settings) -> AsyncIterator[Api]:
    async with serving(settings) as api:
        yield api
