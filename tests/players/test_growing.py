"""Who joins while the job still runs sees the film from its beginning, and goes on into what was not there yet."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from player import KINDS, Cinema, Kind, Report
from streams import Stream, Streams, manifests_of

from streamforge.contracts.media import EncodedTrack
from streamforge.planning.manifests import Growing

pytestmark = pytest.mark.asyncio(loop_scope="session")

JOB_RUNS_FOR = timedelta(minutes=1)
NEXT_SEGMENT_AFTER = 0.7

# Chromium's own HLS is young: it gives up ("could not parse") when it changes renditions while there is one segment.
JOINING = {name: kind for name, kind in KINDS.items() if kind.player != "native"}


async def test_everybody_joins_while_the_job_runs(cinema: Cinema, streams: Streams) -> None:
    """All at once: at a live stream's own speed, one after the other would take minutes."""
    stream = await streams.get("four chunks")
    await streams.write(stream, so_far(stream, 1))
    opened = asyncio.Barrier(len(JOINING) + 1)

    async def watch(kind: Kind) -> tuple[Report, Report]:
        async with cinema.showing(stream, kind) as player:
            before = await player.report()
            await opened.wait()
            await player.play_on()
            return before, await player.report()

    async with asyncio.TaskGroup() as tasks:
        watching = {name: tasks.create_task(watch(kind)) for name, kind in JOINING.items()}
        await opened.wait()
        await grow(streams, stream)

    for name, task in watching.items():
        before, after = task.result()
        assert before.firstFrame == 0, name
        assert before.buffered[0][1] < 5, name
        assert after.complaints == [], name
        assert after.ended, name
        assert after.duration == pytest.approx(stream.source.duration, abs=0.1), name
        assert after.lastFrame == pytest.approx(stream.source.duration, abs=0.15), name


async def grow(streams: Streams, stream: Stream) -> None:
    for segments in (2, 3):
        await asyncio.sleep(NEXT_SEGMENT_AFTER)
        await streams.write(stream, so_far(stream, segments))
    await asyncio.sleep(NEXT_SEGMENT_AFTER)
    await streams.write(stream, manifests_of(stream.presentation))


def so_far(stream: Stream, segments: int) -> dict[str, str]:
    """The manifests while there are only so many segments of each track."""

    def first(track: EncodedTrack) -> EncodedTrack:
        return track.model_copy(update={"segments": track.segments[:segments]})

    whole, now = stream.presentation, datetime.now(UTC)
    growing = Growing(
        began_at=now - JOB_RUNS_FOR,
        now=now,
        segment_seconds=whole.plan.segment_seconds,
        source_seconds=whole.source.duration,
    )
    part = replace(
        whole,
        video=[replace(track, encoded=first(track.encoded)) for track in whole.video],
        audio=[replace(track, encoded=first(track.encoded)) for track in whole.audio],
    )
    return manifests_of(part, growing)
