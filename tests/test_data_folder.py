"""The data folder: what cannot be one is said in a sentence."""

import errno
import os
import stat
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


def mode_of(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_it_is_for_its_owner_only(tmp_path: Path) -> None:
    data_folder.require(tmp_path / "new")
    assert mode_of(tmp_path / "new") == 0o700


def test_one_that_an_earlier_version_made_is_closed(tmp_path: Path) -> None:
    """Its folders were open to everybody."""
    (tmp_path / "storage").mkdir()
    (tmp_path / "keys-secret").write_bytes(b"x")
    for path, mode in ((tmp_path, 0o755), (tmp_path / "storage", 0o755), (tmp_path / "keys-secret", 0o644)):
        path.chmod(mode)
    data_folder.require(tmp_path)
    assert [mode_of(path) for path in (tmp_path, tmp_path / "storage", tmp_path / "keys-secret")] == [
        0o700,
        0o700,
        0o600,
    ]


def test_a_folder_in_which_others_have_something_stays_open_and_ours_in_it_does_not(tmp_path: Path) -> None:
    """As when somebody names their home, or /tmp."""
    (tmp_path / "logs").mkdir()
    (tmp_path / "letters").mkdir()
    for path in (tmp_path, tmp_path / "logs", tmp_path / "letters"):
        path.chmod(0o755)
    data_folder.require(tmp_path)
    assert [mode_of(path) for path in (tmp_path, tmp_path / "logs", tmp_path / "letters")] == [0o755, 0o700, 0o755]


def test_a_link_out_of_it_is_not_followed(tmp_path: Path) -> None:
    """A store on another disk is the operator's, with the rights that they gave it."""
    elsewhere, folder = tmp_path / "disk", tmp_path / "data"
    elsewhere.mkdir()
    folder.mkdir()
    elsewhere.chmod(0o755)
    (folder / "storage").symlink_to(elsewhere)
    data_folder.require(folder)
    assert mode_of(elsewhere) == 0o755


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
