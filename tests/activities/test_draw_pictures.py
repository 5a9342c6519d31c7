"""The pictures of a film, from what its chunks have kept in a bucket."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import numpy as np
import pytest
from images import CLOSE, center, rgb
from obstore.store import MemoryStore
from sources import source, track, video
from temporalio.testing import ActivityEnvironment

from activities.stills import NOT_ALL, StillsActivities
from activities.support import work_records
from activities.support.scratch import Scratch
from streamforge.contracts.media.encoded import EncodedTracks
from streamforge.contracts.media.source import VIDEO_TIMESCALE
from streamforge.contracts.media.stills import Pictures, Tile, TileSet
from streamforge.contracts.pipeline import EncodedPart, EncodedStream, StillsInput, StoredSource
from streamforge.errors import StorageCorrupted
from streamforge.media.worker.children import MediaChildren
from streamforge.planning.plan import make_plan
from streamforge.planning.stills import POSTER, THUMBNAIL, TILES
from streamforge.settings import Settings
from streamforge.storage import layout
from streamforge.storage.bucket import BucketStorage

FILM = source(video(160, 90, duration=4))
PLAN = make_plan(FILM, Settings.model_validate({"pictures": {"interval_seconds": 1}}))


@pytest.fixture
def bucket() -> BucketStorage:
    return BucketStorage(MemoryStore())


@pytest.fixture
def drawing(bucket: BucketStorage, children: MediaChildren, tmp_path: Path) -> Iterator[StillsActivities]:
    scratch = Scratch(tmp_path)
    yield StillsActivities(bucket, children, scratch)
    scratch.close()


def gray(level: int) -> bytes:
    return np.concatenate([np.full(160 * 90, level, np.uint8), np.full(160 * 45, 128, np.uint8)]).tobytes()


def tile(slot: int, contrast: float = 50) -> Tile:
    return Tile(slot=slot, ticks=slot * VIDEO_TIMESCALE, brightness=100, contrast=contrast, sharpness=8, detail=4)


async def kept(bucket: BucketStorage, *sets: TileSet) -> StillsInput:
    """A chunk for each set. Its tiles are as gray as their slots say, its poster's bytes are its name."""
    original = StoredSource(job_id=uuid4(), source_object="input/x/original", size_bytes=1, sha256="0" * 64)
    film = layout.work_record(original.job_id, "chunk-0")
    encoded = EncodedTracks(tracks=[track("90p", [4 * VIDEO_TIMESCALE], [1000])])
    nothing = layout.work_record(original.job_id, "chunk-1")
    await work_records.write(bucket, film, encoded)
    await work_records.write(bucket, nothing, EncodedTracks(tracks=[]))
    parts = [EncodedPart(receipt=film, frames=1, size_bytes=1)]
    for number, tiles in enumerate(sets):
        receipt = layout.work_record(original.job_id, f"pictures-{number}")
        raw = b"".join(gray(50 * each.slot) for each in tiles.tiles)
        for name, data in ((TILES, raw), (POSTER, b"poster %d" % number), (THUMBNAIL, b"thumbnail %d" % number)):
            await bucket.put_bytes(layout.file_of_record(receipt, name), data)
        await work_records.write(bucket, receipt, tiles)
        parts.append(EncodedPart(receipt=nothing, frames=1, size_bytes=1, pictures=receipt))
    return StillsInput(original=original, source=FILM, plan=PLAN, encoded=EncodedStream(chunks=[parts], audio=[]))


async def drawn(drawing: StillsActivities, work: StillsInput) -> Pictures:
    pictures: Pictures = await ActivityEnvironment().run(drawing.pictures, work)
    return pictures


async def published(bucket: BucketStorage, work: StillsInput) -> dict[str, bytes]:
    folder = layout.output_folder(work.original.job_id)
    return {i.name.removeprefix(folder): await bucket.get_bytes(i.name) or b"" async for i in bucket.walk(folder)}


async def test_tiles_of_all_chunks_come_together_and_the_best_poster_is_taken(
    bucket: BucketStorage, drawing: StillsActivities
) -> None:
    first, second = TileSet(tiles=[tile(0), tile(1)], poster=tile(1, contrast=20)), TileSet(tiles=[], poster=None)
    third = TileSet(tiles=[tile(2), tile(3)], poster=tile(3))
    work = await kept(bucket, first, second, third)
    pictures = await drawn(drawing, work)
    files = await published(bucket, work)
    assert pictures.files == {name: len(data) for name, data in files.items()}
    assert set(files) == {"sprite-0.jpg", "thumbnails.vtt", "poster.jpg", "thumbnail.jpg"}
    assert (files["poster.jpg"], files["thumbnail.jpg"]) == (b"poster 2", b"thumbnail 2")
    assert (pictures.poster_seconds, pictures.warnings) == (3, [])
    sheet = rgb(files["sprite-0.jpg"])
    assert sheet.shape == (90, 640, 3)
    for slot in range(4):
        assert center(sheet[:, slot * 160 : (slot + 1) * 160]) == pytest.approx([50 * slot] * 3, abs=CLOSE)


async def test_drawn_again_they_are_the_same(bucket: BucketStorage, drawing: StillsActivities) -> None:
    work = await kept(bucket, TileSet(tiles=[tile(0), tile(2)], poster=tile(2)))
    first = await drawn(drawing, work), await published(bucket, work)
    assert (await drawn(drawing, work), await published(bucket, work)) == first


async def test_what_could_not_be_kept_is_told(bucket: BucketStorage, drawing: StillsActivities) -> None:
    work = await kept(bucket, TileSet(tiles=[tile(1)], failure="OSError: disk full"), TileSet(tiles=[]))
    pictures = await drawn(drawing, work)
    assert pictures.warnings == [NOT_ALL]
    assert set(pictures.files) == {"sprite-0.jpg", "thumbnails.vtt"}


async def test_a_film_without_a_single_tile_has_no_pictures(bucket: BucketStorage, drawing: StillsActivities) -> None:
    work = await kept(bucket, TileSet(tiles=[], failure="OSError: disk full"))
    assert await drawn(drawing, work) == Pictures(warnings=[NOT_ALL])


async def test_a_receipt_that_is_gone(bucket: BucketStorage, drawing: StillsActivities) -> None:
    work = await kept(bucket, TileSet(tiles=[tile(0)]))
    await bucket.delete(layout.work_folder(work.original.job_id))
    with pytest.raises(StorageCorrupted):
        await drawn(drawing, work)
