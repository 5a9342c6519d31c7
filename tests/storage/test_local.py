"""What the folder store must do beyond the conformance suite: atomic through kills, full disks and other file systems."""

import asyncio
import errno
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest
from outages import filled, remounted_read_only, small_disk

from streamforge.errors import DiskFull, InvalidSettings, StorageUnavailable
from streamforge.storage.local import ABANDONED_AFTER, ASIDE, LocalStorage

OTHER_FILE_SYSTEM = Path("/dev/shm")

DIES_AT_THE_LAST_MOMENT = """
import asyncio, os, pathlib, sys
from streamforge.storage.local import LocalStorage
os.fsync = lambda _: os._exit(9)
asyncio.run(LocalStorage(pathlib.Path(sys.argv[1])).put_bytes("output/job/manifest", b"new"))
"""


async def read(storage: LocalStorage, name: str, start: int, length: int) -> bytes:
    return b"".join([piece async for piece in storage.read(name, start, length)])


async def names_in(storage: LocalStorage) -> list[str]:
    return [info.name async for info in storage.walk("")]


def asides(storage: LocalStorage) -> list[str]:
    folder = storage.root / ASIDE
    return sorted(entry.name for entry in folder.iterdir()) if folder.exists() else []


async def test_a_reader_sees_the_old_object_or_the_new_one_never_a_mix(local: LocalStorage) -> None:
    versions = [bytes([number]) * (300_000 + number) for number in range(40)]
    await local.put_bytes("manifest", versions[0])
    done = asyncio.Event()

    async def keep_reading() -> int:
        seen = 0
        while not done.is_set():
            content = await read(local, "manifest", 0, 400_000)
            assert content in versions
            assert await local.get_bytes("manifest") in versions
            seen += 1
        return seen

    readers = [asyncio.create_task(keep_reading()) for _ in range(2)]
    for version in versions:
        await local.put_bytes("manifest", version)
    done.set()
    assert min(await asyncio.gather(*readers)) > 0


async def test_a_file_is_moved_not_copied_when_it_can_be(local: LocalStorage, tmp_path: Path) -> None:
    path = tmp_path / "film.mp4"
    path.write_bytes(b"film")
    inode = path.stat().st_ino
    await local.put_file("input/job/original", path)
    assert (local.root / "input/job/original").stat().st_ino == inode


@pytest.mark.skipif(
    not os.access(OTHER_FILE_SYSTEM, os.W_OK), reason="there is no second file system to move a file from"
)
async def test_a_file_of_another_file_system_is_published_all_the_same(local: LocalStorage) -> None:
    path = OTHER_FILE_SYSTEM / f"streamforge-test-{os.getpid()}"
    path.write_bytes(b"film")
    await local.put_file("input/job/original", path)
    assert not path.exists()
    assert await local.get_bytes("input/job/original") == b"film"
    assert asides(local) == []


async def test_while_a_file_is_copied_in_there_is_no_folder_that_a_sweep_could_take(
    local: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From another file system that takes its time, as Path.replace says by EXDEV."""
    path = tmp_path / "film.mp4"
    path.write_bytes(b"film")
    rename, seen = Path.replace, list[list[str]]()

    def other_file_system(self: Path, target: Path) -> Path:
        if self == path:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        return rename(self, target)

    def copy(source: Path, target: Path) -> None:
        seen.append(local._folders("input/"))
        target.write_bytes(source.read_bytes())

    monkeypatch.setattr(Path, "replace", other_file_system)
    monkeypatch.setattr("streamforge.storage.local.shutil.copyfile", copy)
    await local.put_file("input/job/original", path)
    assert seen == [[]]
    assert await local.get_bytes("input/job/original") == b"film"


async def test_a_folder_that_is_deleted_while_something_is_put_there_is_made_again(
    local: LocalStorage, tmp_path: Path
) -> None:
    stop = asyncio.Event()

    async def delete() -> None:
        while not stop.is_set():
            await local.delete("output/job/")

    deleting = asyncio.create_task(delete())
    for number in range(20):
        await local.put_bytes(f"output/job/deep/{number}", b"x")
    stop.set()
    await deleting


async def test_a_new_folder_survives_a_power_cut_as_its_file_does(
    local: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A directory entry is on the disk when its directory was synced, and not before."""
    synced = list[Path]()
    fsync = os.fsync

    def noted(descriptor: int) -> None:
        synced.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noted)
    await local.put_bytes("output/job/720p/init.mp4", b"x")
    folders = [local.root.parent, local.root, local.root / "output", local.root / "output/job"]
    assert set(folders) | {local.root / "output/job/720p"} <= set(synced)
    synced.clear()
    await local.put_bytes("output/job/720p/0.m4s", b"x")
    assert local.root / "output/job" not in synced


