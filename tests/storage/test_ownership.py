"""Two installations on one store notice each other."""

from uuid import uuid4

import pytest
from obstore.store import MemoryStore

from streamforge.errors import StorageUnavailable, StoreTaken
from streamforge.storage import ownership
from streamforge.storage.bucket import BucketStorage
from streamforge.storage.ownership import claim, claim_if_there
from streamforge.storage.protocol import Storage


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
    await claim_if_there(away, uuid4())
    with pytest.raises(StorageUnavailable):
        await claim(away, uuid4())
