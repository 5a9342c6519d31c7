"""The database of a data folder, for a command that needs nothing else: that of the `up` that runs on it, or its own
cluster, started for as long as the command takes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from streamforge import embedded
from streamforge.embedded import endpoints
from streamforge.errors import MissingPart
from streamforge.settings import Settings


@asynccontextmanager
async def database_of(settings: Settings) -> AsyncIterator[str]:
    """Its DSN. Raises MissingPart where nothing has ever run, AlreadyRunning when an `up` is just starting, ChildDied."""
    if settings.database.dsn is not None:
        yield settings.database.dsn
    elif endpoints.is_running(settings.data_dir):
        yield _of_running(settings)
    else:
        async with _started(settings) as dsn:
            yield dsn


def _of_running(settings: Settings) -> str:
    running = endpoints.read(settings.data_dir)
    if running is None or not running.dsn:
        raise MissingPart(f"The `streamforge up` on {settings.data_dir} is only starting; try again in a moment.")
    return running.dsn


@asynccontextmanager
async def _started(settings: Settings) -> AsyncIterator[str]:
    folder = settings.data_dir / "postgres"
    if not folder.exists():
        raise MissingPart(
            f"There is no database in {settings.data_dir}: run `streamforge up` there once, name its folder with "
            "--data-dir, or set STREAMFORGE_DATABASE__DSN."
        )
    embedded.require()
    # Containers have no embedded parts, and name their database.
    from streamforge.embedded.postgres import EmbeddedPostgres  # noqa: PLC0415

    with endpoints.exclusive(settings.data_dir):
        server = EmbeddedPostgres(folder, log=settings.data_dir / "logs" / "postgres.log")
        try:
            yield await server.start()
        finally:
            await server.stop()
