"""The queue of one client, and what merging may and may not do to it. Streams as a whole: tests/api/test_stream.py."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from streamforge.contracts.job import Stage
from streamforge.events.broadcaster import DROP_ABOVE, MERGE_ABOVE, ClientTooSlow, ServerLeaving, Subscription
from streamforge.events.frames import Frame

RUNNING = [Stage.TRANSCODING, Stage.VALIDATION, Stage.PACKAGING]


def frame(seq: int, event: str = "progress", stage: Stage = Stage.TRANSCODING) -> Frame:
    return Frame(seq, event, stage, b"")


async def drain(subscription: Subscription) -> list[Frame]:
    taken = []
    subscription.end(ServerLeaving())
    try:
        while True:
            taken.append(await subscription.next())
    except ServerLeaving:
        return taken


async def test_a_client_that_keeps_up_sees_every_frame() -> None:
    subscription = Subscription()
    for seq in range(1, MERGE_ABOVE):
        subscription.put(frame(seq))
    assert [taken.seq for taken in await drain(subscription)] == list(range(1, MERGE_ABOVE))


async def test_for_a_slow_client_progress_is_merged_and_the_latest_wins() -> None:
    subscription = Subscription()
    for seq in range(1, 10_000):
        subscription.put(frame(seq))
    taken = await drain(subscription)
    assert len(taken) == MERGE_ABOVE
    assert taken[-1].seq == 9_999


async def test_a_client_that_takes_nothing_of_what_cannot_be_merged_is_dropped() -> None:
    subscription = Subscription()
    for seq in range(DROP_ABOVE + 1):
        subscription.put(frame(seq, "rendition"))
    with pytest.raises(ClientTooSlow):
        await subscription.next()


@given(
    st.lists(st.tuples(st.sampled_from(["progress", "rendition", "playable"]), st.sampled_from(RUNNING)), max_size=300)
)
async def test_merging_loses_no_named_event_no_stage_and_never_the_order(sent: list[tuple[str, Stage]]) -> None:
    subscription = Subscription()
    frames = [frame(seq, event, stage) for seq, (event, stage) in enumerate(sent, 1)]
    for each in [*frames, frame(len(frames) + 1, "progress", Stage.COMPLETED)]:
        subscription.put(each)
    taken = await drain(subscription)
    assert [each.seq for each in taken] == sorted({each.seq for each in taken})
    assert [each for each in taken if each.event != "progress"] == [e for e in frames if e.event != "progress"]
    assert taken[-1].stage is Stage.COMPLETED
    assert _runs([each.stage for each in taken]) == _runs([each.stage for each in frames] + [Stage.COMPLETED])


def _runs(stages: list[Stage]) -> list[Stage]:
    return [stage for n, stage in enumerate(stages) if n == 0 or stages[n - 1] != stage]
