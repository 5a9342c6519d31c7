"""Brokers as Debian packages them, each a process of its own: tests stop and start them."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from brokers import Broker, nats_server, redis_server

from streamforge.embedded.ports import free_port
from streamforge.settings import DatabaseSettings, InputSettings, ServerSettings, Settings, TemporalSettings


@pytest.fixture
def settings(tmp_path: Path, database_dsn: str) -> Settings:
    """Temporal is away: events do not need it."""
    return Settings(
        data_dir=tmp_path / "data",
        server=ServerSettings(port=0),
        input=InputSettings(max_size_bytes=200_000, min_free_disk_bytes=0),
        database=DatabaseSettings(dsn=database_dsn),
        temporal=TemporalSettings(address=f"127.0.0.1:{free_port('127.0.0.1')}"),
    )


@pytest.fixture
async def redis(tmp_path: Path) -> AsyncIterator[Broker]:
    async with redis_server(tmp_path) as broker:
        yield broker


@pytest.fixture
async def jetstream(tmp_path: Path) -> AsyncIterator[Broker]:
    async with nats_server(tmp_path) as broker:
        yield broker
