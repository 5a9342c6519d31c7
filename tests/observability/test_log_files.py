"""Log files: one of each process, of a size and number that are set; and one job's lines out of all of them, in order."""

import json
import logging
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import UUID

from streamforge.observability import metrics
from streamforge.observability.job_logs import as_text, follow, lines_of
from streamforge.observability.log_files import LogFile, folder_of

JOB, OTHER = UUID("550e8400-e29b-41d4-a716-446655440000"), UUID("550e8400-e29b-41d4-a716-446655440001")


@contextmanager
def log_file(data_dir: Path, process: str = "api", max_bytes: int = 100_000, files: int = 3) -> Iterator[LogFile]:
    file = LogFile(folder_of(data_dir), process, max_bytes, files)
    try:
        yield file
    finally:
        file.close()


def say(file: LogFile, event: str, at: str = "2026-11-28T10:00:00.000000Z", job: UUID = JOB, **fields: object) -> None:
    line = json.dumps(
        {"timestamp": at, "level": "info", "process": "api", "event": event, "job_id": str(job), **fields}
    )
    file.emit(logging.makeLogRecord({"msg": line}))


def names(data_dir: Path) -> set[str]:
    return {path.name for path in folder_of(data_dir).iterdir() if not path.name.startswith(".")}


# ── files ───────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_each_process_has_a_file_of_its_own_and_goes_on_in_it_when_it_starts_again(tmp_path: Path) -> None:
    with log_file(tmp_path, "worker") as first, log_file(tmp_path, "worker") as second, log_file(tmp_path, "api"):
        say(first, "of the first")
        say(second, "of the second")
    with log_file(tmp_path, "worker") as again:
        say(again, "of the first, again")
    assert names(tmp_path) == {"worker-1.jsonl", "worker-2.jsonl", "api-1.jsonl"}
    assert (folder_of(tmp_path) / "worker-1.jsonl").read_text(encoding="utf-8").count("\n") == 2


def test_there_are_never_more_bytes_than_is_set(tmp_path: Path) -> None:
    with log_file(tmp_path, max_bytes=10_000, files=3) as file:
        for number in range(1000):
            say(file, f"line {number}")
    assert names(tmp_path) == {"api-1.jsonl", "api-1.jsonl.1", "api-1.jsonl.2"}
    assert sum(path.stat().st_size for path in folder_of(tmp_path).iterdir()) <= 30_000
    assert lines_of(tmp_path, JOB)[-1].fields["event"] == "line 999"


def test_they_are_for_their_owner_only(tmp_path: Path) -> None:
    with log_file(tmp_path) as file:
        say(file, "x")
    assert stat.S_IMODE(folder_of(tmp_path).stat().st_mode) == 0o700
    assert stat.S_IMODE((folder_of(tmp_path) / "api-1.jsonl").stat().st_mode) == 0o600


def test_a_full_disk_is_no_reason_to_stop(tmp_path: Path) -> None:
    lost = metrics.LOG_LINES_LOST._value.get()
    with log_file(tmp_path) as file:
        file.stream, stream = os.fdopen(os.open("/dev/full", os.O_WRONLY), "w", encoding="utf-8"), file.stream
        say(file, "lost")
        with suppress(OSError):
            file.stream.close()
        file.stream = stream
        say(file, "kept")
    assert metrics.LOG_LINES_LOST._value.get() == lost + 1
    assert [line.fields["event"] for line in lines_of(tmp_path, JOB)] == ["kept"]


# ── one job's lines ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_lines_of_a_job_come_in_the_order_of_their_times_from_all_files(tmp_path: Path) -> None:
    with log_file(tmp_path, "api") as api, log_file(tmp_path, "worker", max_bytes=300, files=9) as worker:
        say(api, "first", "2026-11-28T10:00:00.000000Z")
        say(worker, "third", "2026-11-28T10:00:02.000000Z")
        say(worker, "of another", "2026-11-28T10:00:01.000000Z", OTHER)
        say(api, "second", "2026-11-28T10:00:01.000000Z")
        say(worker, "mentions it", job=OTHER, about=str(JOB))
        say(worker, "fourth", "2026-11-28T10:00:03.000000Z")
    assert [line.fields["event"] for line in lines_of(tmp_path, JOB)] == ["first", "second", "third", "fourth"]


def test_what_is_no_line_is_passed_over(tmp_path: Path) -> None:
    with log_file(tmp_path) as file:
        say(file, "whole")
    with (folder_of(tmp_path) / "api-1.jsonl").open("a", encoding="utf-8") as text:
        text.write(f'not JSON {JOB}\n["{JOB}"]\n' + '{"job_id": "' + str(JOB))
    assert [line.fields["event"] for line in lines_of(tmp_path, JOB)] == ["whole"]
    assert lines_of(tmp_path / "nowhere", JOB) == []


def test_following_goes_on_when_a_file_is_full(tmp_path: Path) -> None:
    with log_file(tmp_path, max_bytes=500, files=5) as file:
        say(file, "0")
        written = iter(range(1, 8))
        lines = follow(tmp_path, JOB, sleep=lambda _: say(file, str(next(written))))
        assert [next(lines).fields["event"] for _ in range(8)] == [str(number) for number in range(8)]


def test_a_line_for_people_says_when_who_what_and_moves_no_cursor(tmp_path: Path) -> None:
    with log_file(tmp_path) as file:
        say(file, "activity done", seconds=1.5, chunk=3, said="\x1b[2J", exception="Traceback:\n  broke\x07")
    [line] = lines_of(tmp_path, JOB)
    assert as_text(line) == (
        "10:00:00.000 api    info    activity done seconds=1.5 chunk=3 'said=\\x1b[2J'\n    Traceback:\n    '  broke\\x07'"
    )
