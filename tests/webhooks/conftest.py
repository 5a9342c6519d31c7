"""One API and one worker that tells, for all tests of a module: each test is an owner of its own."""

from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio
from factories import run_sql
from serving import serving
from told import Hub, settings_of, telling

from streamforge.access.api_keys import ApiKeys
from streamforge.access.secret import InstallationSecret
from streamforge.access.standing import Standing
from streamforge.db.credentials import Credentials
from streamforge.db.jobs import Jobs
from streamforge.db.pool import Database
from streamforge.events.log import EventLog
from streamforge.settings import Settings


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub_settings(postgres_dsn: str, temporal_address: str, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    name = f"webhooks_{uuid4().hex}"
    await run_sql(postgres_dsn, f"CREATE DATABASE {name} TEMPLATE streamforge_template")
    return settings_of(
        f"{postgres_dsn.rpartition('/')[0]}/{name}", temporal_address, tmp_path_factory.mktemp("webhooks") / "data"
    )


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def hub(hub_settings: Settings) -> AsyncIterator[Hub]:
    """An API that wants to know who asks, and a worker."""
    database = await Database.open(str(hub_settings.database.dsn))
    credentials = Credentials(database)
    keys = ApiKeys(credentials, Standing(credentials), InstallationSecret(hub_settings))
    try:
        async with serving(hub_settings) as api, telling(hub_settings):
            yield Hub(api, Jobs(database), EventLog(database), keys)
    finally:
        await database.close()
