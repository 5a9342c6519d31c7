"""Streams as real programs follow them: curl, npm's EventSource, and Chromium's, across a restart of the server."""

import asyncio
import json
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from factories import COMPLETED, accepted, progress
from playwright.async_api import Page, async_playwright
from programs import npm_packages, program
from serving import serving
from tools import HERE, lines_of, site

from streamforge.api.http.server import running
from streamforge.db.jobs import EVERYONE, Jobs
from streamforge.events.log import EventLog
from streamforge.settings import Settings

EXAMPLES = HERE.parents[1] / "docs" / "examples"
TABS = 6
"""As many connections as a browser opens to one host."""


async def test_curl_shows_each_event_when_it_happens(settings: Settings, jobs: Jobs, events: EventLog) -> None:
    curl = program("curl", package="curl")
    job_id = await accepted(jobs)
    async with running(settings) as url, lines_of(curl, "-sN", f"{url}/jobs/{job_id}/stream") as lines:
        assert await _line(lines, b"event: ") == b"event: status"
        for percent in (20, 30):
            await events.append(job_id, progress(percent))
            assert await _line(lines, b"event: ") == b"event: progress"
            assert f'"progress":{percent}'.encode() in await _line(lines, b"data: ")
        await events.append(job_id, COMPLETED)
        rest = await lines.read()
    assert rest.endswith(b"event: done\ndata: {}\n\n")


async def _line(lines: asyncio.StreamReader, begins: bytes) -> bytes:
    async with asyncio.timeout(20):
        while not (line := (await lines.readline()).rstrip()).startswith(begins):
            pass
    return line


async def test_npms_eventsource_resumes_across_a_restart_and_stops_at_the_end(
    settings: Settings, jobs: Jobs, events: EventLog
) -> None:
    node = program("node", "nodejs", package="nodejs")
    npm_packages(HERE)
    job_id = await accepted(jobs)
    url = f"http://127.0.0.1:{settings.server.port}/jobs/{job_id}/stream"
    told: list[dict[str, Any]] = []
    async with running(settings) as _:
        # Inside the block that ends the first server, so that the client sees it end.
        client = lines_of(node, "follow.mjs", url)
        lines = await client.__aenter__()
        await _told(lines, told, "status")
        await events.append(job_id, progress(20))
        await _told(lines, told, "progress")
    await events.append(job_id, progress(30))
    async with running(settings) as _:
        await _told(lines, told, "progress")
        await events.append(job_id, COMPLETED)
        await _told(lines, told, "done")
        while not told[-1].get("closed"):
            await _told(lines, told, "error")
    await client.__aexit__(None, None, None)
    numbers = [int(each["id"]) for each in told if each["event"] == "progress"]
    assert numbers == [2, 3, 4]
    assert told[-1]["code"] == 204, "it was told not to come back"


async def _told(lines: asyncio.StreamReader, told: list[dict[str, Any]], event: str) -> None:
    async with asyncio.timeout(20):
        while True:
            told.append(json.loads(await lines.readline()))
            if told[-1]["event"] == event:
                return


@pytest.fixture
def chromium() -> str:
    return program("chromium", "chromium-browser", "google-chrome", package="chromium")


def naming(settings: Settings, origin: str) -> Settings:
    server = settings.server.model_copy(update={"cors_origins": [origin]})
    return settings.model_copy(update={"server": server})


HOSTILE = """async ({ http, job }) => {
    const outcome = {};
    const form = new FormData();
    form.append("video", new Blob(["bytes"]), "a.mp4");
    outcome.post = await fetch(`${http}/process`, { method: "POST", body: form }).then((it) => it.status, String);
    outcome.blind = await fetch(`${http}/process`, { method: "POST", body: form, mode: "no-cors" }).then((it) => it.type, String);
    outcome.cancel = await fetch(`${http}/jobs/${job}`, { method: "DELETE" }).then((it) => it.status, String);
    outcome.list = await fetch(`${http}/jobs`).then((it) => it.status, String);
    const ended = (it) => new Promise((resolve) => {
        it.onmessage = () => resolve("told");
        it.addEventListener("status", () => resolve("told"));
        it.onerror = () => resolve("refused");
    });
    outcome.stream = await ended(new EventSource(`${http}/stream`));
    outcome.socket = await ended(new WebSocket(`${http.replace("http", "ws")}/ws/progress`));
    outcome.known = await ended(new EventSource(`${http}/jobs/${job}/stream`));
    outcome.media = await fetch(`${http}/media/${job}/master.m3u8`).then((it) => it.text(), String);
    return outcome;
}"""
NOTHING_BUT_PLAYED = {
    "post": 403,
    "blind": "TypeError: Failed to fetch",  # Not even that there was an answer.
    "cancel": 403,
    "list": 403,
    "stream": "refused",
    "socket": "refused",
    "known": "told",
    "media": "#EXTM3U",
}


