"""A real database that refuses, and real disks that are full, for as long as a block lasts; a bucket whose answers are lost."""

import asyncio
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import asyncpg
import pytest
from factories import run_sql

from streamforge.errors import StorageUnavailable
from streamforge.storage.bucket import BucketStorage

LOOK_SECONDS = 0.01


@asynccontextmanager
async def read_only(dsn: str) -> AsyncIterator[None]:
    """The whole server of `dsn` only lets everybody read, as one that has become a standby, in sessions that are open, too."""
    connection = await asyncpg.connect(dsn)
    try:
        await _set_read_only(connection, "on")
        yield
    finally:
        await _set_read_only(connection, "off")
        await connection.close()


async def _set_read_only(connection: "asyncpg.Connection[asyncpg.Record]", value: str) -> None:
    """Every session hears of it between two statements; ours has, when it says so."""
    await connection.execute(f"ALTER SYSTEM SET default_transaction_read_only = {value}")
    await connection.execute("SELECT pg_reload_conf()")
    while await connection.fetchval("SHOW default_transaction_read_only") != value:
        await asyncio.sleep(LOOK_SECONDS)


async def until_refused(dsn: str, times: int) -> None:
    """Until so many transactions of this database have failed."""
    sql = "SELECT xact_rollback FROM pg_stat_database WHERE datname = current_database()"
    before = (await run_sql(dsn, sql))[0]["xact_rollback"]
    while (await run_sql(dsn, sql))[0]["xact_rollback"] < before + times:
        await asyncio.sleep(LOOK_SECONDS)


@contextmanager
def small_disk(folder: Path, size: str = "1m") -> Iterator[Path]:
    """A file system of its own at `folder`."""
    with ExitStack() as stack:
        try:
            yield stack.enter_context(tmpfs(folder, size))
        except CannotMount:
            pytest.skip("needs the right to mount a file system")


class CannotMount(Exception): ...


@contextmanager
def tmpfs(folder: Path, size: str) -> Iterator[Path]:
    """Raises CannotMount."""
    folder.mkdir(parents=True)
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], capture_output=True, check=False
    )
    if mounted.returncode != 0:
        raise CannotMount
    try:
        yield folder
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)


@contextmanager
def filled(disk: Path, leave: int = 0) -> Iterator[None]:
    """A file that takes all that is left, but for `leave` bytes."""
    filler = disk / "filler"
    with filler.open("wb", buffering=0) as file:
        try:
            while True:
                file.write(b"\0" * 4096)
        except OSError:
            file.truncate(max(0, file.tell() - leave))
    try:
        yield
    finally:
        filler.unlink()


@contextmanager
def remounted_read_only(disk: Path) -> Iterator[None]:
    subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
    try:
        yield
    finally:
        subprocess.run(["mount", "-o", "remount,rw", disk], check=True)


def loses_answers(bucket: BucketStorage, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The first put of each name succeeds and nobody hears of it; the names so far."""
    put, unanswered = bucket._put, set[str]()

    async def put_without_answer(name: str, content: Path | bytes, replace: bool) -> None:
        await put(name, content, replace)
        if name not in unanswered:
            unanswered.add(name)
            raise StorageUnavailable("The media store does not answer right now.")

    monkeypatch.setattr(bucket, "_put", put_without_answer)
    return unanswered
