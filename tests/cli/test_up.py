"""`streamforge up`: ready within seconds, one per data folder, nothing left behind, and hard to kill."""

import os
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from urllib.parse import urlsplit

import httpx
import pytest
from commandline import StartUp, Up, processes_of, streamforge
from processes import runs
from serving import AUTHORITIES

from streamforge.embedded import endpoints, leftovers
from streamforge.embedded.postgres import EmbeddedPostgres
from streamforge.embedded.temporal import EmbeddedTemporal

DEADLINE_SECONDS = 60


def wait_for(state: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not state():
        assert time.monotonic() < deadline, "the state was not reached"
        time.sleep(0.05)


def is_ready(api_url: str) -> bool:
    try:
        return httpx.get(f"{api_url}/ready", verify=AUTHORITIES).status_code == 200
    except httpx.TransportError:
        return False


class TestWhileItRuns:
    def test_the_api_is_healthy_and_all_its_dependencies_are_ready(self, shared_up: Up) -> None:
        assert httpx.get(f"{shared_up.parts.api_url}/health").json()["status"] == "healthy"
        wait_for(lambda: is_ready(shared_up.parts.api_url))

    def test_the_temporal_web_page_reaches_its_server(self, shared_up: Up) -> None:
        def registered() -> bool:
            namespace = httpx.get(f"{shared_up.parts.ui_url}/api/v1/namespaces/default").json()
            return namespace.get("namespaceInfo", {}).get("state") == "NAMESPACE_STATE_REGISTERED"

        wait_for(registered)

    def test_its_endpoints_lie_in_a_file_for_the_owner_only_because_they_hold_a_password(self, shared_up: Up) -> None:
        path = endpoints.path_of(shared_up.data_dir)
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700

    def test_nothing_in_its_folder_is_for_others(self, shared_up: Up) -> None:
        everything = [shared_up.data_dir, *shared_up.data_dir.rglob("*")]
        assert len(everything) > 10
        # PostgreSQL's files come and go.
        modes = {path: stat.S_IMODE(path.lstat().st_mode) for path in everything if os.path.lexists(path)}
        assert {path: oct(mode) for path, mode in modes.items() if mode & 0o077} == {}

    @pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
    def test_another_user_sees_nothing_of_it(self, shared_up: Up) -> None:
        above = shared_up.data_dir.parent
        above.chmod(0o755)
        nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"]
        for command in (["ls", "data"], ["cat", "data/run/up.json"], ["cat", "data/postgres/password"]):
            ran = subprocess.run([*nobody, *command], cwd=above, capture_output=True, text=True, check=False)
            assert ran.stdout == ""
            assert "Permission denied" in ran.stderr

    def test_every_part_has_its_log(self, shared_up: Up) -> None:
        logs = {path.name for path in (shared_up.data_dir / "logs").iterdir()}
        assert {"postgres.log", "temporal.log", "api.log"} <= logs

    def test_a_log_that_is_full_is_set_aside(self, shared_up: Up) -> None:
        log = shared_up.data_dir / "logs" / "api.log"
        with log.open("ab") as file:
            file.write(b"much was printed\n" * 1_000_000)
        wait_for(lambda: log.stat().st_size < 1_000_000)
        assert b"much was printed" in log.with_name("api.log.1").read_bytes()

    def test_a_second_one_on_the_same_folder_is_refused_in_one_sentence(self, shared_up: Up) -> None:
        second = streamforge("up", "--data-dir", str(shared_up.data_dir), cwd=shared_up.data_dir.parent)
        assert second.returncode == 1
        assert second.stderr.startswith(f"streamforge: StreamForge already runs on {shared_up.data_dir};")
        assert second.stderr.count("\n") == 1
        assert shared_up.process.poll() is None

    def test_migrate_joins_it(self, shared_up: Up) -> None:
        migrated = streamforge("migrate", "--data-dir", str(shared_up.data_dir), cwd=shared_up.data_dir.parent)
        assert migrated.stdout == "The schema is up to date.\n", migrated.stderr

    def test_doctor_finds_its_database_and_temporal_answering(self, shared_up: Up) -> None:
        report = streamforge(
            "doctor",
            "--data-dir",
            str(shared_up.data_dir),
            cwd=shared_up.data_dir.parent,
            STREAMFORGE_AUTH__REQUIRED="true",
        )
        assert report.returncode == 0, report.stdout
        # What runs was started with other settings than this command, and anybody may use it.
        assert "nobody has to say who they are" in " ".join(report.stdout.split())
        assert "PostgreSQL 18" in report.stdout
        assert f"answers at {shared_up.parts.temporal_address}" in report.stdout

    def test_an_unknown_job_is_one_sentence(self, shared_up: Up) -> None:
        watched = streamforge(
            "watch", "550e8400-e29b-41d4-a716-446655440000", "--url", shared_up.parts.api_url,
            cwd=shared_up.data_dir.parent,
        )  # fmt: skip
        assert watched.returncode == 1
        assert watched.stderr.startswith("streamforge: ")
        assert watched.stderr.count("\n") == 1


@pytest.mark.parametrize(("number", "arguments"), [(signal.SIGTERM, []), (signal.SIGINT, ["--no-worker"])])
def test_a_signal_stops_everything_and_leaves_no_process(
    up: StartUp, number: signal.Signals, arguments: list[str]
) -> None:
    running = up(*arguments)
    assert len(processes_of(running.data_dir)) > 4

    assert running.stop(number) == 0

    assert processes_of(running.data_dir) == []
    assert endpoints.read(running.data_dir) is None


def test_it_starts_again_with_the_same_data(up: StartUp) -> None:
    first = up("--no-worker")
    password = first.parts.dsn.split("@")[0]
    first.stop()

    second = up("--no-worker")

    assert second.parts.dsn.split("@")[0] == password
    assert is_ready(second.parts.api_url)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the next `up` ends them")
def test_its_children_end_with_it_when_it_is_killed(up: StartUp) -> None:
    running = up()
    running.stop(signal.SIGKILL)
    wait_for(lambda: processes_of(running.data_dir) == [])


def test_a_part_that_crashes_is_started_again(shared_up: Up) -> None:
    for part in ("API", "PostgreSQL", "Temporal"):
        crashed = shared_up.pid_of(part)
        os.kill(crashed, signal.SIGKILL)
        wait_for(lambda part=part, crashed=crashed: shared_up.pid_of(part) != crashed)  # type: ignore[misc]
        wait_for(lambda: is_ready(shared_up.parts.api_url))


def api_of(running: Up) -> int | None:
    """Its process, whatever `up` has written down."""
    return next((each.pid for each in processes_of(running.data_dir) if runs(each, "api")), None)


def test_it_goes_on_looking_when_it_cannot_write_down_what_runs(shared_up: Up) -> None:
    """As on a full disk: what it writes aside is in the way."""
    obstacle = endpoints.path_of(shared_up.data_dir).with_suffix(".new")
    obstacle.mkdir()
    for _ in range(2):
        crashed = api_of(shared_up)
        assert crashed is not None
        os.kill(crashed, signal.SIGKILL)
        wait_for(lambda crashed=crashed: api_of(shared_up) not in {None, crashed})  # type: ignore[misc]
        wait_for(lambda: is_ready(shared_up.parts.api_url))
    obstacle.rmdir()


def test_a_database_whose_port_is_taken_while_it_is_down_comes_back_elsewhere(shared_up: Up) -> None:
    port = urlsplit(shared_up.parts.dsn).port
    crashed = shared_up.pid_of("PostgreSQL")
    os.kill(crashed, signal.SIGKILL)
    with bound_when_free(port or 0):
        wait_for(lambda: shared_up.pid_of("PostgreSQL") != crashed)
        wait_for(lambda: is_ready(shared_up.parts.api_url))
    assert urlsplit(shared_up.parts.dsn).port != port


def bound_when_free(port: int) -> socket.socket:
    while True:
        try:
            return socket.create_server(("127.0.0.1", port))
        except OSError:
            time.sleep(0.001)


@pytest.mark.parametrize("flag", ["--port", "--temporal-port", "--ui-port"])
def test_a_busy_port_is_one_sentence_before_anything_starts(tmp_path: Path, flag: str) -> None:
    ports = {"--port": "0", "--temporal-port": "0", "--ui-port": "0"}
    with socket.create_server(("127.0.0.1", 0)) as other:
        ports[flag] = str(other.getsockname()[1])
        arguments = [part for pair in ports.items() for part in pair]
        refused = streamforge("up", *arguments, "--data-dir", "data", cwd=tmp_path)

    assert refused.returncode == 1
    assert refused.stderr.startswith(f"streamforge: Port {ports[flag]} on 127.0.0.1 is in use by another program;")
    assert f"{flag} N" in refused.stderr
    assert refused.stderr.count("\n") == 1
    assert [path.name for path in (tmp_path / "data").iterdir()] == ["run"]


async def test_with_a_database_and_a_temporal_of_ones_own_nothing_is_embedded(up: StartUp, tmp_path: Path) -> None:
    postgres = EmbeddedPostgres(tmp_path / "elsewhere", settings={"fsync": "off"})
    temporal = EmbeddedTemporal(tmp_path / "elsewhere")
    try:
        running = up(
            "--no-worker",
            STREAMFORGE_DATABASE__DSN=await postgres.start(),
            STREAMFORGE_TEMPORAL__ADDRESS=await temporal.start(),
        )
        assert [record.name for record in running.parts.processes] == ["API"]
        wait_for(lambda: is_ready(running.parts.api_url))
        assert running.stop() == 0
        assert not (tmp_path / "data" / "postgres").exists()
        assert temporal.child is not None
        assert temporal.child.exit_code is None
    finally:
        await temporal.stop()
        await postgres.stop()


def test_a_part_that_cannot_start_stops_the_others_and_says_why(tmp_path: Path) -> None:
    (tmp_path / "data" / "temporal").mkdir(parents=True)
    (tmp_path / "data" / "temporal" / "temporal.db").mkdir()

    failed = streamforge(
        "up", "--port", "0", "--temporal-port", "0", "--ui-port", "0", "--data-dir", "data", cwd=tmp_path
    )

    assert failed.returncode == 1
    assert failed.stderr.startswith("streamforge: Temporal ended with code 1 at its start: ")
    assert leftovers.matching(lambda process: str(tmp_path) in " ".join(process.cmdline())) == []
