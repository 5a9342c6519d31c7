"""Whose jobs they are: what is somebody else's is not there, by whatever address.

Nobody can say yet who they are, so a header does it here, in the one place where a request becomes an owner's.
"""

import asyncio
import re
from dataclasses import dataclass
from importlib import resources
from typing import Any
from uuid import UUID, uuid4

import pytest
from serving import Api, assert_problem
from sse import read_frames
from starlette.requests import HTTPConnection
from starlette.routing import Route
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from streamforge.access.caller import Caller, Scope
from streamforge.api import app, services
from streamforge.db.jobs import Jobs
from streamforge.settings import ServerSettings

OF_ANYBODY = re.compile(r"/(media|keys|workers)/.*")
"""Players have no account: who knows the id may play, unless keys ask for more. Workers are the administrators'."""

ASKED_BY_ID = [
    (method, route.path)
    for route in app.routes(ServerSettings())
    if isinstance(route, Route) and "{" in route.path and not OF_ANYBODY.fullmatch(route.path)
    for method in sorted((route.methods or set()) - {"HEAD"})
]

ORDINARY = frozenset({Scope.READ, Scope.SUBMIT})
OF_TUS = {
    "Tus-Resumable": "1.0.0", "Upload-Length": "10", "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH",
    "Content-Type": "application/offset+octet-stream",
}  # fmt: skip
"""No byte comes along."""
ALICE, BOB = {"X-Owner": "alice"}, {"X-Owner": "bob"}


@dataclass
class Ids:
    job: str
    batch: str
    of_batch: str
    upload: str
    webhook: str

    def path(self, pattern: str) -> str:
        return pattern.format(
            job_id=self.job, batch_id=self.batch, upload_id=self.upload, webhook_id=self.webhook, delivery_id=uuid4()
        )


@pytest.fixture(autouse=True)
def _owners_by_header(monkeypatch: pytest.MonkeyPatch) -> None:
    def caller(connection: HTTPConnection) -> Caller:
        return Caller(connection.headers.get("x-owner", "nobody"), ORDINARY, "anonymous")

    monkeypatch.setattr(services, "caller_of", caller)


@pytest.fixture
async def of_alice(api: Api) -> Ids:
    video = {"video": ("a.mp4", b"some bytes", "video/mp4")}
    job = (await api.http.post("/process", files=video, headers=ALICE)).raise_for_status().json()
    batch = (await api.http.post("/batches", files=video, headers=ALICE)).raise_for_status().json()
    # A part, which has no job of its own.
    upload = await api.http.post("/uploads", headers={**OF_TUS, **ALICE, "Upload-Concat": "partial"})
    upload_id = upload.raise_for_status().headers["location"].rpartition("/")[2]
    hook = await api.http.post("/webhooks", json={"url": "https://1.1.1.1/hook"}, headers=ALICE)
    webhook_id = hook.raise_for_status().json()["id"]
    return Ids(job["job_id"], batch["batch_id"], batch["jobs"][0]["job_id"], upload_id, webhook_id)


def test_there_are_addresses_to_try() -> None:
    assert {("GET", "/jobs/{job_id}"), ("DELETE", "/jobs/{job_id}"), ("GET", "/batches/{batch_id}/stream")} <= set(
        ASKED_BY_ID
    )


async def test_who_owns_it_finds_it(api: Api, of_alice: Ids) -> None:
    for path in ("/jobs/{job_id}", "/jobs/{job_id}/events", "/batches/{batch_id}"):
        assert (await api.http.get(of_alice.path(path), headers=ALICE)).status_code == 200


@pytest.mark.parametrize(("method", "pattern"), ASKED_BY_ID)
async def test_by_its_id_nobody_else_does(api: Api, of_alice: Ids, rows: Jobs, method: str, pattern: str) -> None:
    """A route that is added is tried, too. And nothing has changed after it."""
    headers = {**OF_TUS, **BOB} if "upload" in pattern else BOB
    refused = await api.http.request(method, of_alice.path(pattern), headers=headers)
    [kind] = [kind for kind in ("batch", "upload", "webhook", "job") if kind in pattern]
    assert_problem(refused, 404, f"{kind}.not_found")
    job = await rows.of("alice").get(UUID(of_alice.job))
    assert job is not None
    assert (job.cancel_requested_at, job.event_seq) == (None, 1)


