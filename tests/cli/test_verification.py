"""A folder against its receipt: whatever is not as it was is named, and a hostile receipt reaches nothing."""

import hashlib
import os
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from uuid import uuid4

import pytest
from commandline import fresh_streamforge, streamforge
from sources import source

from streamforge.contracts.media.encoded import StoredFile
from streamforge.contracts.receipt import RESULT, Receipt, SourceReceipt
from streamforge.errors import ReceiptUnreadable
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings
from streamforge.verification import Verified, verify

CONTENT = {
    "master.m3u8": b"#EXTM3U\n",
    "720p/0.m4s": bytes(range(256)) * 8,
    "720p/init.mp4": b"",
    "Ton & Bild.vtt": b"x",
}


def receipt_of(files: dict[str, StoredFile]) -> Receipt:
    found = source()
    return Receipt(
        job_id=uuid4(),
        created_at=datetime(2026, 1, 1, tzinfo=UTC),
        versions={},
        source=SourceReceipt(sha256="0" * 64, size_bytes=1, found=found),
        plan=make_plan(found, Settings()),
        renditions=[],
        audio=[],
        stages=[],
        retries={},
        repairs=[],
        repair_count=0,
        warnings=[],
        files=files,
    )


def described(content: bytes) -> StoredFile:
    return StoredFile(size_bytes=len(content), sha256=hashlib.sha256(content).hexdigest())


@pytest.fixture
def stream(tmp_path: Path) -> Path:
    folder = tmp_path / "stream"
    for name, content in CONTENT.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    write_receipt(folder, {name: described(content) for name, content in CONTENT.items()})
    return folder


def write_receipt(folder: Path, files: dict[str, StoredFile]) -> None:
    (folder / RESULT).write_text(receipt_of(files).model_dump_json())


def problems(verified: Verified) -> dict[str, str]:
    return {problem.name: problem.sentence for problem in verified.problems}


async def test_what_nobody_has_touched_is_as_it_was(stream: Path) -> None:
    told: list[tuple[int, int]] = []
    verified = await verify(str(stream), lambda done, of: told.append((done, of)))
    assert (verified.problems, verified.unlisted) == ([], [])
    assert told == [(n, 4) for n in (1, 2, 3, 4)]


def flipped(folder: Path) -> None:
    data = bytearray((folder / "720p/0.m4s").read_bytes())
    data[1000] ^= 1
    (folder / "720p/0.m4s").write_bytes(data)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "one bit": (flipped, "has other content: its sha256 is not that of the receipt"),
    "cut off": (lambda folder: os.truncate(folder / "720p/0.m4s", 2000), "has 2,000 bytes instead of 2,048"),
    "gone": (lambda folder: (folder / "720p/0.m4s").unlink(), "is missing"),
    "longer": (lambda folder: os.truncate(folder / "720p/0.m4s", 10**9), "has more than 2,048 bytes instead of 2,048"),
    "a folder": (
        lambda folder: ((folder / "720p/0.m4s").unlink(), (folder / "720p/0.m4s").mkdir()),
        "is no plain file",
    ),
    "a pipe": (
        lambda folder: ((folder / "720p/0.m4s").unlink(), os.mkfifo(folder / "720p/0.m4s")),
        "is no plain file",
    ),
    "a link to the same bytes": (
        lambda folder: (
            (folder / "720p/0.m4s").rename(folder.parent / "elsewhere"),
            (folder / "720p/0.m4s").symlink_to(folder.parent / "elsewhere"),
        ),
        "is no plain file",
    ),
}


@pytest.mark.parametrize("kind", DAMAGE)
async def test_a_file_that_is_not_as_it_was_is_named_with_what_is_wrong(stream: Path, kind: str) -> None:
    damage, sentence = DAMAGE[kind]
    damage(stream)
    assert problems(await verify(str(stream))) == {"720p/0.m4s": sentence}


async def test_a_folder_that_is_a_link_is_not_followed(stream: Path) -> None:
    (stream / "720p").rename(stream.parent / "elsewhere")
    (stream / "720p").symlink_to(stream.parent / "elsewhere")
    assert problems(await verify(str(stream))) == {
        "720p/0.m4s": "is no plain file",
        "720p/init.mp4": "is no plain file",
    }


async def test_what_the_receipt_does_not_know_is_told_and_is_no_fault(stream: Path) -> None:
    (stream / "720p" / "notes.txt").write_text("mine")
    verified = await verify(str(stream))
    assert (verified.problems, verified.unlisted) == ([], ["720p/notes.txt"])


@pytest.mark.parametrize(
    "name",
    ["../secret", "720p/../../secret", "/etc/hostname", "..", "", "a//b", "./master.m3u8", "a\\..\\b", "a\nb", RESULT],
)
async def test_a_hostile_name_reaches_nothing(stream: Path, name: str) -> None:
    """Also where the bytes there would be the right ones."""
    (stream.parent / "secret").write_bytes(b"secret")
    write_receipt(stream, {name: described(b"secret")})
    assert problems(await verify(str(stream))) == {name: "is a name that no stream has; it is not looked at"}


@pytest.mark.parametrize("content", [None, b"", b"{}", b"[1]", b"\xff\xfe", b'{"files": {"a": {"size_bytes": -1}}}'])
async def test_without_a_receipt_there_is_nothing_to_go_by(stream: Path, content: bytes | None) -> None:
    (stream / RESULT).unlink()
    if content is not None:
        (stream / RESULT).write_bytes(content)
    with pytest.raises(ReceiptUnreadable):
        await verify(str(stream))


async def test_a_receipt_without_hashes_proves_nothing(stream: Path) -> None:
    write_receipt(stream, {"720p/init.mp4": StoredFile(size_bytes=0)})
    assert list(problems(await verify(str(stream)))) == ["720p/init.mp4"]


async def test_a_server_that_does_not_answer_is_said_in_a_sentence() -> None:
    with pytest.raises(ReceiptUnreadable, match=r"cannot be fetched"):
        await verify("http://127.0.0.1:9/media/x/")


def test_the_command_says_one_line_for_each_and_ends_with_1(stream: Path) -> None:
    whole = fresh_streamforge("verify", "stream", cwd=stream.parent)
    assert (whole.returncode, whole.stderr) == (0, "")
    assert whole.stdout.startswith("All 4 files (2,057 bytes) are as the receipt of job ")
    flipped(stream)
    (stream / "Ton & Bild.vtt").unlink()
    (stream / "new\x1b[2J.txt").touch()
    damaged = streamforge("verify", "stream", cwd=stream.parent)
    assert damaged.returncode == 1
    assert damaged.stdout.splitlines()[:3] == [
        "720p/0.m4s has other content: its sha256 is not that of the receipt",
        "Ton & Bild.vtt is missing",
        r"'new\x1b[2J.txt' is not in the receipt",
    ]
    assert damaged.stdout.splitlines()[3].startswith("2 of 4 files are not as the receipt of job ")
    nothing = streamforge("verify", str(stream.parent), cwd=stream.parent)
    assert nothing.returncode == 1
    assert nothing.stderr.startswith("streamforge: There is no result.json")
