"""The stores under test."""

from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest
from bucket_server import BUCKET, Gateway

from streamforge.storage.bucket import BucketStorage
from streamforge.storage.local import LocalStorage
from streamforge.storage.protocol import Storage


@pytest.fixture
def gateway(endpoint: tuple[str, Gateway]) -> Iterator[Gateway]:
    gateway = endpoint[1]
    gateway.requests.clear()
    yield gateway
    gateway.is_well_again()


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
