"""Clocks that are told in a thousand pieces stay in the store."""

from pathlib import Path
from uuid import uuid4

from sources import audio, source, video

from activities.support import source_clocks
from streamforge.contracts.media.timeline import ClockRun, TrackClock
from streamforge.storage.local import LocalStorage

BROKEN = TrackClock(runs=[ClockRun(begin=n, position=1000 * n, shift=-n) for n in range(1000)], lead_ins=[(1, 2)])


async def test_short_clocks_go_along(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    found = source(video(clock=TrackClock(runs=BROKEN.runs[:3])), audio())
    assert await source_clocks.keep(storage, uuid4(), found) is found
    assert await source_clocks.read(storage, found) is found
    assert [info.name async for info in storage.walk("")] == []


async def test_long_clocks_are_read_where_they_are_needed(tmp_path: Path) -> None:
    storage = LocalStorage(tmp_path)
    found = source(video(clock=BROKEN), audio(clock=BROKEN), audio(2))
    sent = await source_clocks.keep(storage, uuid4(), found)
    assert len(sent.model_dump_json()) < 5_000 < len(found.model_dump_json())
    assert await source_clocks.read(storage, sent) == found
    second = sent.for_sound(found.audio[1].index)
    assert (await source_clocks.read(storage, second)).audio_clock(found.audio[0].index) == TrackClock()
    assert (await source_clocks.read(storage, sent.for_chunks())).video_required.clock == BROKEN
