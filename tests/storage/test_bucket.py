"""What the bucket store must do beyond the conformance suite: its failures are told apart, its memory is bounded."""

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from bucket_server import BUCKET, Gateway, free_port

from streamforge.errors import DiskFull, InvalidSettings, StorageUnavailable
from streamforge.storage.bucket import BucketStorage
from streamforge.storage.unfinished import Credentials, UnfinishedUploads, signed


async def read(storage: BucketStorage, name: str, start: int, length: int) -> bytes:
    return b"".join([piece async for piece in storage.read(name, start, length)])


async def test_a_store_that_ignores_conditions_is_asked_before(
    endpoint: tuple[str, Gateway], bucket: BucketStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As rclone is without its gateway."""
    gateway = endpoint[1]
    monkeypatch.setattr(gateway, "ignores_conditions", True)
    await bucket.put_bytes("a", b"first", replace=False)
    with pytest.raises(FileExistsError):
        await bucket.put_bytes("a", b"second", replace=False)
    assert await bucket.get_bytes("a") == b"first"


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


@pytest.mark.parametrize(
    ("answer", "error", "sentence"),
    [
        ((507, "XMinioStorageFull"), DiskFull, "is full"),
        ((403, "QuotaExceeded"), DiskFull, "is full"),
        ((403, "AccessDenied"), StorageUnavailable, "refuses us"),
        ((500, "InternalError"), StorageUnavailable, "answers with an error"),
    ],
)
async def test_a_store_that_answers_is_told_from_one_that_does_not(
    bucket: BucketStorage, gateway: Gateway, answer: tuple[int, str], error: type[Exception], sentence: str
) -> None:
    gateway.answers_with = answer
    for operation in (bucket.put_bytes("x", b"1"), bucket.check()):
        with pytest.raises(error, match=sentence):
            await operation


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


@pytest.mark.parametrize("url", ["s3://", "s3:/media", "nonsense://media/x", "://"])
def test_a_url_that_names_no_store_is_refused_by_the_name_of_the_setting(url: str) -> None:
    with pytest.raises(InvalidSettings, match=r"storage\.url"):
        BucketStorage.from_url(url)


# ── uploads that never came to their end ────────────────────────────────────────────────────────────────────────────
async def begun(uploads: UnfinishedUploads, name: str) -> None:
    """As a process leaves it that is killed while it puts a large file."""
    async with httpx.AsyncClient() as client:
        await uploads._ask(client, "POST", f"/{name}", {"uploads": ""})


async def test_parts_of_a_killed_upload_do_not_stay_for_ever(bucket_environment: pytest.MonkeyPatch) -> None:
    url = f"s3://{BUCKET}/{uuid4().hex}"
    bucket, ours, other = BucketStorage.from_url(url), UnfinishedUploads.of(url), UnfinishedUploads.of(f"{url}-other")
    assert ours is not None
    assert other is not None
    for uploads in (ours, other):
        for number in range(3):
            await begun(uploads, f"{uploads._prefix}input/{number} \u00fc+&?#/original")
    now = datetime.now(UTC)
    assert await bucket.abort_unfinished(now - timedelta(days=1)) == 0
    assert await bucket.abort_unfinished(now + timedelta(minutes=1)) == 3
    assert await bucket.abort_unfinished(now + timedelta(minutes=1)) == 0
    assert await BucketStorage.from_url(f"{url}-other").abort_unfinished(now + timedelta(minutes=1)) == 3


async def test_all_pages_of_unfinished_uploads_are_read() -> None:
    """rclone tells all at once, S3 a thousand at a time."""
    pages = {
        None: "<IsTruncated>true</IsTruncated><NextKeyMarker>a&amp;</NextKeyMarker><NextUploadIdMarker>1</NextUploadIdMarker>"
        "<Upload><Key>a&amp;</Key><UploadId>1</UploadId><Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload>",
        "a&": "<IsTruncated>false</IsTruncated>"
        "<Upload><Key>b</Key><UploadId>2</UploadId><Initiated>2026-01-01T00:00:00.000Z</Initiated></Upload>",
    }

    def answer(request: httpx.Request) -> httpx.Response:
        body = pages[request.url.params.get("key-marker")]
        return httpx.Response(200, text=f'<R xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{body}</R>')

    uploads = UnfinishedUploads("media", "", Credentials("key", "secret", None, "us-east-1"))
    async with httpx.AsyncClient(transport=httpx.MockTransport(answer)) as client:
        assert [upload.name for upload in await uploads._listed(client)] == ["a&", "b"]


def listing(*uploads: tuple[str, str, str]) -> str:
    told = "".join(
        f"<Upload><Key>{key}</Key><UploadId>{upload_id}</UploadId><Initiated>{began}</Initiated></Upload>"
        for key, upload_id, began in uploads
    )
    return f"<R><IsTruncated>false</IsTruncated>{told}</R>"


def a_store_that_answers(monkeypatch: pytest.MonkeyPatch, text: str, status: int = 200) -> list[str]:
    """The names of what is deleted there."""
    deleted: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        if request.method == "DELETE":
            deleted.append(request.url.path)
            return httpx.Response(204)
        return httpx.Response(status, text=text)

    client = httpx.AsyncClient(transport=httpx.MockTransport(answer))
    monkeypatch.setattr("streamforge.storage.unfinished.httpx.AsyncClient", lambda **_: client)
    return deleted


LONG_AGO = "2026-01-01T00:00:00.000Z"


@pytest.mark.parametrize("prefix", ["", "video/"])
async def test_uploads_of_others_in_a_shared_bucket_go_on(bucket_environment: pytest.MonkeyPatch, prefix: str) -> None:
    names = [
        f"{prefix}{name}" for name in ("input/a/original", "searches/b", "backups/input/db.tar", "inputs", "video.tar")
    ]
    text = listing(*((name, "1", LONG_AGO) for name in names))
    deleted = a_store_that_answers(bucket_environment, text)
    uploads = UnfinishedUploads("media", prefix, Credentials("key", "secret", None, "us-east-1"))
    assert await uploads.abort(datetime.now(UTC)) == 2
    assert [path.partition("/media/")[2] for path in deleted] == names[:2]


@pytest.mark.parametrize(
    ("status", "text"),
    [
        (404, "<html><body><hr>not found</body></html>"),
        (200, "<html><body><hr>welcome</body></html>"),
        (200, '<?xml version="1.0" encoding="klingon"?><R/>'),
        (200, listing(("input/a", "1", "2026-01-01T00:00:00"))),
        (200, listing(("input/a", "1", "yesterday"))),
        (200, listing(("input/a", "", LONG_AGO))),
        (200, "<R><IsTruncated>true</IsTruncated></R>"),
    ],
)
async def test_a_list_that_nobody_understands_is_a_store_that_shows_none(
    bucket_environment: pytest.MonkeyPatch, status: int, text: str
) -> None:
    """The sweep tells that in the log, and goes on."""
    deleted = a_store_that_answers(bucket_environment, text, status)
    with pytest.raises(StorageUnavailable):
        await UnfinishedUploads("media", "", Credentials("key", "secret", None, "us-east-1")).abort(datetime.now(UTC))
    assert deleted == []


async def test_a_store_that_shows_no_uploads_says_so(bucket_environment: pytest.MonkeyPatch) -> None:
    bucket_environment.setenv("AWS_SECRET_ACCESS_KEY", "wrong")
    with pytest.raises(StorageUnavailable):
        await BucketStorage.from_url(f"s3://{BUCKET}/x").abort_unfinished(datetime.now(UTC))


def test_only_s3_with_known_credentials_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("AWS_ACCESS_KEY_ID", raising=False)
    assert UnfinishedUploads.of("s3://media/x") is None
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    assert UnfinishedUploads.of("s3://media/x") is not None
    assert UnfinishedUploads.of("gs://media/x") is None


def test_a_request_is_signed_as_amazons_own_example_is() -> None:
    """ "Authenticating Requests: Using the Authorization Header (AWS Signature Version 4)", GET Bucket Lifecycle."""
    credentials = Credentials("AKIAIOSFODNN7EXAMPLE", "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY", None, "us-east-1")
    url = "https://examplebucket.s3.amazonaws.com/?lifecycle="
    headers = signed("GET", url, credentials, datetime(2013, 5, 24, tzinfo=UTC))
    assert headers["authorization"].endswith(
        "Signature=fea454ca298b7da1c68078a5d1bdbfbbe0d65c699e0f91ac7a200a0136783543"
    )
