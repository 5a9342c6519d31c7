"""What every store must do, whatever it is made of."""

import asyncio
import hashlib
import os
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from streamforge.errors import StorageCorrupted
from streamforge.storage.protocol import ResumableStorage, Storage

NOT_NAMES = [
    "",
    "/",
    "/etc/passwd",
    "..",
    "../secret",
    "a/../../secret",
    "a/./b",
    "a//b",
    "a/",
    "a\0b",
    "a\nb",
    "x" * 256,
]
NOT_FOLDERS = ["/", "//", "../", "a/../", "a//", "/a/"]


async def read(storage: Storage, name: str, start: int, length: int) -> bytes:
    return b"".join([piece async for piece in storage.read(name, start, length)])


async def names_under(storage: Storage, prefix: str) -> list[str]:
    return sorted([info.name async for info in storage.walk(prefix)])


def file_with(content: bytes, folder: Path) -> Path:
    path = folder / "finished.mp4"
    path.write_bytes(content)
    return path


# ── writing and reading ─────────────────────────────────────────────────────────────────────────────────────────────
async def test_bytes_come_back_as_they_were_put(storage: Storage) -> None:
    content = bytes(range(256)) * 10
    await storage.put_bytes("output/job/init.mp4", content)
    assert await storage.get_bytes("output/job/init.mp4") == content


async def test_an_empty_object_is_an_object(storage: Storage) -> None:
    await storage.put_bytes("empty", b"")
    assert await storage.get_bytes("empty") == b""
    assert await read(storage, "empty", 0, 10) == b""
    info = await storage.stat("empty")
    assert info is not None
    assert info.size_bytes == 0


async def test_a_file_that_is_put_moves(storage: Storage, tmp_path: Path) -> None:
    path = file_with(b"segment", tmp_path)
    await storage.put_file("output/job/720p/0.m4s", path)
    assert not path.exists()
    assert await storage.get_bytes("output/job/720p/0.m4s") == b"segment"


@pytest.mark.parametrize("replace", [True, False])
async def test_a_file_that_is_not_there_is_not_the_stores_failure(
    storage: Storage, tmp_path: Path, replace: bool
) -> None:
    """Somebody emptied the scratch folder. Whoever waits until the store is well again would wait for ever."""
    with pytest.raises(FileNotFoundError):
        await storage.put_file("film", tmp_path / "nothing", replace=replace)


async def test_a_file_larger_than_one_part_arrives_whole(storage: Storage, tmp_path: Path) -> None:
    content = os.urandom(9 * 2**20)
    await storage.put_file("input/job/original", file_with(content, tmp_path))
    assert await read(storage, "input/job/original", 0, len(content)) == content


async def test_a_put_replaces_what_was_there(storage: Storage, tmp_path: Path) -> None:
    await storage.put_bytes("a", b"old and longer")
    await storage.put_bytes("a", b"new")
    assert await storage.get_bytes("a") == b"new"
    await storage.put_file("a", file_with(b"newest", tmp_path))
    assert await storage.get_bytes("a") == b"newest"


async def test_what_is_not_to_be_replaced_stays(storage: Storage, tmp_path: Path) -> None:
    await storage.put_bytes("a", b"first", replace=False)
    with pytest.raises(FileExistsError):
        await storage.put_bytes("a", b"second", replace=False)
    path = file_with(b"third", tmp_path)
    with pytest.raises(FileExistsError):
        await storage.put_file("a", path, replace=False)
    assert path.read_bytes() == b"third"
    assert await storage.get_bytes("a") == b"first"
    await storage.put_file("b", path, replace=False)
    assert not path.exists()
    assert await names_under(storage, "") == ["a", "b"]


async def test_of_many_who_put_what_is_not_to_be_replaced_one_wins(storage: Storage) -> None:
    puts = [storage.put_bytes("a", b"%d" % number, replace=False) for number in range(20)]
    outcomes = await asyncio.gather(*puts, return_exceptions=True)
    [winner] = [number for number, outcome in enumerate(outcomes) if outcome is None]
    assert await storage.get_bytes("a") == b"%d" % winner


