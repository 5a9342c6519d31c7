"""`POST /process`: what is taken, what is refused and how, and that nothing is left behind."""

import asyncio
import fcntl
import json
import os
import re
import shutil
from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from uuid import UUID, uuid4

import httpx
import pytest
import structlog
from factories import run_sql
from outages import read_only, until_refused
from races import PROCESSES, ROUNDS, started_together
from serving import Api, assert_problem, serving

from streamforge.api.routes.process_fields import parse_field
from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.errors import InvalidField
from streamforge.settings import InputSettings, ServerSettings, Settings

BOUNDARY = "b0undary"


def form(*parts: tuple[str, bytes], close: bool = True) -> bytes:
    """A multipart body by hand: header lines and content of each part."""
    body = b"".join(f"--{BOUNDARY}\r\n{head}\r\n\r\n".encode() + data + b"\r\n" for head, data in parts)
    return body + (f"--{BOUNDARY}--\r\n".encode() if close else b"")


def disposition(name: str, filename: str | None = None) -> str:
    return f'Content-Disposition: form-data; name="{name}"' + (f'; filename="{filename}"' if filename else "")


async def post_raw(
    api: Api, body: bytes | AsyncIterator[bytes], content_type: str = f"multipart/form-data; boundary={BOUNDARY}"
) -> httpx.Response:
    return await api.http.post("/process", content=body, headers={"Content-Type": content_type})


def assert_nothing_left(api: Api) -> None:
    assert api.uploads == []
    assert api.stored == []


# ── accepted ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_video_is_accepted_and_its_bytes_are_in_the_store(api: Api) -> None:
    video = os.urandom(150_000)
    response = await api.post(video, "holiday.mp4")
    assert response.status_code == 202
    job_id = response.json()["job_id"]
    assert response.json() == {"job_id": str(UUID(job_id)), "message": "Video processing started"}
    assert response.headers["location"] == f"/jobs/{job_id}"
    assert api.stored == [f"input/{job_id}/original"]
    assert (api.settings.data_dir / "storage" / api.stored[0]).read_bytes() == video
    assert api.uploads == []


async def test_an_accepted_job_can_be_looked_at_at_once(api: Api) -> None:
    job_id = await api.post_ok(name="holiday.mp4")
    job = await api.job(job_id)
    assert (job["key"], job["bucket"], job["status"], job["stage"], job["progress"]) == (
        "holiday.mp4",
        "input",
        "pending",
        "uploading",
        5,
    )
    assert job["workflow_id"] == f"video-processing-holiday.mp4-{UUID(job_id).hex[:12]}"
    assert job["size_bytes"] == len(b"some bytes")


async def test_a_video_may_be_given_a_name(api: Api) -> None:
    job_id = await api.post_ok(key="films/intro.mp4")
    assert (await api.job(job_id))["key"] == "films/intro.mp4"


@pytest.mark.parametrize("order", ["fields first", "file first"])
async def test_fields_may_come_before_or_after_the_file(api: Api, order: str) -> None:
    parts = [(disposition("key"), b"named"), (disposition("video", "clip.mp4"), b"bytes")]
    response = await post_raw(api, form(*(parts if order == "fields first" else parts[::-1])))
    assert response.status_code == 202
    assert (await api.job(response.json()["job_id"]))["key"] == "named"


LONG = "ü" * 200
FILE_NAMES = {
    f"{LONG}.mp4": f"{LONG[:125]}.mp4",
    f"x.{LONG}": f"x.{LONG}"[:128],
    "a\tb\x7f.mp4": "ab.mp4",
    "..": "video",
    "  ": "video",
    "clip.mp4": "clip.mp4",
    "C:\\Users\\me\\clip.mp4": "clip.mp4",
    "/etc/passwd": "passwd",
    "../../x.mp4": "x.mp4",
    "Grüße 🎬.mp4": "Grüße 🎬.mp4",
}


