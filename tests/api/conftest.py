"""A running API with a database of its own, and Temporal where a test asks for it."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from leftovers import end_workflows
from serving import Api, serving
from temporalio.client import Client

from streamforge.db.jobs import Jobs
from streamforge.embedded.ports import free_port
from streamforge.settings import DatabaseSettings, InputSettings, ServerSettings, Settings, TemporalSettings


@pytest.fixture
def settings(tmp_path: Path, database_dsn: str) -> Settings:
    """Temporal is away unless a test says otherwise: most of the API must not mind."""
    return Settings(
        data_dir=tmp_path / "data",
        server=ServerSettings(port=0),
        input=InputSettings(max_size_bytes=200_000, min_free_disk_bytes=0),
        database=DatabaseSettings(dsn=database_dsn),
        temporal=TemporalSettings(address=f"127.0.0.1:{free_port('127.0.0.1')}"),
    )


@pytest.fixture
async def api(settings: Settings) -> AsyncIterator[Api]:
    async with serving(settings) as api:
        yield api


@pytest.fixture
async def api_with_temporal(settings: Settings, temporal_address: str) -> AsyncIterator[Api]:
    temporal = TemporalSettings(address=temporal_address)
    async with serving(settings.model_copy(update={"temporal": temporal})) as api:
        yield api
    await end_workflows(await Client.connect(temporal_address))


@pytest.fixture
def rows(jobs: Jobs) -> Jobs:
    """The same database through another pool: what another process does."""
    return jobs
