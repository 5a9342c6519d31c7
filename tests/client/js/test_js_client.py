"""The JavaScript client, in Node, against the real API: everything that there is, and over lines that break."""

import asyncio
import os
import re
from collections.abc import AsyncIterator
from pathlib import Path
from uuid import UUID

import pytest
import pytest_asyncio
from broken_line import BrokenLine, broken_line
from every_endpoint import PLAYLIST, WORKER, World, jobs_complete, without_a_method
from factories import COMPLETED, progress
from js_client import MEBIBYTE, PACKAGE, Failed, Node
from programs import program

from streamforge.client import StreamForgeClient
from streamforge.storage import layout

pytestmark = pytest.mark.asyncio(loop_scope="module")

FILM_BYTES = 12 * MEBIBYTE
NOBODY = "00000000-0000-4000-8000-000000000000"
ONLY_IN_PYTHON = {"aclose", "download"}
"""A page has no files to write; `media` is an answer that can be read as it comes."""

PAGE = (PACKAGE.parents[1] / "docs" / "clients.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```js\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)


# ── every endpoint ──────────────────────────────────────────────────────────────────────────────────────────────────
async def test_every_endpoint_has_a_method_that_asks_for_it(world: World, node: Node, film: Path) -> None:
    await videos_are_sent(node, film)
    await jobs_are_looked_at(world, node)
    await jobs_are_changed(world, node)
    await streams_are_watched(world, node, film)
    await streams_are_played(world, node)
    assert await node.run("report") == {"outcome": "recorded", "videoId": "v-17", "progress": 40}
    assert await node.run("webhooks") == {
        "description": "CI", "same": True, "rotated": True, "listed": True, "type": "webhook.test", "left": 0,
    }  # fmt: skip
    await callers_are_known(node)
    await operators_look(node)
    assert without_a_method(world.requests.succeeded) == set(), world.requests.refused


async def videos_are_sent(node: Node, film: Path) -> None:
    sent = await node.run("send", path=str(film))
    assert (sent["priority"], sent["metadata"], sent["batch"]) == (2, {"a": 1}, 2)
    assert "creation" in sent["extensions"]
    assert sent["fetched"] == "by its address"
    assert sent["keys"] == ["by patch", "by post"]
    assert sent["received"] == film.stat().st_size
    large = film.with_name("large.mp4")
    large.write_bytes(b"\0\0\0\x18ftypisom" + os.urandom(FILM_BYTES))
    assert await node.run("endUpload", path=str(large), key="ended") == {"why": "enough", "status": "cancelled"}


async def jobs_are_looked_at(world: World, node: Node) -> None:
    job_id = str(await world.accepted(key="a film to be found"))
    looked = await node.run("look", id=job_id, word="found")
    assert looked == {
        "found": [job_id], "everything": [job_id], "messages": ["File received"], "chunks": [[], []], "logs": True,
    }  # fmt: skip


async def jobs_are_changed(world: World, node: Node) -> None:
    job_id, failed, completed = str(await world.accepted()), await world.failed(), await world.completed()
    changed = await node.run("change", id=job_id, failed=str(failed), completed=str(completed))
    assert (changed["paused"], changed["resumed"], changed["metadata"]) == (True, True, {"a": 1})
    assert (changed["retries"], changed["priority"], changed["cancelled"]) == (1, 1, True)
    assert [(each["job_id"], each["status"]) for each in changed["results"]] == [(job_id, 202)]
    assert changed["gone"] == "NotFound"


async def streams_are_watched(world: World, node: Node, film: Path) -> None:
    watched = await node.run("watch", completed=str(await world.completed()), path=str(film))
    assert watched["status"] == "completed"
    assert watched["seen"][-1] == "done"
    assert watched["byEvents"] == watched["byWebSocket"] == ["status", "progress", "progress", "done"]
    assert watched["everything"] == "status"
    assert watched["batch"] == ["status", 1]
    assert watched["after"] == [], "all of it was seen"


async def streams_are_played(world: World, node: Node) -> None:
    open_, signed = await world.completed(), await world.completed(playback="signed")
    told = {
        name: {"id": str(job_id), "keyId": world.key_id(job_id), "kid": world.kid(job_id)}
        for name, job_id in (("open", open_), ("signed", signed))
    }
    played = await node.run("play", **told)
    assert played["playlist"] == PLAYLIST.decode()
    assert (played["key"], played["signedKey"]) == (16, 16)
    assert world.kid(open_) in played["kids"]
    assert world.kid(signed) in played["signedKids"]


async def callers_are_known(node: Node) -> None:
    callers = await node.run("callers")
    assert callers["owner"] == "root"
    assert "?ticket=" in callers["url"]
    assert callers["expires"]


async def operators_look(node: Node) -> None:
    seen = await node.run("operate", worker=WORKER)
    assert seen.pop("unfinished") > 0
    assert "database" in seen.pop("checks")
    assert seen == {
        "workers": [WORKER], "draining": True, "usage": "root", "audit": 1, "health": "healthy", "metrics": True,
        "index": True, "openapi": True, "documentation": True,
    }  # fmt: skip


async def test_it_has_the_methods_of_the_client_for_python(node: Node) -> None:
    def in_javascript(name: str) -> str:
        name = {"watch_by_websocket": "watch_by_web_socket", "who_am_i": "who_am_i"}.get(name, name)
        return re.sub(r"_(\w)", lambda match: match[1].upper(), name)

    python = {name for name in dir(StreamForgeClient) if not name.startswith("_")} - ONLY_IN_PYTHON
    assert set(await node.run("methods")) == {in_javascript(name) for name in python}


# ── over lines that break ───────────────────────────────────────────────────────────────────────────────────────────
@pytest_asyncio.fixture(loop_scope="module")
async def line(world: World) -> AsyncIterator[BrokenLine]:
    async with broken_line(world.api.address) as line:
        yield line


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Nothing of it is like anything else of it."""
    path = tmp_path_factory.mktemp("film") / "film.mp4"
    path.write_bytes(b"\0\0\0\x18ftypisom" + os.urandom(FILM_BYTES))
    return path


def original(world: World, job_id: str) -> bytes:
    return (world.api.settings.data_dir / "storage" / layout.original(UUID(job_id))).read_bytes()


@pytest.mark.parametrize("by", ["events", "websocket"])
async def test_a_watch_goes_on_where_the_line_broke(world: World, node: Node, line: BrokenLine, by: str) -> None:
    job_id = await world.accepted()
    following = node.begin("follow", url=line.url, id=str(job_id), by=by)
    await following.until("status")
    await world.events.append(job_id, progress(20, "heard"))
    await following.until("progress")
    line.break_after(received=0)
    await world.events.append(job_id, progress(30, "lost on its way"))
    await world.events.append(job_id, COMPLETED)
    seen = await following.result()
    assert line.breaks == 1
    assert [number for event, number in seen if event == "progress"] == ["2", "3", "4"]
    assert [event for event, _ in seen if event != "progress"] == ["status", "status", "done"]


async def test_an_upload_goes_on_where_the_line_broke(world: World, node: Node, line: BrokenLine, large: Path) -> None:
    line.break_after(sent=8 * MEBIBYTE)
    job_id = await node.run("upload", url=line.url, path=str(large), key="over a broken line")
    assert line.breaks == 1
    assert original(world, job_id) == large.read_bytes()
    assert line.counted["sent"] < FILM_BYTES + 6 * MEBIBYTE, "what had arrived was not sent again"


async def test_an_upload_goes_on_where_the_page_was_closed(world: World, node: Node, large: Path) -> None:
    sent = await node.run("uploadInTwoGoes", path=str(large), key="two goes")
    assert sent["why"] == "the page is closed"
    assert sent["other"] != sent["id"], "what was asked for otherwise is another upload"
    assert sent["first"] > FILM_BYTES // 8, "it did not begin anew"
    assert original(world, sent["id"]) == large.read_bytes()
    assert (await world.api.http.get("/jobs", params={"key": "two goes"}, headers=world.headers)).json()["jobs"][0][
        "id"
    ] == sent["id"]


@pytest.mark.parametrize("lost", [{"received": 0}, {"sent": 4 * MEBIBYTE}], ids=["answer", "half of the film"])
async def test_a_video_is_accepted_once_though_the_line_broke(
    world: World, node: Node, line: BrokenLine, large: Path, lost: dict[str, int]
) -> None:
    key = f"once, {lost}"
    line.break_after(**lost)
    job_id = await node.run("submit", url=line.url, path=str(large), key=key)
    assert line.breaks == 1
    found = (await world.api.http.get("/jobs", params={"key": key}, headers=world.headers)).json()["jobs"]
    assert [job["id"] for job in found] == [job_id]


async def test_a_watch_ends_when_it_is_told_to(world: World, node: Node) -> None:
    with pytest.raises(Failed) as stopped:
        await node.run("stop", id=str(await world.accepted()))
    assert stopped.value.message == "enough"


# ── errors ──────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_refusal_is_an_error_of_its_kind_with_code_and_sentence(node: Node) -> None:
    with pytest.raises(Failed) as refused:
        await node.run("job", id=NOBODY)
    error = refused.value
    assert (error.name, error.status, error.code) == ("NotFound", 404, "job.not_found")
    assert error.message == "There is no such job."
    assert error.request_id


@pytest.mark.parametrize("by", ["events", "websocket"])
async def test_a_watch_of_what_is_not_there_says_so(node: Node, by: str) -> None:
    with pytest.raises(Failed) as refused:
        await node.run("follow", id=NOBODY, by=by)
    assert refused.value.name == "NotFound"


async def test_a_refused_upload_says_why(node: Node, large: Path) -> None:
    with pytest.raises(Failed) as refused:
        await node.run("upload", path=str(large), key="x" * 1000)
    assert (refused.value.name, refused.value.code) == ("InvalidRequest", "request.invalid_key")


async def test_a_server_that_is_not_there_is_one_sentence(node: Node, line: BrokenLine) -> None:
    gone = "http://127.0.0.1:9"
    with pytest.raises(Failed) as refused:
        await node.run("job", url=gone, id=NOBODY, options={"retrySeconds": 0})
    assert (refused.value.name, refused.value.message) == (
        "ServerUnreachable", f"StreamForge does not answer at {gone}.",
    )  # fmt: skip


# ── what is shown, and what is declared ─────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("example", EXAMPLES, ids=["upload", "errors"])
async def test_an_example_runs(world: World, node: Node, tmp_path: Path, example: str) -> None:
    (tmp_path / "holiday.mov").write_bytes(b"some bytes" * 1000)
    text = example.replace("http://127.0.0.1:8081", world.api.url).replace('"holiday.mov"', f'"{tmp_path}/holiday.mov"')
    # Its own name leads to the package whose folder this is.
    command = [program("node", "nodejs", package="nodejs"), "--no-warnings", "--input-type=module"]
    async with jobs_complete(world), asyncio.timeout(90):
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=PACKAGE,
            env={**os.environ, "STREAMFORGE_API_KEY": world.key},
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )
        out, err = await process.communicate(text.encode())
    assert (process.returncode, err.decode()) == (0, "")
    assert out


async def test_its_types_are_those_that_typescript_finds(node: Node, tmp_path: Path) -> None:
    """`npm run build` in clients/js writes them down again."""
    command = [
        program("node", "nodejs", package="nodejs"),
        "node_modules/typescript/bin/tsc",
        "--outDir",
        str(tmp_path),
    ]
    process = await asyncio.create_subprocess_exec(*command, cwd=PACKAGE, stdout=asyncio.subprocess.PIPE)
    out, _ = await process.communicate()
    assert process.returncode == 0, out.decode()
    found = {path.name: path.read_text(encoding="utf-8") for path in tmp_path.iterdir()}
    assert found == {path.name: path.read_text(encoding="utf-8") for path in (PACKAGE / "types").iterdir()}
