"""A part that cannot have its port gets another one, if the port was ours to choose."""

import pytest

from streamforge.embedded.child import PORT_TRIES, ChildDied, EndedAtStart, start_on
from streamforge.embedded.ports import Port, claim, free_port
from streamforge.errors import PortInUse

HOST = "127.0.0.1"


class Part:
    """Its starts fail with these; then it runs. It remembers on which port each start was."""

    def __init__(self, port: Port, *failures: ChildDied) -> None:
        self.port = port
        self.tried: list[int] = []
        self._failures = list(failures)

    async def start(self) -> None:
        self.tried.append(self.port.number)
        if self._failures:
            raise self._failures.pop(0)

    async def stop(self) -> None:
        pass


async def test_a_port_that_was_taken_for_a_moment_only_is_exchanged_too() -> None:
    """As by the near end of somebody's connection, which is gone when we look."""
    part = Part(Port(HOST, 0), EndedAtStart("could not bind"))
    await start_on(part.start, part.stop, part.port)
    first, second = part.tried
    assert first != second


async def test_a_part_that_always_ends_is_not_started_for_ever() -> None:
    part = Part(Port(HOST, 0), *(EndedAtStart("no such option") for _ in range(100)))
    with pytest.raises(ChildDied, match="no such option"):
        await start_on(part.start, part.stop, part.port)
    assert len(part.tried) == PORT_TRIES + 1


@pytest.mark.parametrize(
    ("port", "failure"),
    [(free_port(HOST), EndedAtStart("could not bind")), (0, ChildDied("not ready after 60 s"))],
    ids=["the port was asked for", "it only was slow"],
)
async def test_where_another_port_cannot_help_it_is_started_once(port: int, failure: ChildDied) -> None:
    part = Part(Port(HOST, port), failure)
    with pytest.raises(ChildDied):
        await start_on(part.start, part.stop, part.port)
    assert len(part.tried) == 1


@pytest.mark.parametrize("host", ["203.0.113.1", "no such host"])
def test_an_address_of_another_machine_is_no_matter_of_the_port(host: str) -> None:
    with pytest.raises(PortInUse, match=rf"no address {host} to listen on; choose .* with --host"):
        claim(host, 8081, flag="--port")
