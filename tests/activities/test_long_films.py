"""What grows with a film's length is done beside the event loop, and costs no more than in proportion."""

import asyncio
import gc
import threading
from pathlib import Path
from uuid import uuid4

import pytest
from sources import stream

from activities.package import write_manifests
from activities.support.garbage import no_full_collections
from activities.transcode import next_record
from streamforge.packaging import hls
from streamforge.storage.local import LocalStorage


async def test_manifests_are_not_computed_by_the_event_loop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of twelve hours took half a minute, and the worker was taken for dead."""
    computed_by = []

    def playlists(*_: object) -> dict[str, str]:
        computed_by.append(threading.current_thread())
        return {}

    monkeypatch.setattr(hls, "playlists", playlists)
    await write_manifests(LocalStorage(tmp_path), uuid4(), stream())
    (thread,) = computed_by
    assert thread is not threading.current_thread()


async def test_full_collections_wait_until_the_last_film_is_gone() -> None:
    usual = gc.get_threshold()
    first_may_end = asyncio.Event()

    async def first() -> None:
        with no_full_collections():
            await first_may_end.wait()

    holding = asyncio.create_task(first())
    await asyncio.sleep(0)
    with no_full_collections():
        first_may_end.set()
        await holding
        assert gc.get_threshold()[:2] == usual[:2]
        assert gc.get_threshold()[2] > 1_000_000
    assert gc.get_threshold() == usual


def test_receipts_of_sound_that_is_under_way_grow_with_the_film() -> None:
    """Each names all segments so far."""

    def named(segments: int) -> int:
        told = all_ = 0
        for count in range(1, segments + 1):
            if count >= next_record(told):
                told = count
                all_ += count
        return all_

    assert named(21_600) <= 2.2 * named(10_800)
    assert named(16) == sum(range(17)), "the first minute is told to the second"
