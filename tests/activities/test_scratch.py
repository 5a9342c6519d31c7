"""Scratch folders: each worker has its own, and those of killed workers go."""

from pathlib import Path

from races import PROCESSES, started_together

from activities.support.scratch import Scratch

WORKERS = """
from activities.support.scratch import Scratch

def enter(folder):
    scratch = Scratch(folder)
    with scratch.folder_for("chunk") as chunk:
        (chunk / "segment").write_bytes(b"x")
        assert (chunk / "segment").read_bytes() == b"x"
    (scratch.folder / "left behind").write_bytes(b"x")  # Killed in the middle.
"""


def test_many_workers_that_start_together_after_a_kill_neither_crash_nor_take_each_others_folders(
    tmp_path: Path,
) -> None:
    started_together(WORKERS, tmp_path)
    assert len(list(tmp_path.glob("worker-*"))) <= PROCESSES, "those of the last round"
    Scratch(tmp_path).close()
    assert list(tmp_path.glob("worker-*")) == []


def test_a_folder_that_somebody_has_cleaned_away_is_made_again(tmp_path: Path) -> None:
    scratch = Scratch(tmp_path / "scratch")
    scratch.close()
    with scratch.folder_for("chunk") as folder:
        assert folder.is_dir()
