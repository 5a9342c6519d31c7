"""Two installations on one store notice each other, and an installation notices that its store is away."""

from pathlib import Path
from uuid import UUID, uuid4

import pytest
from obstore.store import MemoryStore

from streamforge.errors import StorageUnavailable, StoreTaken
from streamforge.storage import ownership
from streamforge.storage.bucket import BucketStorage
from streamforge.storage.local import LocalStorage
from streamforge.storage.ownership import claim, claim_if_there
from streamforge.storage.protocol import Storage


class Memory:
    """As the database is, whatever happens to the store."""

    def __init__(self) -> None:
        self._id = uuid4()
        self.claimed: set[str] = set()

    async def installation(self) -> UUID:
        return self._id

    async def is_claimed(self, folder_url: str) -> bool:
        return folder_url in self.claimed

    async def remember_claim(self, folder_url: str) -> None:
        self.claimed.add(folder_url)


async def started(root: Path, memory: Memory) -> LocalStorage:
    """As a process has its store that has just started."""
    storage = LocalStorage(root)
    await claim_if_there(storage, memory)
    return storage


async def test_a_store_belongs_to_the_first_who_comes(storage: Storage) -> None:
    ours, theirs = uuid4(), uuid4()
    await claim(storage, ours)
    await claim(storage, ours)
    with pytest.raises(StoreTaken, match=ownership.MARK):
        await claim(storage, theirs)
    assert await storage.get_bytes(ownership.MARK) == str(ours).encode()


async def test_what_stands_in_the_mark_is_never_shown_to_a_caller(storage: Storage) -> None:
    await storage.put_bytes(ownership.MARK, b"<somebody>")
    with pytest.raises(StoreTaken) as refused:
        await claim(storage, uuid4())
    assert "somebody" not in refused.value.message


async def test_a_store_that_is_away_is_asked_later(monkeypatch: pytest.MonkeyPatch) -> None:
    away = BucketStorage(MemoryStore())

    async def unavailable(_: str) -> None:
        raise StorageUnavailable("Away.")

    monkeypatch.setattr(away, "get_bytes", unavailable)
    await claim_if_there(away, Memory())
    with pytest.raises(StorageUnavailable):
        await claim(away, uuid4())


async def test_a_machine_that_comes_up_without_the_disk_of_its_store_waits_for_it(tmp_path: Path) -> None:
    """Into the empty mount point nothing is written, and nothing that lies on the disk is taken for lost."""
    memory, mount_point, disk = Memory(), tmp_path / "media", tmp_path / "disk"
    before = await started(mount_point, memory)
    await before.put_bytes("input/a/original", b"film")
    mount_point.rename(disk)
    mount_point.mkdir()
    storage = await started(mount_point, memory)
    for operation in (storage.stat("input/a/original"), storage.put_bytes("input/b", b"x"), storage.check()):
        with pytest.raises(StorageUnavailable, match="mount its disk"):
            await operation
    with pytest.raises(StorageUnavailable):
        _ = [piece async for piece in storage.read("input/a/original", 0, 4)]
    assert list(mount_point.iterdir()) == []
    mount_point.rmdir()
    disk.rename(mount_point)
    await storage.check()
    assert await storage.get_bytes("input/a/original") == b"film"


async def test_another_folder_is_a_new_store(tmp_path: Path) -> None:
    memory = Memory()
    await started(tmp_path / "old", memory)
    storage = await started(tmp_path / "new", memory)
    await storage.check()
    assert await storage.get_bytes(ownership.MARK) == str(await memory.installation()).encode()


async def test_a_store_that_was_emptied_on_purpose_is_taken_again(tmp_path: Path) -> None:
    memory = Memory()
    await started(tmp_path / "media", memory)
    (tmp_path / "media").rename(tmp_path / "trash")
    (tmp_path / "media" / ".aside").mkdir(parents=True)
    storage = await started(tmp_path / "media", memory)
    assert await storage.get_bytes(ownership.MARK) == str(await memory.installation()).encode()


async def test_a_copy_without_empty_folders_is_the_same_store(tmp_path: Path) -> None:
    memory = Memory()
    await started(tmp_path / "media", memory)
    (tmp_path / "media" / ".aside").rmdir()
    await (await started(tmp_path / "media", memory)).check()
