"""The stores under test."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from bucket_server import BUCKET, CREDENTIALS, Gateway, bucket_server

from streamforge.storage.bucket import BucketStorage
from streamforge.storage.local import LocalStorage
from streamforge.storage.protocol import Storage


@pytest.fixture(scope="session")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Gateway]]:
    folder = tmp_path_factory.mktemp("buckets")
    (folder / BUCKET).mkdir()
    with bucket_server(folder) as running:
        yield running


@pytest.fixture
def gateway(endpoint: tuple[str, Gateway]) -> Iterator[Gateway]:
    gateway = endpoint[1]
    gateway.requests.clear()
    yield gateway
    gateway.cut_bodies_after = None


@pytest.fixture
def bucket_environment(endpoint: tuple[str, Gateway], monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """All that an operator sets for S3's kin."""
    for name, value in CREDENTIALS.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint[0])
    return monkeypatch


@pytest.fixture
def bucket(bucket_environment: pytest.MonkeyPatch) -> BucketStorage:
    """A prefix of its own in the one bucket."""
    return BucketStorage.from_url(f"s3://{BUCKET}/{uuid4().hex}")


@pytest.fixture
def local(tmp_path: Path) -> LocalStorage:
    return LocalStorage(tmp_path / "store")


@pytest.fixture(params=["local", "bucket"])
def storage(request: pytest.FixtureRequest) -> Storage:
    store: Storage = request.getfixturevalue(request.param)
    return store
