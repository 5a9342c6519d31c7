"""The embedded Temporal server: ready means that workflows can be started and searched, and they outlive a kill -9."""

import os
import signal
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from temporalio.api.operatorservice.v1 import ListSearchAttributesRequest
from temporalio.client import Client

from streamforge.contracts import names
from streamforge.embedded.child import ChildDied
from streamforge.embedded.temporal import FAIR, MARK, URGENT_ONLY, EmbeddedTemporal
from streamforge.errors import PortInUse
from streamforge.settings import TemporalSettings
from streamforge.temporal.connect import connect


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[EmbeddedTemporal]:
    server = EmbeddedTemporal(tmp_path / "temporal")
    yield server
    await server.stop()


async def client_of(server: EmbeddedTemporal) -> Client:
    return await connect(TemporalSettings(address=server.address))


async def test_a_started_server_knows_our_search_attributes(server: EmbeddedTemporal) -> None:
    await server.start()
    client = await client_of(server)
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    assert set(names.SEARCH_ATTRIBUTES) <= set(known.custom_attributes)


async def test_a_workflow_that_waits_for_a_worker_is_still_there_after_a_kill(server: EmbeddedTemporal) -> None:
    await server.start()
    await (await client_of(server)).start_workflow("Waits", id="kept", task_queue="nobody-listens")
    assert server.child is not None
    os.kill(server.child.pid, signal.SIGKILL)
    await server.child.wait()

    await server.start()

    description = await (await client_of(server)).get_workflow_handle("kept").describe()
    assert description.workflow_type == "Waits"


async def test_only_a_database_whose_queues_had_one_order_from_the_beginning_has_one(server: EmbeddedTemporal) -> None:
    """In one of a version before parts may wait where nobody would read them."""
    await server.start()
    await server.stop()
    assert EmbeddedTemporal(server.folder).settings == FAIR
    (server.folder / MARK).unlink()
    assert EmbeddedTemporal(server.folder).settings == URGENT_ONLY
    await server.start()
    assert server.settings == URGENT_ONLY


async def test_its_database_lies_in_its_folder_whatever_that_is_called(tmp_path: Path) -> None:
    """Its name would be a URI to SQLite: the database lay beside the folder, for everybody to read, or was none."""
    name = "a#b?mode=memory&100%41'\"; -gr\u00fc\u00dfe"
    folder = tmp_path / name
    for _ in range(2):
        server = EmbeddedTemporal(folder)
        await server.start()
        await server.stop()
    assert (folder / "temporal.db").stat().st_size > 0
    assert [path.name for path in tmp_path.iterdir()] == [name]


async def test_a_port_that_is_taken_is_refused_before_anything_starts(server: EmbeddedTemporal, tmp_path: Path) -> None:
    await server.start()
    with pytest.raises(PortInUse, match="--temporal-port"):
        EmbeddedTemporal(tmp_path / "rival", port=int(server.address.rpartition(":")[2]))


async def test_a_server_that_cannot_start_says_why(tmp_path: Path) -> None:
    (tmp_path / "temporal.db").mkdir()
    server = EmbeddedTemporal(tmp_path)
    with pytest.raises(ChildDied, match="database"):
        await server.start()


async def test_when_another_program_takes_its_port_first_it_takes_another_one(server: EmbeddedTemporal) -> None:
    chosen = server.address
    with socket.create_server(("127.0.0.1", int(chosen.rpartition(":")[2]))):
        assert await server.start() != chosen
    assert (await client_of(server)).namespace == "default"


async def test_one_that_answers_in_its_place_is_not_taken_for_it(server: EmbeddedTemporal, tmp_path: Path) -> None:
    """Both answer alike, and the second one dies only when it has found out."""
    second = EmbeddedTemporal(tmp_path / "second")
    second._port.number = server._port.number
    await server.start()
    try:
        assert await second.start() != server.address
    finally:
        await second.stop()