async def test_the_key_defaults_to_the_files_own_name(api: Api) -> None:
    for filename, key in FILE_NAMES.items():
        body = form((disposition("video", filename.replace("\\", "\\\\")), b"bytes"))
        response = await post_raw(api, body)
        assert response.status_code == 202, response.text
        assert (await api.job(response.json()["job_id"]))["key"] == key


EXTENDED = {
    "filename*=UTF-8''Gr%C3%BC%C3%9Fe%20%E2%82%AC.mp4": "Grüße €.mp4",
    "filename=\"=?utf-8?B?R3LDvMOfZQ==?=\"; filename*=utf-8'de'Gr%C3%BC%C3%9Fe.mp4": "Grüße.mp4",
    "filename*=iso-8859-1''Gr%FC%DFe.mp4; filename=\"other.mp4\"": "Grüße.mp4",
    "filename=\"plain.mp4\"; filename*=klingon''x.mp4": "plain.mp4",
    "filename=\"plain.mp4\"; filename*=UTF-8''%FF.mp4": "plain.mp4",
    "filename=\"a; filename*=UTF-8''b.mp4\"": "a; filename*=UTF-8''b.mp4",
}
"""RFC 5987, as .NET's HttpClient writes it."""


async def test_a_file_name_in_extended_notation_is_understood(api: Api) -> None:
    for parameters, key in EXTENDED.items():
        head = f'Content-Disposition: form-data; name="video"; {parameters}'
        response = await post_raw(api, form((head, b"bytes")))
        assert response.status_code == 202, response.text
        assert (await api.job(response.json()["job_id"]))["key"] == key


async def test_a_field_may_come_from_a_file(api: Api) -> None:
    """`curl -F metadata=@film.json`."""
    parts = [(disposition("video", "a.mp4"), b"bytes"), (disposition("metadata", "film.json"), b'{"tour": 7}')]
    response = await post_raw(api, form(*parts))
    assert (await api.job(response.json()["job_id"]))["metadata"] == {"tour": 7}


async def test_empty_optional_fields_count_as_left_out(api: Api) -> None:
    """What a browser sends for inputs that nobody filled in."""
    job_id = await api.post_ok(priority="", metadata="", webhook_url="", captions="", external_id="", profile="")
    job = await api.job(job_id)
    assert (job["priority"], job["metadata"], job["external_id"]) == (3, None, None)


async def test_an_upload_that_falls_silent_is_ended(settings: Settings) -> None:
    server = ServerSettings(port=0, slow_client_seconds=0.1)
    async with serving(settings.model_copy(update={"server": server})) as api:
        await _fall_silent(api)


async def _fall_silent(api: Api) -> None:
    reader, writer = await asyncio.open_connection(*api.address)
    writer.write(
        b"POST /process HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000\r\n"
        b"Content-Type: multipart/form-data; boundary=" + BOUNDARY.encode() + b"\r\n\r\n"
        + form((disposition("video", "a.mp4"), b"half"), close=False)
    )  # fmt: skip
    assert (await reader.readline()).startswith(b"HTTP/1.1 408")
    writer.close()
    assert_nothing_left(api)


