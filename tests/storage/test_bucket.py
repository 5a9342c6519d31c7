"""What the bucket store must do beyond the conformance suite: its failures are told apart, its memory is bounded."""

import os
from pathlib import Path

import pytest
from bucket_server import BUCKET, Gateway, free_port

from streamforge.errors import DiskFull, InvalidSettings, StorageUnavailable
from streamforge.storage.bucket import BucketStorage


async def read(storage: BucketStorage, name: str, start: int, length: int) -> bytes:
    return b"".join([piece async for piece in storage.read(name, start, length)])


@pytest.mark.parametrize("start", [0, 1])
async def test_a_read_is_one_request_and_so_of_one_version(bucket: BucketStorage, gateway: Gateway, start: int) -> None:
    content = os.urandom(2**20)
    await bucket.put_bytes("film", content)
    gateway.requests.clear()
    assert await read(bucket, "film", start, 2**20) == content[start:]
    assert [method for method, _ in gateway.requests] == ["GET"]


async def test_stores_under_different_prefixes_of_one_bucket_do_not_see_each_other(
    bucket: BucketStorage, bucket_environment: pytest.MonkeyPatch
) -> None:
    await bucket.put_bytes("output/x", b"1")
    other = BucketStorage.from_url(f"s3://{BUCKET}/somewhere/else")
    assert await other.get_bytes("output/x") is None
    assert [info.name async for info in other.walk("")] == []
    assert await other.delete("output/") == 0
    assert await bucket.get_bytes("output/x") == b"1"


async def test_an_endpoint_that_nobody_answers_at_is_unavailable(
    bucket_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    bucket_environment.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{free_port()}")
    nowhere = BucketStorage.from_url(f"s3://{BUCKET}/x")
    path = tmp_path / "film"
    path.write_bytes(b"film")
    with pytest.raises(StorageUnavailable) as caught:
        await nowhere.put_file("input/job/original", path)
    assert path.read_bytes() == b"film"
    assert "127.0.0.1" not in caught.value.message
    with pytest.raises(StorageUnavailable):
        await nowhere.check()


@pytest.mark.parametrize(
    "operation",
    [
        lambda store: store.get_bytes("x"),
        lambda store: store.stat("x"),
        lambda store: read(store, "x", 0, 1),
        lambda store: store.put_bytes("x", b"1"),
        lambda store: store.list_folders(""),
        lambda store: store.delete("output/"),
        lambda store: store.check(),
    ],
    ids=["get", "stat", "read", "put", "list", "delete", "check"],
)
async def test_a_wrong_key_is_unavailable_and_never_mistaken_for_absence(
    bucket_environment: pytest.MonkeyPatch, operation
) -> None:
    bucket_environment.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StorageUnavailable):
        await operation(BucketStorage.from_url(f"s3://{BUCKET}/x"))


async def test_a_bucket_that_does_not_exist_is_told_when_it_is_checked(
    bucket_environment: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    missing = BucketStorage.from_url("s3://no-such-bucket/x")
    path = tmp_path / "film"
    path.write_bytes(b"film")
    with pytest.raises(StorageUnavailable, match="no such bucket"):
        await missing.check()
    with pytest.raises(StorageUnavailable, match="no such bucket"):
        await missing.put_file("input/job/original", path)
    assert path.exists()
    with pytest.raises(StorageUnavailable):
        await missing.delete("output/")


async def test_an_answer_that_breaks_off_is_unavailable_not_a_short_object(
    bucket: BucketStorage, gateway: Gateway, tmp_path: Path
) -> None:
    await bucket.put_bytes("film", os.urandom(2**20))
    gateway.cut_bodies_after = 100_000
    with pytest.raises(StorageUnavailable):
        await bucket.get_bytes("film")
    with pytest.raises(StorageUnavailable):
        await read(bucket, "film", 0, 2**20)
    with pytest.raises(StorageUnavailable):
        async with bucket.local_file("film", tmp_path / "scratch"):
            pytest.fail("the file is not whole")
    assert list((tmp_path / "scratch").iterdir()) == []


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
async def test_a_full_scratch_disk_is_told(bucket: BucketStorage) -> None:
    await bucket.put_bytes("film", os.urandom(2**20))
    with pytest.raises(DiskFull):
        await bucket._fetch("film", Path("/dev/full"))


async def test_a_file_that_is_not_there_is_the_callers_mistake(bucket: BucketStorage, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await bucket.put_file("film", tmp_path / "nothing")


@pytest.mark.parametrize("url", ["s3://", "s3:/media", "nonsense://media/x", "://"])
def test_a_url_that_names_no_store_is_refused_by_the_name_of_the_setting(url: str) -> None:
    with pytest.raises(InvalidSettings, match=r"storage\.url"):
        BucketStorage.from_url(url)
