"""What tests stand on: a real PostgreSQL and a real Temporal server, started once in each process that runs tests; a database
of its own for each test."""

import asyncio
import faulthandler
import os
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from bucket_server import BUCKET, CREDENTIALS, Gateway, bucket_server
from clips import Clips
from databases import Databases
from factories import run_sql
from hypothesis import HealthCheck, settings
from temporalio.testing import WorkflowEnvironment

from streamforge.db.jobs import Jobs
from streamforge.db.migrations import apply_migrations
from streamforge.db.pool import Database
from streamforge.embedded.postgres import EmbeddedPostgres
from streamforge.embedded.temporal import FAIR, dynamic
from streamforge.events.log import EventLog
from streamforge.media.worker.children import MediaChildren

# A test that is slow on a busy machine is not wrong.
# On a loaded machine all examples are slow to make.
settings.register_profile("quick", deadline=None, suppress_health_check=[HealthCheck.too_slow], max_examples=30)
# `make fuzz`, and `make test SLOW=1`.
settings.register_profile("thorough", settings.get_profile("quick"), max_examples=100)
settings.load_profile("quick")

TEMPLATE = "streamforge_template"

# Temporal's timers are otherwise late by up to a second, which is most of what a retry takes here.
PUNCTUAL = {"history.timerProcessorMaxTimeShift": '"10ms"'}

# Hundreds of processes are started here; each would otherwise compile all that it imports.
sys.dont_write_bytecode = False
os.environ.pop("PYTHONDONTWRITEBYTECODE", None)

GIBIBYTE = 2**30

STDERR = pytest.StashKey[int]()
SECONDS_TO_SPARE = 60

# Whatever a test database loses in a power cut, nobody will miss.
FAST_AND_CARELESS = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "max_connections": "200"}


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if "PYTEST_XDIST_WORKER" in os.environ:
        from scheduling import in_order

        items[:] = in_order(items)


def pytest_configure(config: pytest.Config) -> None:
    # pytest catches what is written to 2 while a test runs.
    config.stash[STDERR] = os.dup(2)


def end_when_late(item: pytest.Item) -> None:
    """pytest-timeout throws its exception into whatever runs, once. Thrown into a task that nobody waits for, it is swallowed,
    and nothing limits the teardown after it: a run of CI stood still like that for 80 minutes. Here the process ends, with
    all stacks, and pytest-xdist says which test it was and goes on in another."""
    marker = item.get_closest_marker("timeout")
    limit = float(marker.args[0]) if marker else float(item.config.getini("timeout"))
    if limit:
        faulthandler.dump_traceback_later(limit + SECONDS_TO_SPARE, exit=True, file=item.config.stash[STDERR])


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(item: pytest.Item) -> Iterator[None]:
    end_when_late(item)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> None:
    end_when_late(item)  # Again: pytest takes back whoever waits as soon as a test fails.


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config: pytest.Config) -> int:
    from scheduling import processes

    return processes()


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> object:
    from scheduling import ByFile

    return ByFile(config, log)


def database_named(dsn: str, name: str) -> str:
    return dsn.rpartition("/")[0] + f"/{name}"


@pytest.fixture(scope="session")
def postgres_dsn(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server with the template database: the schema as the migrations make it."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("postgres"), settings=FAST_AND_CARELESS)

    async def start() -> str:
        dsn = await server.start()
        await run_sql(dsn, f"CREATE DATABASE {TEMPLATE}")
        await apply_migrations(database_named(dsn, TEMPLATE))
        return dsn

    try:
        yield asyncio.run(start())
    finally:
        asyncio.run(server.stop())


@pytest.fixture
async def empty_database_dsn(postgres_dsn: str) -> AsyncIterator[str]:
    async for dsn in _own_database(postgres_dsn, "template0"):
        yield dsn


@pytest.fixture
async def fresh_database_dsn(postgres_dsn: str) -> AsyncIterator[str]:
    """Of a database that no test had before."""
    async for dsn in _own_database(postgres_dsn, TEMPLATE):
        yield dsn


@pytest.fixture(scope="session")
def databases(postgres_dsn: str) -> Iterator[Databases]:
    databases = Databases(postgres_dsn, TEMPLATE)
    yield databases
    databases.close()


@pytest.fixture
def database_dsn(databases: Databases) -> Iterator[str]:
    """Of a database that may have been another test's, and is as good as new."""
    database = databases.take()
    yield databases.dsn_of(database.name)
    databases.give_back(database)


async def _own_database(server: str, template: str) -> AsyncIterator[str]:
    name = f"test_{uuid4().hex}"
    # Copied file by file: by way of the log, which is the default, it takes three times the work.
    await run_sql(server, f"CREATE DATABASE {name} TEMPLATE {template} STRATEGY FILE_COPY")
    yield database_named(server, name)
    await run_sql(server, f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture
async def database(database_dsn: str) -> AsyncIterator[Database]:
    database = await Database.open(database_dsn)
    yield database
    await database.close()


@pytest.fixture
def jobs(database: Database) -> Jobs:
    return Jobs(database)


@pytest.fixture
def events(database: Database) -> EventLog:
    return EventLog(database)


@pytest.fixture(scope="session")
def temporal_address() -> Iterator[str]:
    """A development server, in memory."""
    binary = Path(sys.executable).parent / "temporal"
    server = asyncio.run(
        WorkflowEnvironment.start_local(
            dev_server_existing_path=str(binary), dev_server_extra_args=dynamic(PUNCTUAL | FAIR)
        )
    )
    yield server.client.service_client.config.target_host
    asyncio.run(server.shutdown())


@pytest.fixture(scope="session")
def clips(tmp_path_factory: pytest.TempPathFactory) -> Clips:
    """One folder for all processes of pytest-xdist."""
    base = tmp_path_factory.getbasetemp()
    folder = (base.parent if "PYTEST_XDIST_WORKER" in os.environ else base) / "clips"
    folder.mkdir(exist_ok=True)
    return Clips(folder)


@pytest.fixture(scope="session")
def children() -> Iterator[MediaChildren]:
    """One zygote for all tests: each child is a fork of its own anyway, and loading av for the zygote takes longer than
    most tests. It is awaited in whatever loop a test runs in."""
    with asyncio.Runner() as runner:
        children = MediaChildren(memory_bytes=4 * GIBIBYTE, stall_seconds=60)
        runner.run(children.__aenter__())
        yield children
        runner.run(children.__aexit__())


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Gateway]]:
    folder = tmp_path_factory.mktemp("buckets")
    (folder / BUCKET).mkdir()
    with bucket_server(folder) as running:
        yield running


@pytest.fixture
def bucket_environment(endpoint: tuple[str, Gateway], monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """All that an operator sets for S3's kin."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint[0])
    return monkeypatch