async def test_a_body_without_a_length_is_taken_as_it_comes(api: Api) -> None:
    async def trickle() -> AsyncIterator[bytes]:
        for byte in form((disposition("video", "a.mp4"), b"x" * 300), (disposition("key"), b"trickled")):
            yield bytes([byte])

    response = await api.http.post(
        "/process", content=trickle(), headers={"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
    )
    assert response.status_code == 202
    job = await api.job(response.json()["job_id"])
    assert (job["key"], job["size_bytes"]) == ("trickled", 300)


# ── refused ─────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("priority", "0"),
        ("priority", "6"),
        ("priority", "urgent"),
        ("priority", "٣"),
        ("profile", "cinema"),
        ("metadata", "[1]"),
        ("metadata", "{"),
        ("metadata", '{"n": NaN}'),
        ("metadata", '{"n": 1e999}'),
        ("metadata", '{"nul": "\\u0000"}'),
        ("metadata", '{"half": "\\ud800"}'),
        ("metadata", json.dumps({"long": "x" * 16 * 1024})),
        ("metadata", "[" * 16_000),
        ("external_id", "x" * 256),
        ("external_id", "a\nb"),
        ("webhook_url", "ftp://example.org/"),
        ("webhook_url", "javascript:alert(1)"),
        ("webhook_url", "https://"),
        ("webhook_url", "https://example.org:99999/"),
        ("webhook_url", "https://[::1/"),
        ("webhook_url", "https://user:pw@host\\token"),
        ("webhook_url", 'https://host"<script>/x'),
        ("webhook_url", "https://h\u202eost/x"),
        ("webhook_url", "https://example.org/a b"),
        ("webhook_url", "https://example.org/\r\nHost: evil"),
        ("captions", "klingon"),
        ("captions", "en_US"),
        ("on_damage", "repair"),
    ],
)
def test_a_field_that_makes_no_sense_is_named(field: str, value: str) -> None:
    with pytest.raises(InvalidField, match=f"`{field}`"):
        parse_field(field, value, ["h264", "hevc"])


async def test_a_bad_field_refuses_the_upload_wherever_it_stands(api: Api) -> None:
    video, bad = (disposition("video", "a.mp4"), b"bytes"), (disposition("priority"), b"urgent")
    for parts in ([video, bad], [bad, video]):
        assert_problem(await post_raw(api, form(*parts)), 400, "request.invalid_field")
    assert_nothing_left(api)


async def test_a_field_nobody_knows_is_refused_by_its_name(api: Api) -> None:
    """A misspelt field that silently does nothing is worse than none."""
    for field, sentence in {
        "prioritty": "There is no field `prioritty`; the nearest is `priority`.",
        "Priority": "There is no field `Priority`; the nearest is `priority`.",
        "submit": "There is no field `submit`.",
        "x" * 1000: f"There is no field `{'x' * 64}…`.",
    }.items():
        unknown, video = (disposition(field), b"1"), (disposition("video", "a.mp4"), b"bytes")
        for parts in ([video, unknown], [unknown, video]):
            response = await post_raw(api, form(*parts))
            assert_problem(response, 400, "request.invalid_field")
            assert response.json()["detail"] == sentence
    assert_nothing_left(api)


async def test_a_parameter_nobody_knows_is_refused_by_its_name(api: Api) -> None:
    for query, sentence in {
        "dryrun=true": "There is no query parameter `dryrun`; the nearest is `dry_run`.",
        "priority=1": "`priority` is a field of the form, not a query parameter.",
        "dry_run=true&dry_run=false": "The query parameter `dry_run` is there twice.",
    }.items():
        response = await api.http.post(f"/process?{query}", files={"video": ("a.mp4", b"bytes")})
        assert_problem(response, 400, "request.invalid_field")
        assert response.json()["detail"] == sentence
    assert_nothing_left(api)


async def test_a_video_that_is_no_file_is_told_how_to_be_one(api: Api) -> None:
    for head in (disposition("video"), disposition("video") + '; filename=""'):
        response = await post_raw(api, form((head, b"bytes")))
        assert_problem(response, 400, "request.missing_video")
        assert "no file name" in response.json()["detail"]
    assert_nothing_left(api)


async def test_a_file_in_another_field_is_a_missing_video(api: Api) -> None:
    """Whatever its size, and although it is no text."""
    for field, content in (("file", b"\xff" * 100_000), ("Video", b"bytes"), ("videos[]", b"bytes")):
        response = await post_raw(api, form((disposition(field, "clip.mp4"), content)))
        assert_problem(response, 400, "request.missing_video")
        assert response.json()["detail"] == f"The file is in a field named `{field}`; send it in one named `video`."
    both = [(disposition("video", "a.mp4"), b"bytes"), (disposition("poster", "a.jpg"), b"\xff")]
    assert_problem(await post_raw(api, form(*both)), 400, "request.invalid_field")
    assert_nothing_left(api)


