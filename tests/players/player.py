"""One page with one player in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Page, Response

HLS, DASH = "master.m3u8", "manifest.mpd"


@dataclass(frozen=True)
class Kind:
    """A player, and the manifest that it is given."""

    player: str
    manifest: str


KINDS = {
    "hls.js": Kind("hls.js", HLS),
    "shaka-player HLS": Kind("shaka", HLS),
    "shaka-player DASH": Kind("shaka", DASH),
    "dash.js": Kind("dash.js", DASH),
    "native HLS": Kind("native", HLS),
}


@dataclass(frozen=True)
class Track:
    type: str
    buffered: list[tuple[float, float]]


@dataclass(frozen=True)
class Report:
    """What the page has to say; see harness.js. Times in seconds."""

    complaints: list[str]
    stalls: list[float]
    firstFrame: float
    lastFrame: float
    pictures: int
    dullest: float
    duration: float
    time: float
    ended: bool
    size: tuple[int, int]
    buffered: list[tuple[float, float]]
    tracks: list[Track]
    soundBytes: int


class Player:
    def __init__(self, page: Page) -> None:
        self._page = page
        self._complaints: list[str] = []
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self._complaints.append(f"uncaught {error}"))
        page.on("response", self._on_response)

    async def open(self, kind: Kind, url: str) -> None:
        await self._page.evaluate("([player, url]) => harness.open(player, url)", [kind.player, url])

    async def play_to_end(self, rate: float = 1) -> None:
        await self._page.evaluate("rate => harness.playToEnd(rate)", rate)

    async def seek(self, time: float) -> None:
        await self._page.evaluate("time => harness.seek(time)", time)

    async def to_height(self, height: int) -> None:
        await self._page.evaluate("height => harness.toHeight(height)", height)

    async def to_language(self, code: str) -> None:
        await self._page.evaluate("code => harness.toLanguage(code)", code)

    async def languages(self) -> list[str]:
        return list(await self._page.evaluate("harness.languages()"))

    async def report(self) -> Report:
        found: dict[str, Any] = await self._page.evaluate("harness.report()")
        found["complaints"] += self._complaints
        found["size"] = tuple(found["size"])
        found["tracks"] = [Track(**track) for track in found["tracks"]]
        return Report(**found)

    def _on_console(self, message: ConsoleMessage) -> None:
        if message.type in {"error", "warning"}:
            self._complaints.append(f"console: {message.text}")

    def _on_response(self, response: Response) -> None:
        if response.status >= 400:
            self._complaints.append(f"{response.status} for {response.url}")


@asynccontextmanager
async def player_page(browser: Browser, site: str) -> AsyncIterator[Player]:
    context = await browser.new_context()
    try:
        page = await context.new_page()
        page.set_default_timeout(30_000)
        player = Player(page)
        await page.goto(f"{site}/harness.html")
        yield player
    finally:
        await context.close()
