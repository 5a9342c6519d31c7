"""Every address, asked by everybody for what is Alice's: a job, a batch, their streams, her media and keys."""

import asyncio
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import httpx
import pytest
from serving import Api, assert_problem
from sse import read_frames
from test_rules import RULES
from websockets.asyncio.client import connect
from websockets.exceptions import InvalidStatus

from streamforge.keys import Keys
from streamforge.packaging.presentation import HLS_MASTER
from streamforge.storage import layout

EXPECTED = {
    #                                  nobody, stranger, reader, owner, admin
    "GET /": (200, 200, 200, 200, 200),
    "GET /openapi.json": (200, 200, 200, 200, 200),
    "GET /docs": (200, 200, 200, 200, 200),
    "GET /health": (200, 200, 200, 200, 200),
    "GET /ready": (503, 503, 503, 503, 503),
    "GET /metrics": (401, 403, 403, 403, 200),
    "GET /audit": (401, 403, 403, 403, 200),
    "GET /usage": (401, 200, 200, 200, 200),
    "GET /usage?owner=alice": (401, 403, 200, 200, 200),
    "GET /queue/stats": (401, 200, 200, 200, 200),
    "GET /workers": (401, 403, 403, 403, 200),
    "POST /workers/{worker_id}/drain": (401, 403, 403, 403, 404),
    "GET /jobs": (401, 200, 200, 200, 200),
    "GET /jobs?owner=alice": (401, 403, 200, 200, 200),
    "GET /jobs?ids={job_id}": (401, 200, 200, 200, 200),
    "GET /jobs/{job_id}": (401, 404, 200, 200, 200),
    "GET /jobs/{job_id}/events": (401, 404, 200, 200, 200),
    "GET /jobs/{job_id}/status-detailed": (401, 404, 200, 200, 200),
    "GET /jobs/{job_id}/progress-history": (401, 404, 200, 200, 200),
    "GET /jobs/{job_id}/logs": (401, 404, 200, 200, 200),
    "GET /jobs/{job_id}/chunks": (401, 404, 200, 200, 200),
    "POST /jobs/{job_id}/chunks/refresh": (401, 404, 200, 200, 200),
    "GET /jobs/{job_id}/stream": (401, 404, 200, 200, 200),
    "GET /batches/{batch_id}": (401, 404, 200, 200, 200),
    "GET /batches/{batch_id}/stream": (401, 404, 200, 200, 200),
    "GET /stream": (401, 200, 200, 200, 200),
    "GET /stream?owner=alice": (401, 403, 200, 200, 200),
    "WS /ws/progress": (401, 101, 101, 101, 101),
    "WS /ws/progress?owner=alice": (401, 403, 101, 101, 101),
    "WS /ws/progress?job_id={job_id}": (401, 404, 101, 101, 101),
    "WS /ws/progress?batch_id={batch_id}": (401, 404, 101, 101, 101),
    "GET /media/{job_id}/{path}": (401, 404, 200, 200, 200),
    "GET /keys/{job_id}/{key_id}": (401, 404, 200, 200, 200),
    "POST /keys/{job_id}/license": (401, 404, 200, 200, 200),
    "GET /keys/{job_id}/{signature}/{key_id}": (403, 403, 403, 403, 403),
    "POST /keys/{job_id}/{signature}/license": (403, 403, 403, 403, 403),
    "POST /jobs/{job_id}/playback/refresh": (401, 404, 409, 409, 409),
    "POST /tickets": (401, 201, 201, 201, 201),
    "GET /session": (401, 200, 200, 200, 200),
    "POST /session": (401, 201, 201, 201, 201),
    "DELETE /session": (204, 204, 204, 204, 204),
    "POST /process": (401, 202, 403, 202, 202),
    "POST /batches": (401, 202, 403, 202, 202),
    "OPTIONS /uploads": (204, 204, 204, 204, 204),
    "POST /uploads": (401, 201, 403, 201, 201),
    "GET /uploads/{upload_id}": (401, 404, 403, 200, 200),
    "PATCH /uploads/{upload_id}": (401, 404, 403, 204, 204),
    "POST /uploads/{upload_id}": (401, 404, 403, 204, 204),
    "DELETE /uploads/{upload_id}": (401, 404, 403, 204, 410),
    "POST /jobs": (401, 201, 403, 201, 201),
    "POST /jobs/{job_id}/events": (401, 404, 403, 409, 409),
    "GET /webhooks": (401, 200, 403, 200, 200),
    "POST /webhooks": (401, 201, 403, 201, 201),
    "GET /webhooks/{webhook_id}": (401, 404, 403, 200, 404),
    "GET /webhooks/{webhook_id}/secret": (401, 404, 403, 200, 404),
    "GET /webhooks/{webhook_id}/deliveries": (401, 404, 403, 200, 404),
    "POST /webhooks/{webhook_id}/secret/rotate": (401, 404, 403, 204, 404),
    "POST /webhooks/{webhook_id}/test": (401, 404, 403, 202, 404),
    "POST /webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver": (401, 404, 403, 202, 404),
    "PATCH /webhooks/{webhook_id}": (401, 404, 403, 200, 404),
    "DELETE /webhooks/{webhook_id}": (401, 404, 403, 204, 404),
    "POST /jobs/bulk": (401, 200, 403, 200, 200),
    "PATCH /jobs/{job_id}": (401, 404, 403, 200, 200),
    "POST /jobs/{job_id}/retry": (401, 404, 403, 409, 409),
    "POST /jobs/{job_id}/reprocess": (401, 404, 403, 202, 202),
    "POST /jobs/{job_id}/pause": (401, 404, 403, 202, 202),
    "POST /jobs/{job_id}/resume": (401, 404, 403, 202, 202),
    "DELETE /jobs/{job_id}": (401, 404, 403, 202, 202),
    "DELETE /jobs/{job_id}?purge=true": (401, 404, 403, 204, 404),
}
"""By method, path and query. The last ones change something."""
PERSONS = ("nobody", "stranger", "reader", "owner", "admin")
SECRET = "alices-film.mp4"
OF_TUS = {
    "Tus-Resumable": "1.0.0", "Upload-Length": "10", "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH",
    "Content-Type": "application/offset+octet-stream",
}  # fmt: skip
"""No byte comes along."""