async def test_a_key_that_climbs_or_injects_is_refused(api: Api) -> None:
    for key in ("../../x", "/etc/passwd", "a/../b", "a//b", "a\\b", "a\nb", "x" * 256, ""):
        assert_problem(await api.post(key=key), 400, "request.invalid_key")
    assert_nothing_left(api)


async def test_an_empty_video(api: Api) -> None:
    assert_problem(await api.post(b""), 400, "input.empty")
    assert_nothing_left(api)


async def test_a_form_without_a_video(api: Api) -> None:
    assert_problem(await post_raw(api, form((disposition("key"), b"x"))), 400, "request.missing_video")
    assert_problem(await api.http.post("/process"), 400, "request.missing_video")
    assert_problem(await api.post(video=None, key="urlencoded"), 400, "request.missing_video")
    assert_nothing_left(api)


async def test_two_videos_or_a_field_twice(api: Api) -> None:
    video, key = (disposition("video", "a.mp4"), b"bytes"), (disposition("key"), b"k")
    for parts in ([video, video], [video, key, key]):
        assert_problem(await post_raw(api, form(*parts)), 400, "request.invalid_field")
    assert_nothing_left(api)


ORDINARY = form((disposition("priority"), b"2"), (disposition("video", "a.mp4"), b"\r\nbytes\r\n"))
WRITTEN_OTHERWISE = {
    "a preamble": b"This is a message in several parts.\r\n\r\n" + ORDINARY,
    "a line before it": b"\r\n" + ORDINARY,
    "an epilogue": ORDINARY + b"That was it.",
    "blanks behind its boundaries": re.sub(rb"(--b0undary(--)?)\r\n", rb"\1 \t\r\n", ORDINARY),
    "headers of its own": ORDINARY.replace(b"Content-", b"X-Note: 1\r\n" * 20 + b"Content-", 1),
}


async def test_a_form_may_be_written_as_mail_programs_do(api: Api) -> None:
    """RFC 2046 §5.1.1."""
    for why, body in WRITTEN_OTHERWISE.items():
        for size in (1, 2**16):
            pieces = (body[begin : begin + size] for begin in range(0, len(body), size))
            answer = await post_raw(api, _one_by_one(pieces))
            assert answer.status_code == 202, (why, answer.text)
            job = await api.job(answer.json()["job_id"])
            assert (job["priority"], job["size_bytes"]) == (2, 9), why


async def _one_by_one(pieces: Iterable[bytes]) -> AsyncIterator[bytes]:
    for piece in pieces:
        yield piece


async def test_a_preamble_is_no_film(api: Api) -> None:
    answer = await post_raw(api, b"x" * 70_000 + b"\r\n" + ORDINARY)
    assert_problem(answer, 400, "request.malformed_multipart")
    assert answer.json()["detail"] == "The form does not begin with its boundary."


NO_FORMS = [
    ("video/mp4", b"bytes"),
    ("application/octet-stream", b"{}"),
    ("multipart/form-data", b"no boundary"),
    (f"multipart/form-data; boundary={'x' * 300}", b""),
    (f"multipart/form-data; boundary={BOUNDARY}", b"not a form"),
    (f"multipart/form-data; boundary={BOUNDARY}", form((disposition("video", "a"), b"cut off"), close=False)),
    (f"multipart/form-data; boundary={BOUNDARY}", form(("X-Nothing: here", b"a part without a name"))),
    (f"multipart/form-data; boundary={BOUNDARY}", form((f"X: {'y' * 10_000}", b"a header without an end"))),
]


async def test_a_body_that_is_no_form(api: Api) -> None:
    for content_type, body in NO_FORMS:
        assert_problem(await post_raw(api, body, content_type), 400, "request.malformed_multipart")
    assert_nothing_left(api)


async def test_a_text_field_cannot_fill_the_memory(api: Api) -> None:
    response = await post_raw(api, form((disposition("key"), b"x" * 100_000)))
    assert_problem(response, 400, "request.invalid_field")