async def test_a_page_from_elsewhere_in_a_real_browser_plays_and_does_nothing_else(
    chromium: str, settings: Settings, jobs: Jobs, tmp_path: Path
) -> None:
    job_id = await accepted(jobs)
    manifest = settings.data_dir / "storage" / "output" / str(job_id) / "master.m3u8"
    manifest.parent.mkdir(parents=True)
    manifest.write_text("#EXTM3U")
    (tmp_path / "hostile.html").write_text("<!doctype html><title>hostile</title>")
    async with serving(settings) as api, async_playwright() as playwright:
        rebinding = "--host-resolver-rules=MAP evil.example 127.0.0.1"
        browser = await playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-gpu", rebinding]
        )
        tab = await browser.new_page()
        with site(tmp_path) as pages:
            for origin in (pages, pages.replace("127.0.0.1", "localhost"), pages.replace("127.0.0.1", "evil.example")):
                await tab.goto(f"{origin}/hostile.html")
                done = await tab.evaluate(HOSTILE, {"http": api.url, "job": str(job_id)})
                assert done == NOTHING_BUT_PLAYED, origin
        rebound = await tab.goto(f"http://evil.example:{settings.server.port}/jobs")
        assert rebound is not None
        assert rebound.status == 421
        await browser.close()
        assert [(job.id, job.status) for job in await jobs.of(EVERYONE).newest(10)] == [(job_id, "pending")]


async def test_six_tabs_of_the_example_page_see_everything_across_a_restart(
    chromium: str, settings: Settings, jobs: Jobs, events: EventLog
) -> None:
    """docs/examples/watch.html, one connection each, however many jobs there are."""
    ids = [await accepted(jobs) for _ in range(8)]
    api = f"http://127.0.0.1:{settings.server.port}"
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        with site(EXAMPLES) as pages:
            settings = naming(settings, pages)
            async with serving(settings):
                window = await browser.new_context()
                tabs = [await window.new_page() for _ in range(TABS)]
                for tab in tabs:
                    await tab.goto(f"{pages}/watch.html?api={api}")
                    await _shows(tab, ids[-1], "uploading", "5 %")
                await events.append(ids[0], progress(20, "before"))
                for tab in tabs:
                    await _shows(tab, ids[0], "transcoding", "20 %", "before")
            await events.append(ids[1], progress(30, "while nobody served"))
            late = await accepted(jobs)
            async with serving(settings):
                for tab in tabs:
                    await _shows(tab, ids[1], "transcoding", "30 %", "while nobody served")
                    await _shows(tab, late, "uploading", "5 %", "File received")
                await events.append(ids[2], COMPLETED)
                for tab in tabs:
                    await _shows(tab, ids[2], "completed", "100 %")
        await browser.close()


async def _shows(tab: Page, job_id: UUID, *texts: str) -> None:
    row = tab.locator("tr", has_text=str(job_id)[:8])
    for text in texts:
        await row.get_by_text(text, exact=True).wait_for(timeout=20_000)


async def test_chromiums_eventsource_does_not_come_back_after_the_end(
    chromium: str, settings: Settings, jobs: Jobs, events: EventLog, tmp_path: Path
) -> None:
    """A page that forgets to close it."""
    job_id = await accepted(jobs)
    (tmp_path / "forgetful.html").write_text("<!doctype html><title>forgetful</title>")
    async with serving(settings) as api, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        with site(tmp_path) as pages:
            tab = await browser.new_page()
            await tab.goto(f"{pages}/forgetful.html")
            watched = tab.evaluate(
                """(url) => new Promise((resolve) => {
                    const seen = [], events = new EventSource(url);
                    for (const name of ["status", "progress", "done"]) {
                        events.addEventListener(name, (event) => seen.push([name, event.lastEventId]));
                    }
                    events.onerror = () => events.readyState === EventSource.CLOSED && resolve(seen);
                })""",
                f"{api.url}/jobs/{job_id}/stream",
            )
            async with asyncio.timeout(30):
                seen, *_ = await asyncio.gather(watched, events.append(job_id, COMPLETED))
        await browser.close()
    names = [name for name, _ in seen]
    assert names[0] == "status"
    assert names.count("done") == 1
    assert names[-1] == "done"