async def test_lists_hold_what_is_ones_own(api: Api, of_alice: Ids) -> None:
    async def listed(query: str, headers: dict[str, str]) -> list[Any]:
        answer = await api.http.get(f"/jobs?{query}", headers=headers)
        return sorted(job["id"] for job in answer.raise_for_status().json()["jobs"])

    everything = sorted([of_alice.job, of_alice.of_batch])
    for query in ("limit=100", "status=pending", f"ids={','.join(everything)}"):
        assert await listed(query, ALICE) == everything
        assert await listed(query, BOB) == []


async def test_the_stream_of_everything_begins_with_what_is_ones_own(api: Api, of_alice: Ids) -> None:
    for headers, count in ((ALICE, 2), (BOB, 0)):
        async with api.http.stream("GET", "/stream", headers=headers) as response:
            assert len((await anext(read_frames(response))).data["jobs"]) == count


async def test_who_asks_while_the_owner_follows_is_told_nothing(api: Api, of_alice: Ids) -> None:
    """Those who follow the same share one look at it, and the owner's would have answered for all."""
    for path in ("/jobs/{job_id}/stream", "/batches/{batch_id}/stream"):
        async with api.http.stream("GET", of_alice.path(path), headers=ALICE) as response:
            frames = read_frames(response)
            assert (await anext(frames)).event == "status"
            async with asyncio.timeout(10):
                assert (await api.http.get(of_alice.path(path), headers=BOB)).status_code == 404


async def test_the_owner_who_asks_while_a_stranger_waits_is_told_all(api: Api, of_alice: Ids) -> None:
    path = of_alice.path("/jobs/{job_id}/stream")
    strangers = [asyncio.create_task(api.http.get(path, headers=BOB)) for _ in range(20)]
    async with api.http.stream("GET", path, headers=ALICE) as response:
        frames = read_frames(response)
        assert (await anext(frames)).event == "status"
        assert {answer.status_code for answer in await asyncio.gather(*strangers)} == {404}
        await api.http.delete(of_alice.path("/jobs/{job_id}"), headers=ALICE)
        assert [frame.event async for frame in frames][-1] == "done"


@pytest.mark.parametrize(("query", "status"), [("job_id={job_id}", 404), ("batch_id={batch_id}", 404)])
async def test_a_websocket_does_not_either(api: Api, of_alice: Ids, query: str, status: int) -> None:
    url = f"{api.url.replace('http', 'ws')}/ws/progress?{of_alice.path(query)}"
    async with connect(url, additional_headers=ALICE):
        pass
    with pytest.raises(InvalidStatus) as refused:
        async with connect(url, additional_headers=BOB):
            pass
    assert refused.value.response.status_code == status


def test_every_query_for_callers_asks_for_the_owner() -> None:
    text = resources.files("streamforge.db").joinpath("queries.sql").read_text(encoding="utf-8")
    [section] = re.findall(r"^-- ── what one owner has.*?(?=^-- ── )", text, re.MULTILINE | re.DOTALL)
    queries = dict(re.findall(r"-- name: (\w+)\n(.*?;)$", section, re.MULTILINE | re.DOTALL))
    assert len(queries) >= 12
    for name, query in queries.items():
        # find_jobs() asks for the owner, wherever it is told one.
        asks = re.search(r"\bowner = \$1|find_jobs\(\$1,|owners WHERE id = \$1|\(owner, [^)]*\)\s+VALUES \(\$1", query)
        assert asks, f"{name} answers to anybody"
        # Null is for administrators, where the index is of something else.
        assert "$1::text IS NULL OR owner = $1" not in query or re.search(r"\b(job_|batch_)?id = ", query), name