@pytest.mark.parametrize("replace", [True, False])
async def test_a_put_that_failed_at_its_very_end_is_finished_by_the_next_try(
    local: LocalStorage, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, replace: bool
) -> None:
    """The file is moved, its folder cannot be synced: there is nothing left to be moved."""
    path, synced, fsync = tmp_path / "film", list[Path](), os.fsync
    path.write_bytes(b"film")

    def fails_once_it_is_there(descriptor: int) -> None:
        folder = Path(os.readlink(f"/proc/self/fd/{descriptor}"))
        if (folder / "original").exists() and not synced:
            synced.append(folder)
            raise OSError(errno.EIO, "Input/output error")
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", fails_once_it_is_there)
    with pytest.raises(StorageUnavailable):
        await local.put_file("input/job/original", path, replace=replace)
    await local.put_file("input/job/original", path, replace=replace)
    assert await local.get_bytes("input/job/original") == b"film"
    with pytest.raises(FileNotFoundError):
        await local.put_file("input/job/original", path, replace=replace)


@pytest.mark.parametrize(("for_others", "file", "folder"), [(True, 0o644, 0o755), (False, 0o600, 0o700)])
async def test_who_may_read_what_is_published(tmp_path: Path, for_others: bool, file: int, folder: int) -> None:
    """A web server may give out a folder that the settings name; what lies among an installation's own data is private."""
    local, film = LocalStorage(tmp_path / "store", for_others=for_others), tmp_path / "film"
    film.write_bytes(b"film")
    film.chmod(0o640)
    before = os.umask(0o027)
    try:
        await local.put_bytes("output/job/master.m3u8", b"x")
        await local.put_file("output/job/360p/1.m4s", film)
    finally:
        os.umask(before)
    for name, mode in (("job/master.m3u8", file), ("job/360p/1.m4s", file), ("job", folder), ("job/360p", folder)):
        assert (local.root / "output" / name).stat().st_mode & 0o777 == mode, name


async def test_a_local_file_is_the_stored_file_itself(local: LocalStorage, tmp_path: Path) -> None:
    await local.put_bytes("input/job/original", b"film")
    async with local.local_file("input/job/original", tmp_path / "scratch") as path:
        assert path == local.root / "input/job/original"
    assert await local.get_bytes("input/job/original") == b"film"


async def test_a_process_that_dies_while_it_writes_leaves_the_old_object_and_nothing_to_see(
    local: LocalStorage,
) -> None:
    await local.put_bytes("output/job/manifest", b"old")
    killed = subprocess.run([sys.executable, "-c", DIES_AT_THE_LAST_MOMENT, local.root], check=False)
    assert killed.returncode == 9
    assert len(asides(local)) == 1
    assert await local.get_bytes("output/job/manifest") == b"old"
    assert await names_in(local) == ["output/job/manifest"]
    assert await local.list_folders("") == ["output"]


async def test_the_check_clears_away_what_killed_writers_left_and_leaves_those_at_work_alone(
    local: LocalStorage,
) -> None:
    await local.check()
    for name, age in [("abandoned", ABANDONED_AFTER.total_seconds() + 60), ("being-written", 60)]:
        path = local.root / ASIDE / name
        path.write_bytes(b"half")
        os.utime(path, (time.time() - age,) * 2)
    await local.check()
    assert asides(local) == ["being-written"]


async def test_a_full_disk_is_told_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        local = LocalStorage(disk)
        await local.put_bytes("output/job/manifest", b"old")
        with filled(disk):
            with pytest.raises(DiskFull) as caught:
                await local.put_bytes("output/job/manifest", b"new and longer" * 1000)
            assert "No space left" in str(caught.value.debug)
            assert "/" not in caught.value.message
            assert asides(local) == []
            assert await local.get_bytes("output/job/manifest") == b"old"
            with pytest.raises(DiskFull):
                await local.check()
        await local.check()


