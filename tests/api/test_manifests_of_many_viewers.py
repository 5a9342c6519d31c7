"""Manifests of streams that grow: what they cost, and which one is shown."""

import asyncio
from collections import Counter
from pathlib import Path
from uuid import UUID

import pytest

from streamforge.api import manifests
from streamforge.api.manifests import Manifests
from streamforge.packaging.presentation import DASH_MANIFEST, HLS_MASTER, may_still_grow
from streamforge.storage import ObjectInfo, layout
from streamforge.storage.local import LocalStorage

JOB = UUID("550e8400-e29b-41d4-a716-446655440000")
PLAYLIST = "360p/index.m3u8"
EVENT = b"#EXTM3U\n#EXT-X-PLAYLIST-TYPE:EVENT\n#EXTINF:4.0,\n0.m4s\n"
WHOLE = EVENT.replace(b"EVENT", b"VOD") + b"#EXT-X-ENDLIST\n"


class Asked(LocalStorage):
    """Counts what it is asked, and answers when it may."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.asked = Counter[str]()
        self.may_answer = asyncio.Event()
        self.may_answer.set()

    async def stat(self, name: str) -> ObjectInfo | None:
        self.asked["stat"] += 1
        info = await super().stat(name)
        await self.may_answer.wait()
        return info

    async def list_folders(self, prefix: str) -> list[str]:
        self.asked["list"] += 1
        return await super().list_folders(prefix)

    async def get_bytes(self, name: str) -> bytes | None:
        self.asked["get"] += 1
        return await super().get_bytes(name)

    async def grow(self, number: int, data: bytes, name: str = PLAYLIST) -> None:
        folder = layout.growing(JOB, number, 1)
        await self.put_bytes(f"{folder}{name}", data)
        await self.put_bytes(f"{folder}{layout.COMPLETE}", b"")


@pytest.fixture
def store(tmp_path: Path) -> Asked:
    return Asked(tmp_path)


async def shown(found: Manifests, name: str = PLAYLIST) -> bytes | None:
    manifest = await found.find(JOB, name)
    return manifest and manifest.data


# ── what they cost ──────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_thousand_viewers_are_one_question_to_the_store(store: Asked) -> None:
    await store.grow(0, EVENT)
    found = Manifests(store)
    answers = await asyncio.gather(*(shown(found) for _ in range(1000)))
    assert set(answers) == {EVENT}
    assert store.asked == {"stat": 3, "list": 1, "get": 1}


async def test_so_are_a_thousand_who_ask_for_what_is_not_there(store: Asked) -> None:
    found = Manifests(store)
    assert set(await asyncio.gather(*(shown(found) for _ in range(1000)))) == {None}
    assert store.asked == {"stat": 1, "list": 1}


async def test_bytes_that_were_read_before_are_not_read_again(store: Asked) -> None:
    await store.put_bytes(layout.output(JOB, PLAYLIST), WHOLE)
    found = Manifests(store)
    assert [await shown(found) for _ in range(3)] == [WHOLE] * 3
    assert store.asked == {"stat": 3, "get": 1}


async def test_what_is_kept_has_a_limit(store: Asked, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(manifests, "KEPT_BYTES", 2 * len(WHOLE))
    for name in "abc":
        await store.put_bytes(layout.output(JOB, f"{name}.m3u8"), WHOLE)
    found = Manifests(store)
    for name in ("a", "b", "a", "c", "a", "b"):
        await shown(found, f"{name}.m3u8")
    assert store.asked["get"] == 4


async def test_nobody_gets_the_answer_to_an_older_question(store: Asked) -> None:
    """Who hears that it is playable finds it, also while somebody is being told that it is not."""
    found = Manifests(store)
    store.may_answer.clear()
    early = asyncio.create_task(shown(found))
    while not store.asked:
        await asyncio.sleep(0)
    await store.put_bytes(layout.output(JOB, PLAYLIST), WHOLE)
    late = asyncio.create_task(shown(found))
    store.may_answer.set()
    assert await late == WHOLE
    await early


async def test_a_viewer_who_goes_takes_no_other_along(store: Asked) -> None:
    await store.grow(0, EVENT)
    found = Manifests(store)
    store.may_answer.clear()
    gone, stays = asyncio.create_task(shown(found)), asyncio.create_task(shown(found))
    while not store.asked:
        await asyncio.sleep(0)
    gone.cancel()
    store.may_answer.set()
    assert await stays == EVENT


# ── what older versions left ────────────────────────────────────────────────────────────────────────────────────────
async def test_a_growing_one_in_the_place_of_the_final_one_does_not_stand_still(store: Asked) -> None:
    """Versions before wrote them there; the job goes on with new workers."""
    found = Manifests(store)
    await store.put_bytes(layout.output(JOB, PLAYLIST), EVENT)
    assert await shown(found) == EVENT
    newer = EVENT + b"#EXTINF:4.0,\n360000.m4s\n"
    await store.grow(3, newer)
    assert await shown(found) == newer
    await store.put_bytes(layout.output(JOB, PLAYLIST), WHOLE)
    assert await shown(found) == WHOLE


@pytest.mark.parametrize(
    ("name", "growing", "final"),
    [
        (PLAYLIST, EVENT, WHOLE),
        (DASH_MANIFEST, b'<MPD type="dynamic"><Period/></MPD>', b'<MPD type="static"><Period/></MPD>'),
        (
            HLS_MASTER,
            b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n360p/growing.m3u8\n",
            b"#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n360p/index.m3u8\n",
        ),
    ],
)
def test_what_may_still_grow_says_so(name: str, growing: bytes, final: bytes) -> None:
    assert may_still_grow(growing), name
    assert not may_still_grow(final), name
