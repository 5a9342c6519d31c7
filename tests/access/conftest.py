"""An API that wants to know who asks, and keys for it."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from callers import SECRET, MakeKey
from serving import Api, serving

from streamforge.access.api_keys import ApiKeys
from streamforge.access.caller import Scope
from streamforge.access.secret import InstallationSecret
from streamforge.access.standing import Standing
from streamforge.db.credentials import Credentials
from streamforge.db.pool import Database
from streamforge.embedded.ports import free_port
from streamforge.settings import (
    AuthSettings,
    DatabaseSettings,
    InputSettings,
    ServerSettings,
    Settings,
    TemporalSettings,
)


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


@pytest.fixture
def credentials(database: Database) -> Credentials:
    """As another process has them: the command line, or another API."""
    return Credentials(database)


@pytest.fixture
def keys(settings: Settings, credentials: Credentials) -> ApiKeys:
    return ApiKeys(credentials, Standing(credentials), InstallationSecret(settings))


@pytest.fixture
def key_of(keys: ApiKeys) -> MakeKey:
    """Makes a key; the header that shows it."""

    async def make(owner: str, *scopes: str, lasts: timedelta | None = None) -> dict[str, str]:
        expires_at = datetime.now(UTC) + lasts if lasts is not None else None
        key = await keys.create(owner, [Scope(scope) for scope in scopes or ("submit", "read")], expires_at)
        return {"Authorization": f"Bearer {key}"}

    return make