async def test_a_video_above_the_limit_is_refused_while_it_arrives(api: Api) -> None:
    assert_problem(await api.post(b"x" * 200_001), 413, "input.too_large")
    assert_nothing_left(api)
    assert (await api.post(b"x" * 200_000)).status_code == 202


async def test_a_video_that_announces_its_size_is_refused_before_it_is_sent(api: Api) -> None:
    """curl waits for `100 Continue` before a large body: it is not sent at all."""
    reader, writer = await asyncio.open_connection(*api.address)
    writer.write(
        b"POST /process HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: 99999999999\r\n"
        b"Content-Type: multipart/form-data; boundary=b\r\n\r\n"
    )
    assert (await reader.readline()).startswith(b"HTTP/1.1 413")
    writer.close()
    assert_nothing_left(api)


async def test_no_room_on_the_disk_is_said_before_the_upload(settings: Settings) -> None:
    greedy = InputSettings(min_free_disk_bytes=2**62)
    async with serving(settings.model_copy(update={"input": greedy})) as api:
        assert_problem(await api.post(), 507, "storage.disk_full")
        assert_nothing_left(api)


async def test_a_disk_that_fills_up_during_the_upload(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody else's file, between the first check and the last byte."""
    free = iter([10_000, 10])
    usage = shutil.disk_usage(settings.data_dir.parent)
    monkeypatch.setattr("streamforge.api.uploads.CHECK_DISK_EVERY", 1000)
    monkeypatch.setattr("streamforge.disks.shutil.disk_usage", lambda _: usage._replace(free=next(free)))
    limits = InputSettings(min_free_disk_bytes=100)
    async with serving(settings.model_copy(update={"input": limits})) as api:
        assert_problem(await api.post(b"x" * 5000), 507, "storage.disk_full")
        assert_nothing_left(api)


# ── left behind ─────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_an_aborted_upload_leaves_nothing(api: Api, rows: Jobs) -> None:
    _, writer = await asyncio.open_connection(*api.address)
    writer.write(
        b"POST /process HTTP/1.1\r\nHost: localhost\r\nContent-Length: 150000\r\n"
        b"Content-Type: multipart/form-data; boundary=" + BOUNDARY.encode() + b"\r\n\r\n"
        + form((disposition("video", "a.mp4"), b"x" * 70_000), close=False)
    )  # fmt: skip
    await writer.drain()
    await until(lambda: len(api.uploads) == 1)
    writer.close()
    await until(lambda: api.uploads == [])
    assert api.stored == []
    assert await rows.of(EVERYONE).newest(10) == []


async def test_what_a_killed_api_left_is_removed_at_the_next_start_but_no_live_upload(settings: Settings) -> None:
    folder = settings.data_dir / "uploads"
    folder.mkdir(parents=True)
    leftover, live = [folder / f"{uuid4()}.part" for _ in range(2)]
    for path in (leftover, live):
        path.write_bytes(b"half a video")
    with live.open("rb") as another_api:
        fcntl.flock(another_api, fcntl.LOCK_EX)
        async with serving(settings) as api:
            assert api.uploads == [live]


UPLOADS_OF_MANY = """
import asyncio, sys, uuid
from pathlib import Path
from streamforge.api.uploads import IncomingFile, Uploads
from streamforge.settings import InputSettings

def enter(folder):
    Uploads(folder, InputSettings()).prepare()
    incoming = IncomingFile(folder / f"{uuid.uuid4()}.part", InputSettings())
    asyncio.run(incoming.write(b"x" * 2**20))
    assert incoming.path.stat().st_size == 2**20
    incoming.path.rename(incoming.path.with_suffix(".stored"))
    IncomingFile(folder / f"{uuid.uuid4()}.part", InputSettings())  # Killed in the middle.
"""


def test_many_apis_that_start_together_after_a_kill_neither_crash_nor_take_each_others_uploads(tmp_path: Path) -> None:
    started_together(UPLOADS_OF_MANY, tmp_path)
    assert len(list(tmp_path.glob("*.stored"))) == ROUNDS * PROCESSES
    assert len(list(tmp_path.glob("*.part"))) <= PROCESSES, "those of the last round"


async def test_a_database_that_blinks_does_not_cost_the_upload(api: Api, database_dsn: str, rows: Jobs) -> None:
    await run_sql(
        database_dsn,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
        "WHERE datname = current_database() AND pid <> pg_backend_pid()",
    )
    job_id = await api.post_ok()
    assert (await api.job(job_id))["status"] == "pending"


# ── what this stands on is away ─────────────────────────────────────────────────────────────────────────────────────
@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamforge.api.routes.process.ADMISSION_WAIT_SECONDS", 0.2)


class Upload:
    """One that is held up before its last bytes."""

    def __init__(self, api: Api, path: str = "/process") -> None:
        self._api = api
        self._path = path
        self._rest_may_come = asyncio.Event()
        self._sent = asyncio.Event()

    async def begin(self) -> None:
        headers = {"Content-Type": f"multipart/form-data; boundary={BOUNDARY}"}
        self._answer = asyncio.create_task(self._api.http.post(self._path, content=self._body(), headers=headers))
        await until(lambda: len(self._api.uploads) == 1)

    async def _body(self) -> AsyncIterator[bytes]:
        whole = form((disposition("video", "a.mp4"), b"some bytes"))
        yield whole[:-20]
        await self._rest_may_come.wait()
        yield whole[-20:]
        self._sent.set()

    async def end(self) -> None:
        """All of it is sent; no answer yet."""
        self._rest_may_come.set()
        await self._sent.wait()

    async def answer(self) -> httpx.Response:
        return await self._answer


@pytest.mark.parametrize("path", ["/process", "/batches"])
@pytest.mark.usefixtures("impatient")
async def test_while_the_database_refuses_an_upload_is_refused_before_its_body(
    api: Api, database_dsn: str, path: str
) -> None:
    reader, writer = await asyncio.open_connection(*api.address)
    head = [
        f"POST {path} HTTP/1.1",
        "Host: localhost",
        "Content-Length: 150000",
        "Content-Type: multipart/form-data; boundary=b",
    ]
    async with read_only(database_dsn):
        writer.write("\r\n".join([*head, "", ""]).encode())
        assert b" 503 " in await reader.readline()
    writer.close()
    assert_nothing_left(api)


@pytest.mark.parametrize("path", ["/process", "/batches"])
async def test_an_upload_during_which_the_database_turns_read_only_is_kept_until_it_is_written(
    api: Api, database_dsn: str, path: str, rows: Jobs
) -> None:
    upload = Upload(api, path)
    await upload.begin()
    async with read_only(database_dsn):
        await upload.end()
        await until_refused(database_dsn, 2)
        assert await rows.of(EVERYONE).newest(1) == []
    assert (await upload.answer()).status_code == 202
    assert len(await rows.of(EVERYONE).newest(2)) == 1


@pytest.mark.parametrize("path", ["/process", "/batches"])
async def test_an_upload_during_which_the_store_goes_away_is_kept_until_it_is_back(
    api: Api, path: str, rows: Jobs
) -> None:
    upload = Upload(api, path)
    await upload.begin()
    with structlog.testing.capture_logs() as logs:
        originals = api.settings.data_dir / "storage" / "input"
        originals.write_bytes(b"in the way")
        await upload.end()
        await until(lambda: any(line.get("code") == "storage.unavailable" for line in logs))
        originals.unlink()
        assert (await upload.answer()).status_code == 202
    (job,) = await rows.of(EVERYONE).newest(2)
    assert api.stored == [job.source_object]


async def until(condition: object) -> None:
    """Wait for another process's or task's effect on the disk, for which there is no signal."""
    async with asyncio.timeout(10):
        while not condition():  # type: ignore[operator]
            await asyncio.sleep(0.005)
