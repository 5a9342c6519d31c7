"""Nobody else on this machine reaches the embedded Temporal and PostgreSQL: tried as another user."""

import asyncio
import os
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import httpx
import psutil
import pytest
import pytest_asyncio

from streamforge.embedded import gatekeeper, leftovers
from streamforge.embedded.postgres import EmbeddedPostgres
from streamforge.embedded.temporal import EmbeddedTemporal
from streamforge.kernel import namespaces
from streamforge.settings import TemporalSettings
from streamforge.temporal.connect import connect

as_another_user = pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")

HEAD = """
import socket, sys
with socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20) as talking:
    talking.sendall(sys.argv[2].encode().decode("unicode_escape").encode("latin-1"))
    try:
        print(talking.recv(1000))
    except ConnectionResetError:
        print("reset")
"""

GRPC = r"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00"
HTTP = r"GET / HTTP/1.0\r\n\r\n"
POSTGRES = r"\x00\x00\x00\x2c\x00\x03\x00\x00user\x00streamforge\x00database\x00postgres\x00\x00"


def said_to_nobody(port: int, greeting: str) -> str:
    """What a server answers to a process of the user nobody."""
    # The interpreter often lies below /root.
    through = ["--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--securebits=+no_setuid_fixup"]
    nobody = ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", *through]
    command = [*nobody, sys.executable, "-I", "-c", HEAD, str(port), greeting]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd="/").stdout.strip()


shared = pytest.mark.asyncio(loop_scope="module")