@dataclass
class World:
    api: Api
    job_id: str
    batch_id: str
    upload_id: str
    webhook_id: str
    delivery_id: str
    key_id: str
    license: dict[str, Any]
    headers: dict[str, dict[str, str]]

    async def ask(self, name: str, person: str) -> tuple[int, str]:
        """Status, and what was told to begin with."""
        method, _, pattern = name.partition(" ")
        path = pattern.format(
            job_id=self.job_id, batch_id=self.batch_id, upload_id=self.upload_id, key_id=self.key_id, path=HLS_MASTER,
            worker_id="1@here", webhook_id=self.webhook_id, delivery_id=self.delivery_id,
            signature="~1-2000000000-" + "A" * 43,
        )  # fmt: skip
        if method == "WS":
            return await self._by_websocket(path, self.headers[person])
        return await self._by_http(method, path, self.headers[person])

    async def _by_http(self, method: str, path: str, headers: dict[str, str]) -> tuple[int, str]:
        self.api.http.cookies.clear()  # Of a session that was made just before.
        body = next((body for end, body in self.bodies.items() if path.endswith(end) and method == "POST"), {})
        tus = OF_TUS if path.startswith("/uploads") else {}
        if method == "PATCH" and not tus:
            body = {"json": {"enabled": False} if path.startswith("/webhooks") else {"metadata": {"a": 1}}}
        async with self.api.http.stream(method, path, headers={**tus, **headers}, **body) as response:
            if response.headers.get("content-type", "").startswith("text/event-stream"):
                return response.status_code, str((await anext(read_frames(response))).data)
            return response.status_code, (await response.aread()).decode(errors="replace")

    async def _by_websocket(self, path: str, headers: dict[str, str]) -> tuple[int, str]:
        try:
            async with connect(self.api.url.replace("http", "ws") + path, additional_headers=headers) as websocket:
                return 101, str(await websocket.recv())
        except InvalidStatus as refused:
            return refused.response.status_code, (refused.response.body or b"").decode()

    @property
    def bodies(self) -> dict[str, Any]:
        """By how the path ends."""
        video = {"files": {"video": ("x.mp4", b"some bytes", "video/mp4")}}
        ticket = {"json": {"path": "/jobs"}}
        bulk = {"json": {"action": "pause", "ids": ["00000000-0000-4000-8000-000000000000"]}}
        return {
            "/bulk": bulk,
            "/jobs": {"json": {"kind": "external", "key": "a.mp4"}},
            "/events": {"json": self.report},
            "/process": video,
            "/batches": video,
            "/tickets": ticket,
            "/webhooks": {"json": {"url": "https://1.1.1.1/hook"}},
            "/license": {"json": self.license},
        }

    @property
    def report(self) -> dict[str, Any]:
        return {"videoId": "v", "jobId": self.job_id, "status": "started", "timestamp": "2026-01-31T12:00:00Z"}

    @property
    def secrets(self) -> list[str]:
        return [SECRET, "#EXTM3U", self.batch_id, self.job_id, self.key_id]


