"""One client's end of the fan-out: straight to the socket, a bounded queue while it is backed up, and what merging may
and may not do to it. Streams as a whole: tests/api/test_stream.py."""

import asyncio
from collections.abc import Sequence
from itertools import count

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamforge.events import clients, frames
from streamforge.events.clients import DROP_ABOVE, MERGE_ABOVE, Client
from streamforge.events.frames import Frame


class Socket:
    """A wire whose socket can be backed up. `sent` is what it took."""

    def __init__(self) -> None:
        self.sent: list[Frame] = []
        self.aborted = False
        self.broken = False
        self._room = asyncio.Event()
        self._room.set()

    def back_up(self) -> None:
        self._room.clear()

    def take_again(self) -> None:
        self._room.set()

    async def send(self, frame: Frame) -> None:
        if self.broken:
            raise OSError("the client is gone")
        await self._room.wait()
        self.sent.append(frame)

    async def send_all(self, frames: Sequence[Frame]) -> None:
        for frame in frames:
            await self.send(frame)

    def abort(self) -> None:
        self.aborted = True

    @property
    def ids(self) -> list[int | None]:
        return [frame.id for frame in self.sent]


def frame(number: int, merges_as: str | None = "a job, transcoding", *, closes: bool = False) -> Frame:
    return Frame("progress", "{}", id=number, merges_as=merges_as, closes=closes)


async def live(socket: Socket) -> Client:
    client = Client(socket)
    await client.go_live(0)
    return client


async def settled(client: Client) -> None:
    """Whatever the client sends by a task of its own is sent."""
    assert client._catching_up is not None
    await client._catching_up


async def test_a_client_that_keeps_up_has_its_frames_when_deliver_returns() -> None:
    socket = Socket()
    client = await live(socket)
    for number in (1, 2, 3):
        client.deliver(frame(number))
        assert socket.ids[-1] == number
    assert client._catching_up is None, "and no task was needed"


async def test_what_is_delivered_while_the_story_is_told_follows_it_once() -> None:
    socket = Socket()
    client = Client(socket)
    for number in (3, 4, 5):
        client.deliver(frame(number))
    await client.tell([frame(1), frame(2), frame(3), frame(4)])
    await client.go_live(seen=4)
    client.deliver(frame(6))
    assert socket.ids == [1, 2, 3, 4, 5, 6]


async def test_a_backed_up_client_gets_everything_in_order_when_it_reads_again() -> None:
    socket = Socket()
    client = await live(socket)
    client.deliver(frame(1))
    socket.back_up()
    for number in (2, 3, 4):
        client.deliver(frame(number))
    assert socket.ids == [1]
    socket.take_again()
    await settled(client)
    client.deliver(frame(5))
    assert socket.ids == [1, 2, 3, 4, 5]


async def test_for_a_slow_client_progress_is_merged_and_the_latest_wins() -> None:
    socket = Socket()
    client = await live(socket)
    socket.back_up()
    for number in range(1, 10_000):
        client.deliver(frame(number))
    socket.take_again()
    await settled(client)
    assert len(socket.sent) <= MERGE_ABOVE + 1
    assert socket.ids[-1] == 9_999


async def test_progress_of_many_jobs_is_merged_for_each() -> None:
    socket = Socket()
    client = await live(socket)
    socket.back_up()
    numbers = count(1)
    for _ in range(100):
        for job in range(50):
            client.deliver(frame(next(numbers), f"job {job}"))
    socket.take_again()
    await settled(client)
    assert not socket.aborted
    assert socket.ids == sorted(socket.ids, key=lambda number: number or 0)
    assert set(range(4951, 5001)) <= set(socket.ids), "the latest of each"


async def test_a_client_that_takes_nothing_of_what_cannot_be_merged_is_dropped() -> None:
    socket = Socket()
    client = await live(socket)
    socket.back_up()
    for number in range(1, DROP_ABOVE + 3):
        client.deliver(frame(number, merges_as=None))
    assert socket.aborted
    client.close()


async def test_a_client_whose_socket_stays_full_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clients, "SEND_TIMEOUT", 0.01)
    socket = Socket()
    client = await live(socket)
    socket.back_up()
    client.deliver(frame(1))
    await settled(client)
    assert socket.aborted
    client.deliver(frame(2))
    assert socket.ids == []


async def test_a_client_that_is_gone_disturbs_nobody() -> None:
    socket = Socket()
    client = await live(socket)
    socket.broken = True
    client.deliver(frame(1))
    client.deliver(frame(2))
    client.heartbeat()


async def test_nothing_follows_what_closes_the_connection() -> None:
    socket = Socket()
    client = await live(socket)
    client.deliver(frames.done())
    client.deliver(frame(2))
    client.heartbeat()
    assert [each.event for each in socket.sent] == ["done"]


async def test_an_end_that_was_told_is_not_delivered_again() -> None:
    """The job ends while its stream opens: the table has the end already, and the broadcaster delivers it as well."""
    for told_before in (True, False):
        socket = Socket()
        client = Client(socket)
        delivered = (frame(5, merges_as=None), frames.done(), frames.reconnect())
        if told_before:
            await client.tell([frame(5), frames.done()])
        for each in delivered:
            client.deliver(each)
        if not told_before:
            await client.tell([frame(5), frames.done()])
        await client.go_live(seen=5)
        client.deliver(frames.done())
        client.heartbeat()
        assert [each.event for each in socket.sent] == ["progress", "done"]


async def test_a_client_with_frames_waiting_needs_no_heartbeat() -> None:
    socket = Socket()
    client = await live(socket)
    client.heartbeat()
    socket.back_up()
    client.deliver(frame(1))
    client.heartbeat()
    socket.take_again()
    await settled(client)
    assert socket.sent[0] is frames.HEARTBEAT
    assert socket.ids == [None, 1]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 2)), max_size=300), st.integers(0, 300))
async def test_merging_loses_no_named_event_no_stage_and_never_the_order(
    steps: list[tuple[bool, int]], backed_up_at: int
) -> None:
    """Stages only go forward, as the log has them: `steps` tells which event is a named one, and how far it goes on."""
    socket = Socket()
    client = await live(socket)
    stage, sent = 0, []
    for number, (named, onward) in enumerate(steps, 1):
        stage += onward
        sent.append(frame(number, None if named else f"stage {stage}"))
        if number == backed_up_at:
            socket.back_up()
        client.deliver(sent[-1])
    socket.take_again()
    if client._catching_up is not None:
        await settled(client)
    taken = socket.sent
    assert taken == sorted(taken, key=lambda each: each.id or 0)
    assert [each for each in taken if each.merges_as is None] == [each for each in sent if each.merges_as is None]
    stages = dict.fromkeys(each.merges_as for each in sent if each.merges_as is not None)
    assert list(dict.fromkeys(each.merges_as for each in taken if each.merges_as is not None)) == list(stages)
    assert taken[-1:] == sent[-1:]
