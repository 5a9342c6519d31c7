"""Uppy as it is, on a page of another origin than the API's."""

from uuid import UUID

import pytest
from playwright.async_api import Browser
from serving import Api

from streamforge.storage import layout

pytestmark = pytest.mark.asyncio(loop_scope="session")

SIZE = 6 * 2**20


async def test_sends_a_film_pauses_and_goes_on_where_it_was(browser: Browser, players_site: str, api: Api) -> None:
    page = await browser.new_page()
    await page.goto(f"{players_site}/uppy.html")
    await page.evaluate("([endpoint, size]) => begin(endpoint, size)", [f"{api.url}/uploads", SIZE])
    assert SIZE / 2 <= await page.evaluate("pauseInTheMiddle()") < SIZE
    sent = await page.evaluate("goOn()")
    assert sent["errors"] == []
    [url] = sent["urls"]
    job_id = (await api.http.head(url, headers={"Tus-Resumable": "1.0.0"})).headers["x-job-id"]
    job = await api.job(job_id)
    assert (job["key"], job["size_bytes"]) == ("by/uppy.mp4", SIZE)
    original = api.settings.data_dir / "storage" / layout.original(UUID(job_id))
    assert original.read_bytes() == bytes((at * 7 + (at >> 12)) % 251 for at in range(SIZE))
    await page.close()