async def test_what_is_absent_is_none(storage: Storage) -> None:
    await storage.put_bytes("output/job/here", b"x")
    for name in ["nothing", "output/job/nothing", "output/job", "output/job/here/below"]:
        assert await storage.get_bytes(name) is None, name
        assert await storage.stat(name) is None, name


async def test_reading_what_is_absent_says_that_it_vanished(storage: Storage, tmp_path: Path) -> None:
    for start in (0, 5):
        with pytest.raises(StorageCorrupted) as caught:
            await read(storage, "output/gone", start, 1)
        assert caught.value.debug == "output/gone"
    with pytest.raises(StorageCorrupted):
        async with storage.local_file("output/gone", tmp_path / "scratch"):
            pytest.fail("there is no such file")


@pytest.mark.parametrize(
    ("start", "length", "expected"),
    [
        pytest.param(0, 3, b"012", id="start"),
        pytest.param(4, 3, b"456", id="middle"),
        pytest.param(7, 3, b"789", id="end"),
        pytest.param(0, 10, b"0123456789", id="all"),
        pytest.param(7, 100, b"789", id="beyond the end"),
        pytest.param(0, 100, b"0123456789", id="more than all"),
        pytest.param(10, 5, b"", id="from the end on"),
        pytest.param(50, 5, b"", id="far behind the end"),
        pytest.param(4, 0, b"", id="nothing"),
    ],
)
async def test_a_range_holds_exactly_its_bytes(storage: Storage, start: int, length: int, expected: bytes) -> None:
    await storage.put_bytes("digits", b"0123456789")
    assert await read(storage, "digits", start, length) == expected


@pytest.mark.parametrize("start", [0, 1])
async def test_pieces_are_small_whatever_the_range(storage: Storage, start: int) -> None:
    content = os.urandom(700_001)
    await storage.put_bytes("large", content)
    pieces = [piece async for piece in storage.read("large", start, 600_000)]
    assert b"".join(pieces) == content[start : start + 600_000]
    assert max(map(len, pieces)) <= 256 * 1024


async def test_a_reader_may_leave_in_the_middle(storage: Storage) -> None:
    await storage.put_bytes("large", bytes(2**20))
    pieces = storage.read("large", 0, 2**20)
    assert await anext(aiter(pieces))
    await pieces.aclose()  # type: ignore[attr-defined]
    assert await read(storage, "large", 0, 2) == b"\0\0"


async def test_a_local_file_is_a_seekable_file_with_the_bytes(storage: Storage, tmp_path: Path) -> None:
    content = os.urandom(5 * 2**20)
    await storage.put_bytes("input/job/original", content)
    async with storage.local_file("input/job/original", tmp_path / "scratch") as path:
        assert path.is_file()
        with path.open("rb") as file:
            assert file.seek(3 * 2**20) == 3 * 2**20
            assert file.read(1000) == content[3 * 2**20 :][:1000]
            file.seek(0)
            assert file.read() == content


