"""The data folder: what cannot be one is said in a sentence."""

import errno
import os
from pathlib import Path

import pytest

from streamforge import data_folder
from streamforge.embedded import endpoints
from streamforge.errors import DataFolderUnusable


def test_it_is_made_and_nothing_is_left_in_it(tmp_path: Path) -> None:
    folder = tmp_path / "new" / "data"
    data_folder.require(folder)
    data_folder.require(folder)
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("name", ["file/data", "file", "a\nb", "x" * 256])
def test_what_cannot_be_one_is_a_sentence(tmp_path: Path, name: str) -> None:
    (tmp_path / "file").write_bytes(b"")
    for claim in (data_folder.require, lambda folder: endpoints.exclusive(folder).__enter__()):
        with pytest.raises(DataFolderUnusable) as refused:
            claim(tmp_path / name)
        assert "\n" not in refused.value.message
        assert refused.value.message.endswith(".")
    assert not endpoints.is_running(tmp_path / "file")


@pytest.mark.parametrize("code", [errno.EACCES, errno.EROFS, errno.ENOSPC])
def test_what_the_system_refuses_is_told_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise OSError(code, os.strerror(code))

    monkeypatch.setattr("streamforge.data_folder.tempfile.TemporaryFile", refuse)
    with pytest.raises(DataFolderUnusable, match=os.strerror(code)):
        data_folder.require(tmp_path)


def test_one_that_somebody_else_runs_on_is_told_with_its_reason(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(DataFolderUnusable, match="Permission denied"):
        endpoints.is_running(tmp_path)
