"""In a real browser: pages that are signed in, pages with a ticket, and pages that only know the address."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from callers import SECRET
from factories import accepted
from playwright.async_api import Browser, async_playwright
from programs import program
from serving import Api, serving
from tools import site

from streamforge.access.api_keys import ApiKeys
from streamforge.access.caller import Scope
from streamforge.access.secret import InstallationSecret
from streamforge.access.standing import Standing
from streamforge.db.credentials import Credentials
from streamforge.db.jobs import Jobs
from streamforge.db.pool import Database
from streamforge.settings import AuthSettings, Settings

LOOK = """async ({ http, job, key, ticket }) => {
    const outcome = {}, headers = key ? { Authorization: `Bearer ${key}` } : {};
    const addressed = async (path) => ticket ? http + (await (await fetch(`${http}/tickets`, {
        method: "POST", headers, body: JSON.stringify({ path }),
    })).json()).url : http + path;
    const told = (it) => new Promise((resolve) => {
        it.onmessage = () => resolve("told");
        it.addEventListener("status", () => resolve("told"));
        it.onerror = () => resolve("refused");
    });
    outcome.list = await fetch(`${http}/jobs`).then((it) => it.status, String);
    outcome.stream = await told(new EventSource(await addressed(`/jobs/${job}/stream`)));
    outcome.socket = await told(new WebSocket((await addressed("/ws/progress")).replace("http", "ws")));
    outcome.cancel = await fetch(`${http}/jobs/${job}`, { method: "DELETE" }).then((it) => it.status, String);
    return outcome;
}"""

SIGN_IN = """async (key) => {
    const answer = await fetch("/session", { method: "POST", headers: { Authorization: `Bearer ${key}` } });
    return { status: answer.status, readable: document.cookie };
}"""

UNREADABLE = "TypeError: Failed to fetch"
NOTHING = {"list": 401, "stream": "refused", "socket": "refused", "cancel": 401}


@pytest.fixture
async def browser() -> AsyncIterator[Browser]:
    chromium = program("chromium", "chromium-browser", "google-chrome", package="chromium")
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        yield browser
        await browser.close()


@pytest.fixture
async def guarded(settings: Settings) -> AsyncIterator[Api]:
    auth = AuthSettings(required=True, secret=SECRET)  # type: ignore[arg-type]
    async with serving(settings.model_copy(update={"auth": auth})) as api:
        yield api


@pytest.fixture
async def key(guarded: Api, database: Database) -> str:
    """Of everybody's jobs, which those of before are."""
    rows = Credentials(database)
    keys = ApiKeys(rows, Standing(rows), InstallationSecret(guarded.settings))
    return await keys.create("everyone", [Scope.READ, Scope.SUBMIT])


async def test_a_page_of_ours_that_is_signed_in_may_do_what_its_key_may(
    guarded: Api, key: str, browser: Browser, jobs: Jobs
) -> None:
    job = {"http": guarded.url, "job": str(await accepted(jobs))}
    # A page of ours has a policy that lets it ask; that of an answer which is data does not.
    page = await browser.new_page(bypass_csp=True)
    await page.goto(f"{guarded.url}/health")
    assert await page.evaluate(LOOK, job) == NOTHING
    assert await page.evaluate(SIGN_IN, key) == {"status": 201, "readable": ""}
    signed_in: dict[str, Any] = await page.evaluate(LOOK, job)
    assert (signed_in["list"], signed_in["stream"], signed_in["socket"]) == (200, "told", "told")
    assert signed_in["cancel"] != 401
    assert await page.evaluate("fetch('/session', { method: 'DELETE' }).then((it) => it.status)") == 204
    assert await page.evaluate(LOOK, job) == NOTHING


async def test_a_page_from_elsewhere_has_no_part_in_it_but_may_show_a_ticket(
    guarded: Api, key: str, browser: Browser, jobs: Jobs, tmp_path: Path
) -> None:
    job = {"http": guarded.url, "job": str(await accepted(jobs))}
    (tmp_path / "page.html").write_text("<!doctype html><title>page</title>")
    window = await browser.new_context(bypass_csp=True)
    ours = await window.new_page()
    await ours.goto(f"{guarded.url}/health")
    await ours.evaluate(SIGN_IN, key)
    with site(tmp_path) as pages:
        theirs = await window.new_page()
        # Another port is another origin; another name is another site, too.
        for origin in (pages, pages.replace("127.0.0.1", "localhost")):
            await theirs.goto(f"{origin}/page.html")
            done = await theirs.evaluate(LOOK, job)
            assert (done["stream"], done["socket"]) == ("refused", "refused"), origin
            assert (done["list"], done["cancel"]) == (UNREADABLE, UNREADABLE)
    assert [it.status for it in await jobs.of("everyone").newest(5)] == ["pending"]


async def test_a_page_that_is_named_shows_tickets(
    settings: Settings, database: Database, browser: Browser, jobs: Jobs, tmp_path: Path
) -> None:
    job = {"job": str(await accepted(jobs)), "ticket": True}
    (tmp_path / "page.html").write_text("<!doctype html><title>page</title>")
    with site(tmp_path) as pages:
        auth = AuthSettings(required=True, secret=SECRET)  # type: ignore[arg-type]
        server = settings.server.model_copy(update={"cors_origins": [pages]})
        named = settings.model_copy(update={"auth": auth, "server": server})
        rows = Credentials(database)
        key = await ApiKeys(rows, Standing(rows), InstallationSecret(named)).create("everyone", [Scope.READ])
        async with serving(named) as api:
            page = await browser.new_page()
            await page.goto(f"{pages}/page.html")
            done = await page.evaluate(LOOK, {**job, "http": api.url, "key": key})
    assert (done["stream"], done["socket"], done["list"]) == ("told", "told", 401)
