"""Which store `storage.url` opens."""

from pathlib import Path

import pytest

from streamforge.errors import InvalidSettings
from streamforge.settings import Settings
from streamforge.storage import layout, open_storage
from streamforge.storage.bucket import BucketStorage
from streamforge.storage.local import LocalStorage


def settings(url: str | None, data_dir: Path = Path("/data")) -> Settings:
    return Settings.model_validate({"data_dir": data_dir, "storage": {"url": url}})


def test_without_a_url_it_is_a_folder_under_the_data_dir(tmp_path: Path) -> None:
    store = open_storage(settings(None, tmp_path))
    assert isinstance(store, LocalStorage)
    assert store.root == tmp_path / "storage"
    assert not store.root.exists()


def test_a_file_url_is_that_folder() -> None:
    store = open_storage(settings("file:///srv/media"))
    assert isinstance(store, LocalStorage)
    assert store.root == Path("/srv/media")


@pytest.mark.parametrize("url", ["s3://media/prefix", "gs://media", "az://media/prefix"])
def test_the_url_of_a_bucket_is_a_bucket(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_STORAGE_ACCOUNT_NAME", "streamforge")
    assert isinstance(open_storage(settings(url)), BucketStorage)


@pytest.mark.parametrize("url", ["", "/srv/media", "media", "nonsense://media", "file://media/x"])
def test_anything_else_is_an_error_that_names_the_setting(url: str) -> None:
    with pytest.raises(InvalidSettings, match=r"storage\.url"):
        open_storage(settings(url))


def test_no_part_of_the_layout_lies_in_another() -> None:
    job = layout.UUID(int=1)
    folders = [layout.original_folder(job), layout.output_folder(job), layout.work_folder(job)]
    assert all(folder.endswith(f"/{job}/") for folder in folders)
    assert len({folder.split("/")[0] for folder in folders}) == 3
    assert layout.original(job).startswith(layout.original_folder(job))
    assert layout.output(job, "720p/0.m4s") == f"{layout.output_folder(job)}720p/0.m4s"
    assert layout.work_record(job, "chunk-1") == f"{layout.work_folder(job)}chunk-1.json"
