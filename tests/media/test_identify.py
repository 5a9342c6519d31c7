"""The first MiB of an upload: refused is only what no more bytes could make a video."""

import io
import random
import zipfile
from pathlib import Path

import pytest

from streamforge.contracts import tasks
from streamforge.contracts.tasks import IdentifyTask
from streamforge.errors import NotAVideo
from streamforge.media.worker.children import MediaChildren

HERE = Path(__file__).parent
FILMS = sorted(path for path in HERE.rglob("*.*") if path.suffix in {".mp4", ".mkv", ".ts", ".avi", ".mov", ".webm"})
MEBIBYTE = 2**20


def zipped() -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as archive:
        archive.writestr("film.txt", random.Random(1).randbytes(2 * MEBIBYTE))
    return target.getvalue()


NONE = {
    "text": b"Dear server, this is a letter.\n" * 40_000,
    "zeros": b"\0" * MEBIBYTE,
    "zip": zipped(),
    "pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\n" * 20_000,
    "web page": b"<!DOCTYPE html>\n<html><body><p>Log in to go on.</p></body></html>\n" * 16_000,
    "program": Path("/proc/self/exe").read_bytes()[:MEBIBYTE],
}
BEGINNINGS = {
    "MP4 with its index at the end": b"\0\0\0\x18ftypisom\0\0\0\0isommp42"
    + b"\0\0\0\x01mdat"
    + b"\0" * 6
    + b"\xff\xff"
    + b"x" * MEBIBYTE,
    "QuickTime of a camera": b"\0\0\0\x08wide" + b"\x7f\0\0\0mdat" + b"\x9c" * MEBIBYTE,
}


async def identified(children: MediaChildren, beginning: bytes, folder: Path) -> None:
    path = folder / "beginning"
    path.write_bytes(beginning[:MEBIBYTE])
    await children.run(tasks.IDENTIFY, IdentifyTask(path=path))


async def test_no_film_is_refused_for_lacking_the_rest(
    children: MediaChildren, tmp_path: Path, subtests: pytest.Subtests
) -> None:
    assert len(FILMS) > 15
    for film in FILMS:
        with subtests.test(film.name), film.open("rb") as file:
            await identified(children, file.read(MEBIBYTE), tmp_path)
    for name, beginning in BEGINNINGS.items():
        with subtests.test(name):
            await identified(children, beginning, tmp_path)


async def test_what_is_none_is_refused(children: MediaChildren, tmp_path: Path, subtests: pytest.Subtests) -> None:
    for name, beginning in NONE.items():
        with subtests.test(name), pytest.raises(NotAVideo, match="not a video"):
            await identified(children, beginning, tmp_path)