@pytest.fixture
async def world(guarded_api: Api, key_of: Any) -> World:
    api = guarded_api
    headers = {
        "nobody": {},
        "stranger": await key_of("bob", "submit", "read"),
        "reader": await key_of("alice", "read"),
        "owner": await key_of("alice", "submit", "read"),
        "admin": await key_of("root", "admin"),
    }
    video = {"video": (SECRET, b"some bytes", "video/mp4")}
    job = (await api.http.post("/process", files=video, headers=headers["owner"])).raise_for_status().json()
    batch = (await api.http.post("/batches", files=video, headers=headers["owner"])).raise_for_status().json()
    begun = await api.http.post("/uploads", headers={**OF_TUS, **headers["owner"]})
    upload_id = begun.raise_for_status().headers["location"].rpartition("/")[2]
    asked = {"url": f"https://1.1.1.1/{SECRET}"}
    webhook = (await api.http.post("/webhooks", json=asked, headers=headers["owner"])).raise_for_status().json()["id"]
    test = (await api.http.post(f"/webhooks/{webhook}/test", headers=headers["owner"])).raise_for_status().json()
    job_id = UUID(job["job_id"])
    master = api.settings.data_dir / "storage" / layout.output(job_id, HLS_MASTER)
    master.parent.mkdir(parents=True)
    master.write_bytes(b"#EXTM3U\n")
    key = next(iter(Keys(api.settings).of_job(job_id).values()))
    kid = urlsafe_b64encode(bytes.fromhex(key.key_id)).decode().rstrip("=")
    return World(
        api, str(job_id), batch["batch_id"], upload_id, webhook, test["id"], key.key_id, {"kids": [kid]}, headers
    )


def test_every_route_is_asked() -> None:
    """A new one is written down here, with what each person gets."""
    assert {name.partition("?")[0] for name in EXPECTED} == RULES.keys()
    assert all(len(statuses) == len(PERSONS) for statuses in EXPECTED.values())


async def test_everybody_gets_what_is_theirs(world: World, subtests: pytest.Subtests) -> None:
    for name, statuses in EXPECTED.items():
        for person, expected in zip(PERSONS, statuses, strict=True):
            with subtests.test(f"{name} by {person}"):
                status, told = await asyncio.wait_for(world.ask(name, person), 10)
                assert status == expected, told
                if person in {"nobody", "stranger"}:
                    assert [secret for secret in world.secrets if secret in told] == []


async def test_who_is_refused_is_told_the_same_whether_or_not_it_is_there(world: World) -> None:
    """But for the request's id, which is the request's own."""

    async def answers() -> list[tuple[int, Any]]:
        found = []
        for name in (
            "GET /jobs/{job_id}",
            "GET /batches/{batch_id}/stream",
            "GET /media/{job_id}/{path}",
            "DELETE /jobs/{job_id}",
        ):
            for person in ("nobody", "stranger"):
                status, told = await world.ask(name, person)
                problem = httpx.Response(status, text=told).json()
                found.append((status, problem | {"request_id": None}))
        return found

    there = await answers()
    world.job_id = world.batch_id = "00000000-0000-4000-8000-000000000000"
    assert await answers() == there