async def test_nothing_is_left_in_scratch_behind_a_local_file(storage: Storage, tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    await storage.put_bytes("input/job/original", b"bytes")

    async def fails_while_it_has_the_file() -> None:
        async with storage.local_file("input/job/original", scratch):
            raise RuntimeError("encoder")

    with pytest.raises(RuntimeError, match="encoder"):
        await fails_while_it_has_the_file()
    assert not scratch.exists() or not list(scratch.iterdir())
    assert await storage.get_bytes("input/job/original") == b"bytes"


# ── stat ────────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_stat_tells_size_and_time(storage: Storage) -> None:
    before = datetime.now(UTC) - timedelta(seconds=2)
    await storage.put_bytes("output/job/0.m4s", b"12345")
    info = await storage.stat("output/job/0.m4s")
    assert info is not None
    assert (info.name, info.size_bytes) == ("output/job/0.m4s", 5)
    assert before <= info.modified_at <= datetime.now(UTC) + timedelta(seconds=2)


async def test_the_etag_changes_with_the_bytes_even_when_the_size_does_not(storage: Storage) -> None:
    etags = []
    for number in range(20):
        await storage.put_bytes("manifest", b"version %02d" % number)
        info = await storage.stat("manifest")
        assert info is not None
        etags.append(info.etag)
    assert all(earlier != later for earlier, later in pairwise(etags))


async def test_the_etag_stays_while_the_bytes_do_and_fits_a_header(storage: Storage) -> None:
    await storage.put_bytes("manifest", b"content")
    first, second = await storage.stat("manifest"), await storage.stat("manifest")
    assert first is not None
    assert first == second
    assert first.etag
    assert '"' not in first.etag
    assert first.etag.isascii()


# ── listing and deleting ────────────────────────────────────────────────────────────────────────────────────────────
async def test_walk_finds_all_below_a_folder_and_nothing_beside_it(storage: Storage) -> None:
    for name in ["output/ab/x", "output/ab/deep/er/y", "output/abc/z", "output/a", "work/ab/x"]:
        await storage.put_bytes(name, b"1")
    assert await names_under(storage, "output/ab/") == ["output/ab/deep/er/y", "output/ab/x"]
    assert await names_under(storage, "output/") == ["output/a", "output/ab/deep/er/y", "output/ab/x", "output/abc/z"]
    assert len(await names_under(storage, "")) == 5


async def test_walk_describes_what_it_finds_as_stat_does(storage: Storage) -> None:
    await storage.put_bytes("output/ab/x", b"12345")
    [walked] = [info async for info in storage.walk("output/")]
    found = await storage.stat("output/ab/x")
    assert found is not None
    assert (walked.name, walked.size_bytes, walked.etag) == (found.name, found.size_bytes, found.etag)
    assert abs(walked.modified_at - found.modified_at) < timedelta(seconds=1)


async def test_walk_goes_on_behind_the_first_page(storage: Storage) -> None:
    names = [f"output/job/720p/{number:04}.m4s" for number in range(1100)]
    await asyncio.gather(*(storage.put_bytes(name, b"") for name in names))
    assert await names_under(storage, "output/job/") == names


async def test_folders_are_listed_by_name_without_what_is_deeper_and_without_objects(storage: Storage) -> None:
    for name in ["output/b/x", "output/a/deep/y", "output/file", "work/c/x"]:
        await storage.put_bytes(name, b"1")
    assert await storage.list_folders("output/") == ["a", "b"]
    assert await storage.list_folders("output/a/") == ["deep"]
    assert await storage.list_folders("output/b/") == []
    assert await storage.list_folders("") == ["output", "work"]


async def test_delete_counts_and_leaves_siblings(storage: Storage) -> None:
    for name in ["output/ab/x", "output/ab/deep/y", "output/abc/z", "output/a"]:
        await storage.put_bytes(name, b"1")
    assert await storage.delete("output/ab/") == 2
    assert await names_under(storage, "") == ["output/a", "output/abc/z"]
    assert await storage.get_bytes("output/ab/x") is None
    assert await storage.delete("output/ab/") == 0


async def test_a_folder_that_never_was_is_empty(storage: Storage) -> None:
    assert await names_under(storage, "output/nothing/") == []
    assert await storage.list_folders("output/nothing/") == []
    assert await storage.delete("output/nothing/") == 0


async def test_an_object_is_not_a_folder(storage: Storage) -> None:
    await storage.put_bytes("output/file", b"1")
    assert await names_under(storage, "output/file/") == []
    assert await storage.list_folders("output/file/") == []
    assert await storage.delete("output/file/") == 0
    assert await storage.get_bytes("output/file") == b"1"


async def test_a_deleted_name_can_be_written_again(storage: Storage) -> None:
    await storage.put_bytes("output/ab/x", b"1")
    await storage.delete("output/ab/")
    await storage.put_bytes("output/ab/x", b"2")
    assert await storage.get_bytes("output/ab/x") == b"2"


async def test_two_may_delete_the_same_folder_at_once(storage: Storage) -> None:
    await asyncio.gather(*(storage.put_bytes(f"output/ab/{number}/x", b"1") for number in range(30)))
    await asyncio.gather(*(storage.delete("output/ab/") for _ in range(4)))
    assert await names_under(storage, "output/ab/") == []


# ── safety ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("name", NOT_NAMES, ids=lambda name: repr(name[:20]))
async def test_what_is_no_name_is_refused(storage: Storage, tmp_path: Path, name: str) -> None:
    (tmp_path / "secret").write_bytes(b"secret")
    path = file_with(b"mine", tmp_path)
    with pytest.raises(ValueError, match="not an object name"):
        await storage.put_bytes(name, b"x")
    with pytest.raises(ValueError, match="not an object name"):
        await storage.put_file(name, path)
    with pytest.raises(ValueError, match="not an object name"):
        await storage.get_bytes(name)
    with pytest.raises(ValueError, match="not an object name"):
        await read(storage, name, 0, 10)
    with pytest.raises(ValueError, match="not an object name"):
        async with storage.local_file(name, tmp_path / "scratch"):
            pytest.fail("opened")
    assert await storage.stat(name) is None
    assert path.read_bytes() == b"mine"
    assert (tmp_path / "secret").read_bytes() == b"secret"


@pytest.mark.parametrize("prefix", NOT_FOLDERS)
async def test_what_is_no_folder_is_refused(storage: Storage, prefix: str) -> None:
    await storage.put_bytes("output/x", b"1")
    with pytest.raises(ValueError, match="not an object name"):
        await names_under(storage, prefix)
    with pytest.raises(ValueError, match="not an object name"):
        await storage.list_folders(prefix)
    with pytest.raises(ValueError, match="not an object name"):
        await storage.delete(prefix)
    assert await storage.get_bytes("output/x") == b"1"


async def test_a_well_store_passes_its_check_and_shows_no_trace_of_it(storage: Storage) -> None:
    await storage.check()
    await storage.check()
    assert await names_under(storage, "") == []
    assert await storage.list_folders("") == []


# ── what comes in pieces ────────────────────────────────────────────────────────────────────────────────────────────
async def test_pieces_become_one_object_whoever_writes_them(storage: ResumableStorage) -> None:
    await storage.write_part("incoming/a/", 0, b"01234")
    await storage.write_part("incoming/a/", 5, b"56789")
    await storage.sync_parts("incoming/a/")
    assert await storage.stat("input/a/original") is None
    assert await storage.read_parts("incoming/a/", 7) == b"0123456"
    sha256 = await storage.put_together("input/a/original", [("incoming/a/", 10)])
    assert await storage.get_bytes("input/a/original") == b"0123456789"
    assert sha256 == hashlib.sha256(b"0123456789").hexdigest()
    await storage.delete("incoming/a/")


async def test_what_was_not_counted_is_written_again(storage: ResumableStorage) -> None:
    """A request that came to nothing has left more behind than the next one begins with."""
    for offset, data in ((0, b"0123"), (4, b"????"), (8, b"????"), (4, b"45"), (6, b"67")):
        await storage.write_part("incoming/b/", offset, data)
    await storage.put_together("input/b/original", [("incoming/b/", 8)])
    assert await storage.get_bytes("input/b/original") == b"01234567"


async def test_folders_are_put_together_in_their_order(storage: ResumableStorage) -> None:
    for name, data in (("c", b"first "), ("d", b"second "), ("e", b"third, and what nobody counts")):
        await storage.write_part(f"incoming/{name}/", 0, data)
    parts = [("incoming/c/", 6), ("incoming/d/", 7), ("incoming/e/", 5)]
    sha256 = await storage.put_together("input/c/original", parts)
    assert await storage.get_bytes("input/c/original") == b"first second third"
    assert sha256 == hashlib.sha256(b"first second third").hexdigest()


async def test_what_has_vanished_is_never_filled_with_zeros(storage: ResumableStorage) -> None:
    await storage.write_part("incoming/f/", 0, b"0123")
    for parts in ([("incoming/f/", 5)], [("incoming/g/", 1)]):
        with pytest.raises(StorageCorrupted):
            await storage.put_together("input/f/original", parts)
    assert await storage.stat("input/f/original") is None
