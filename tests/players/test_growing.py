"""Who joins while the job still runs sees the film from its beginning, and goes on into what was not there yet."""

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from player import HLS, KINDS, Cinema, Kind, Report
from streams import Stream, Streams, manifests_of

from streamforge.contracts.media.encoded import EncodedTrack
from streamforge.packaging.presentation import GrowingStream, ladders, planned_so_far, playable_so_far, presentation

pytestmark = pytest.mark.asyncio(loop_scope="session")

JOB_RUNS_FOR = timedelta(minutes=1)
NEXT_SEGMENT_AFTER = 0.7

# Chromium's own HLS is young: it gives up ("could not parse") when it changes renditions while there is one segment.
JOINING = {name: kind for name, kind in KINDS.items() if kind.player != "native"}


@pytest.mark.parametrize("name", ["four short segments", "four short segments of H.264 and AV1"])
async def test_everybody_joins_while_the_job_runs(cinema: Cinema, streams: Streams, name: str) -> None:
    """All at once: at a live stream's own speed, one after the other would take minutes. With HLS they end up with the
    best picture; players of DASH take up no rendition that their first manifest did not have."""
    stream = await streams.get(name)
    await streams.write(stream, smallest_alone(stream))
    opened = asyncio.Barrier(len(JOINING) + 1)

    async def watch(kind: Kind) -> tuple[Report, Report]:
        async with cinema.showing(stream, kind) as player:
            before = await player.report()
            await opened.wait()
            await player.play_on()
            await player.see_last_picture()
            return before, await player.report()

    async with asyncio.TaskGroup() as tasks:
        watching = {name: tasks.create_task(watch(kind)) for name, kind in JOINING.items()}
        await opened.wait()
        await grow(streams, stream)

    for player, task in watching.items():
        before, after = task.result()
        assert before.firstFrame == 0, player
        assert before.buffered[0][1] < 3, player
        assert before.size == (214, 120), player
        assert after.complaints == [], player
        assert after.ended, player
        assert after.duration == pytest.approx(stream.source.duration, abs=0.1), player
        assert after.lastFrame == pytest.approx(stream.source.duration, abs=0.15), player
        if JOINING[player].manifest == HLS:
            assert after.size == (320, 180), player


async def grow(streams: Streams, stream: Stream) -> None:
    for segments in (1, 2, 3):
        await asyncio.sleep(NEXT_SEGMENT_AFTER)
        await streams.write(stream, so_far(stream, segments))
    await asyncio.sleep(NEXT_SEGMENT_AFTER)
    await streams.write(stream, manifests_of(stream.presentation))


def smallest_alone(stream: Stream) -> dict[str, str]:
    """The manifests when there is one segment of the smallest rendition of each codec and nothing of any other."""
    return growing(stream, [[ladder[-1].encoded for ladder in ladders(stream.presentation.video)]], 1)


def so_far(stream: Stream, segments: int) -> dict[str, str]:
    """The manifests while there are only so many segments of each track."""
    return growing(stream, [[track.encoded for track in stream.presentation.video]], segments)


def growing(stream: Stream, parts: list[list[EncodedTrack]], segments: int) -> dict[str, str]:
    whole, now = stream.presentation, datetime.now(UTC)
    cut = [[first(track, segments) for track in part] for part in parts]
    part = presentation(
        whole.source, whole.plan, playable_so_far(cut), [first(track.encoded, segments) for track in whole.audio]
    )
    state = GrowingStream(
        began_at=now - JOB_RUNS_FOR,
        now=now,
        segment_seconds=whole.plan.segment_seconds,
        source_seconds=whole.source.duration,
        video=planned_so_far(whole.plan, cut),
    )
    return manifests_of(part, state)


def first(track: EncodedTrack, segments: int) -> EncodedTrack:
    return track.model_copy(update={"segments": track.segments[:segments]})