SECRET = "STREAMFORGE_AUTH__SECRET"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def server(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[EmbeddedTemporal]:
    server = EmbeddedTemporal(tmp_path_factory.mktemp("temporal"))
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(SECRET, "only-the-service-knows")
        await server.start()
    yield server
    await server.stop()


def port_of(address: str) -> int:
    return int(address.rpartition(":")[2])


@shared
async def test_its_own_user_reaches_temporal_and_its_page(server: EmbeddedTemporal) -> None:
    assert (await connect(TemporalSettings(address=server.address))).namespace == "default"
    async with httpx.AsyncClient(trust_env=False) as client:
        assert "<html" in (await client.get(server.ui_url)).text


@shared
async def test_a_page_whose_name_points_here_reads_nothing(server: EmbeddedTemporal) -> None:
    """DNS rebinding: Temporal's page answers to every name, and has its token in a cookie that scripts read. A page that its
    user looks at ended every workflow with it, past the API, its keys and its owners."""
    if not server.is_guarded:
        pytest.skip("no network namespaces here")
    workflows = f"{server.ui_url}/api/v1/namespaces/default/workflows"
    async with httpx.AsyncClient(trust_env=False) as client:
        for host in (
            "evil.example",
            "evil.example:8233",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "[evil",
            "",
        ):
            refused = await client.get(workflows, headers={"Host": host})
            assert refused.status_code == 421, host
            assert "executions" not in refused.text
            assert "set-cookie" not in refused.headers
            assert "localhost" in refused.text
        for host in ("localhost", "LOCALHOST:8233", "127.0.0.1:8233", "app.localhost"):
            assert "<html" in (await client.get(server.ui_url, headers={"Host": host})).text, host


@shared
async def test_neither_it_nor_temporal_has_the_service_s_secrets(server: EmbeddedTemporal) -> None:
    assert server.child is not None
    gatekeeper = psutil.Process(server.child.pid)
    for process in (gatekeeper, *gatekeeper.children()):
        assert SECRET not in process.environ()


@shared
@as_another_user
async def test_another_user_does_not(server: EmbeddedTemporal) -> None:
    """Not even a byte comes back. Without a gatekeeper both answer."""
    if not server.is_guarded:
        pytest.skip("no network namespaces here")
    for port, greeting in ((port_of(server.address), GRPC), (port_of(server.ui_url), HTTP)):
        assert await asyncio.to_thread(said_to_nobody, port, greeting) in {"reset", "b''"}


@shared
async def test_it_has_no_other_door(server: EmbeddedTemporal) -> None:
    """The server listens on more ports than it is asked for: all of them are in its own network."""
    if not server.is_guarded or server.child is None:
        pytest.skip("no network namespaces here")
    (temporal,) = psutil.Process(server.child.pid).children()
    outside = Path("/proc/self/ns/net").readlink()
    assert Path(f"/proc/{temporal.pid}/ns/net").readlink() != outside
    inside = {line.split()[1].rpartition(":")[2] for line in _listening(Path(f"/proc/{temporal.pid}/net/tcp"))}
    assert f"{port_of(server.address):04X}" in inside
    assert len(inside) > 2


def _listening(table: Path) -> list[str]:
    listening = "0A"
    return [line for line in table.read_text(encoding="ascii").splitlines()[1:] if line.split()[3] == listening]


async def test_it_ends_with_its_gatekeeper(tmp_path: Path) -> None:
    server = EmbeddedTemporal(tmp_path / "temporal")
    await server.start()
    try:
        if not server.is_guarded or server.child is None:
            pytest.skip("no network namespaces here")
        (temporal,) = psutil.Process(server.child.pid).children()
        os.kill(server.child.pid, 9)
        async with asyncio.timeout(10):
            while leftovers.is_alive(temporal):
                await asyncio.sleep(0.01)
    finally:
        await server.stop()


async def test_where_the_kernel_allows_no_network_it_runs_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in most containers. The gatekeeper says so before it starts anything."""
    refuses = tmp_path / "refuses.py"
    refuses.write_text(f"raise SystemExit({gatekeeper.NO_NETWORK})", encoding="utf-8")
    server = EmbeddedTemporal(tmp_path / "temporal")
    monkeypatch.setattr(server, "_gatekeeper", lambda: [sys.executable, str(refuses)])
    try:
        await server.start()
        assert not server.is_guarded
        assert (await connect(TemporalSettings(address=server.address))).namespace == "default"
    finally:
        await server.stop()


def test_a_connection_that_is_closed_has_no_owner() -> None:
    """Else what somebody said before he hung up would be heard as root's: the kernel forgets whose it was."""
    registry = gatekeeper.Registry()
    with closing(registry), socket.create_server(("127.0.0.1", 0)) as server:
        talking = socket.create_connection(server.getsockname())
        accepted, _ = server.accept()
        near, far = talking.getsockname(), talking.getpeername()
        assert registry.owner(near, far) == os.geteuid()
        talking.close()
        assert registry.owner(near, far) is None
        accepted.close()
        assert registry.owner(near, far) is None


def test_a_port_that_is_taken_is_told_before_anything_starts() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        command = [sys.executable, "-m", gatekeeper.__name__, port, "--", "never-started"]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
    assert ran.returncode == gatekeeper.PORT_TAKEN
    assert "in use" in ran.stdout


# ── PostgreSQL ──────────────────────────────────────────────────────────────────────────────────────────────────────
@as_another_user
async def test_another_user_is_asked_for_the_password_of_postgresql(postgres_dsn: str) -> None:
    """And cannot guess it: 24 random bytes, by SCRAM."""
    port = port_of(postgres_dsn.rpartition("/")[0])
    answer = await asyncio.to_thread(said_to_nobody, port, POSTGRES)
    assert "SCRAM-SHA-256" in answer


async def test_every_way_into_postgresql_asks_for_it(tmp_path: Path) -> None:
    server = EmbeddedPostgres(tmp_path / "postgres")
    try:
        await server.start()
    finally:
        await server.stop()
    rules = (tmp_path / "postgres" / "cluster" / "pg_hba.conf").read_text(encoding="utf-8").splitlines()
    methods = {rule.split()[-1] for rule in rules if rule.strip() and not rule.startswith("#")}
    assert methods == {"scram-sha-256"}


def test_namespaces_change_nothing_where_they_are_not_allowed() -> None:
    """A process that may not have one is where it was."""
    script = (
        "import os; from streamforge.kernel import namespaces as n; before = os.readlink('/proc/self/ns/net')\n"
        "n.unshare = lambda flags: (_ for _ in ()).throw(PermissionError(1, 'no'))\n"
        "try: n.leave(n.CLONE_NEWNET)\n"
        "except PermissionError: print(os.readlink('/proc/self/ns/net') == before)"
    )
    ran = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "True"
    assert namespaces.CLONE_NEWNET


def test_an_answer_does_not_wait_for_the_one_before_it_to_be_acknowledged() -> None:
    """With Nagle's algorithm (RFC 896) and a client's delayed acknowledgements each took 40 ms: a small job 1.1 s, not 0.8."""
    with gatekeeper._listening(0) as door, socket.create_connection(door.getsockname()):
        led_in, _ = door.accept()
        with led_in:
            assert led_in.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY) == 1