async def test_refusals_and_what_administrators_see_are_in_the_audit_log(world: World) -> None:
    """In the words that the page uses: by route, by what it is about, and by whose that is."""
    http, (job, batch) = world.api.http, (f"job:{world.job_id}", f"batch:{world.batch_id}")
    for name, person in (
        ("GET /jobs/{job_id}", "nobody"),
        ("GET /jobs/{job_id}", "stranger"),
        ("DELETE /jobs/{job_id}", "reader"),
        ("GET /jobs/{job_id}/events", "admin"),
        ("GET /batches/{batch_id}/stream", "admin"),
        ("WS /ws/progress?job_id={job_id}", "admin"),
        ("GET /jobs?owner=alice", "admin"),
        ("GET /jobs?owner=alice", "stranger"),
        ("GET /jobs", "admin"),
        ("GET /jobs/{job_id}", "owner"),
    ):
        await world.ask(name, person)
    await http.get("/jobs/00000000-0000-4000-8000-000000000000", headers=world.headers["stranger"])

    async def told() -> set[tuple[str | None, ...]]:
        page = (await http.get("/audit?limit=500", headers=world.headers["admin"])).raise_for_status().json()
        fields = ("owner", "action", "target", "target_owner", "outcome")
        return {tuple(entry[field] for field in fields) for entry in page["entries"]}

    expected = {
        (None, "GET /jobs/{job_id}", job, "alice", "unauthenticated"),
        ("bob", "GET /jobs/{job_id}", job, "alice", "not_found"),
        ("alice", "DELETE /jobs/{job_id}", job, "alice", "forbidden"),
        ("root", "GET /jobs/{job_id}/events", job, "alice", "allowed"),
        ("root", "GET /batches/{batch_id}/stream", batch, "alice", "allowed"),
        ("root", "WS /ws/progress", job, "alice", "allowed"),
        ("root", "GET /jobs", "owner:alice", "alice", "allowed"),
        ("bob", "GET /jobs", "owner:alice", "alice", "forbidden"),
        ("root", "GET /jobs", "owner:*", None, "allowed"),
    }
    async with asyncio.timeout(10):
        while not expected <= (found := await told()):
            await asyncio.sleep(0.1)
    # Besides, only that the log itself was read.
    assert found - expected <= {("root", "GET /audit", None, None, "allowed")}


async def test_the_page_of_the_audit_log_can_be_narrowed(world: World) -> None:
    for _ in range(3):
        await world.ask("GET /jobs/{job_id}", "stranger")
    admin = world.headers["admin"]

    async def page(query: str) -> Any:
        return (await world.api.http.get(f"/audit?{query}", headers=admin)).raise_for_status().json()

    async with asyncio.timeout(10):
        while not (found := (await page("outcome=not_found"))["entries"]):
            await asyncio.sleep(0.1)
    [entry] = found
    assert entry["credential"].startswith("key:")
    assert entry["code"] == "job.not_found"
    assert entry["address"] == "127.0.0.1"
    assert (await page(f"target_owner=alice&owner=bob&target={entry['target']}"))["entries"] == found
    assert (await page("owner=alice"))["entries"] == []
    assert (await page("until=2020-01-01"))["entries"] == []
    async with asyncio.timeout(10):
        # Until one of these looks stands there, too.
        while (first := await page("limit=1"))["entries"] == found:
            await asyncio.sleep(0.1)
    assert (await page(f"cursor={first['next_cursor']}"))["entries"][-1] == entry
    assert_problem(await world.api.http.get("/audit?since=yesterday", headers=admin), 400, "request.invalid_field")
    assert_problem(await world.api.http.get("/audit?whose=x", headers=admin), 400, "request.invalid_field")