async def test_a_disk_that_has_become_read_only_can_be_read_and_says_what_it_is(tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        local = LocalStorage(disk)
        await local.put_bytes("output/job/manifest", b"old")
        with remounted_read_only(disk):
            for operation in (local.put_bytes("output/job/manifest", b"new"), local.check()):
                with pytest.raises(StorageUnavailable, match="read-only"):
                    await operation
            assert await local.get_bytes("output/job/manifest") == b"old"
        await local.check()


@pytest.mark.parametrize("leaves", ["nothing", "an empty mount point"])
async def test_a_folder_that_is_gone_is_not_made_again_and_nothing_in_it_is_missing(
    tmp_path: Path, leaves: str
) -> None:
    local = LocalStorage(tmp_path / "store")
    await local.put_bytes("output/job/manifest", b"old")
    film = tmp_path / "film"
    film.write_bytes(b"film")
    away = local.root.rename(tmp_path / "away")
    if leaves != "nothing":
        local.root.mkdir()
    for operation in (
        local.get_bytes("output/job/manifest"),
        local.stat("output/job/manifest"),
        read(local, "output/job/manifest", 0, 3),
        local.put_bytes("output/job/manifest", b"new"),
        local.put_file("output/job/film", film),
        local.list_folders("output/"),
        names_in(local),
        local.delete("output/"),
        local.check(),
    ):
        with pytest.raises(StorageUnavailable, match="folder of the media store is gone"):
            await operation
    if leaves != "nothing":
        local.root.rmdir()
    away.rename(local.root)
    assert await local.get_bytes("output/job/manifest") == b"old"
    assert film.read_bytes() == b"film"
    await local.check()


async def test_a_store_that_cannot_be_written_is_unavailable(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    broken = LocalStorage(tmp_path / "file")
    with pytest.raises(StorageUnavailable):
        await broken.put_bytes("output/x", b"1")
    with pytest.raises(StorageUnavailable):
        await broken.check()


async def test_a_disk_that_fails_in_the_middle_of_a_read_is_unavailable(
    local: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    class FailingFile:
        def __enter__(self) -> "FailingFile":
            return self

        def __exit__(self, *_: object) -> None: ...

        def seek(self, _: int) -> None: ...

        def read(self, _: int) -> bytes:
            raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(local, "_open", lambda _: FailingFile())
    with pytest.raises(StorageUnavailable):
        await read(local, "input/job/original", 0, 10)


async def test_listing_goes_on_while_others_write_and_delete(local: LocalStorage) -> None:
    done = asyncio.Event()

    async def come_and_go() -> None:
        for number in range(60):
            await local.put_bytes(f"output/{number % 3}/deep/{number}", b"1")
            await local.delete(f"output/{(number + 1) % 3}/")
        done.set()

    async def keep_listing() -> None:
        while not done.is_set():
            await names_in(local)
            await local.list_folders("output/")

    await local.put_bytes("output/stays", b"1")
    await asyncio.gather(come_and_go(), keep_listing(), keep_listing())
    assert "output/stays" in await names_in(local)


async def test_links_in_the_folder_are_not_followed_when_it_is_deleted(local: LocalStorage, tmp_path: Path) -> None:
    (tmp_path / "precious").mkdir()
    (tmp_path / "precious" / "file").write_bytes(b"1")
    await local.put_bytes("output/job/x", b"1")
    (local.root / "output/job/link").symlink_to(tmp_path / "precious")
    await local.delete("output/job/")
    assert (tmp_path / "precious" / "file").read_bytes() == b"1"


def test_a_file_url_names_an_absolute_path() -> None:
    assert LocalStorage.from_url("file:///srv/my%20media").root == Path("/srv/my media")
    assert LocalStorage.from_url("file://localhost/srv/media").root == Path("/srv/media")


@pytest.mark.parametrize("url", ["file://", "file://media/x", "file:relative"])
def test_a_file_url_that_names_a_host_or_nothing_is_refused(url: str) -> None:
    with pytest.raises(InvalidSettings, match=r"storage\.url"):
        LocalStorage.from_url(url)


async def test_an_etag_tells_nothing_of_the_disk(tmp_path: Path) -> None:
    """Everybody who plays a stream gets it."""
    storage = LocalStorage(tmp_path / "store")
    await storage.put_bytes("manifest", b"content")
    info = await storage.stat("manifest")
    found = (tmp_path / "store" / "manifest").stat()
    assert info is not None
    for number in (found.st_ino, found.st_mtime_ns):
        assert f"{number:x}" not in info.etag
