"""One page with one player in it."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from playwright.async_api import Browser, ConsoleMessage, Page, Response
from streams import Stream

PATIENCE = 30
"""Seconds for one showing; the longest takes five."""

HLS, DASH = "master.m3u8", "manifest.mpd"


@dataclass(frozen=True)
class Kind:
    """A player, and the manifest that it is given."""

    player: str
    manifest: str
    has_menus: bool = True


KINDS = {
    "hls.js": Kind("hls.js", HLS),
    "shaka-player HLS": Kind("shaka", HLS),
    "shaka-player DASH": Kind("shaka", DASH),
    "dash.js": Kind("dash.js", DASH),
    "native HLS": Kind("native", HLS, has_menus=False),
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
        """Its first picture is on the screen."""
        await self._page.evaluate("([player, url]) => harness.open(player, url)", [kind.player, url])

    async def play_to_end(self, rate: float) -> None:
        await self._page.evaluate("rate => harness.playToEnd(rate)", rate)

    async def play_on(self) -> None:
        """To the end, with whatever there is when it is needed."""
        await self._page.evaluate("harness.playOn()")

    async def seek(self, time: float) -> None:
        await self._page.evaluate("time => harness.seek(time)", time)

    async def to_height(self, height: int, rate: float) -> None:
        await self._page.evaluate("([height, rate]) => harness.toHeight(height, rate)", [height, rate])

    async def to_language(self, code: str) -> None:
        await self._page.evaluate("code => harness.toLanguage(code)", code)

    async def wind_to(self, time: float) -> float:
        """When the picture was taken that is shown there."""
        return float(await self._page.evaluate("time => harness.windTo(time)", time))

    async def preview(self, time: float) -> list[float]:
        """Red, green and blue of what the player shows above its seek bar."""
        return list(await self._page.evaluate("time => harness.preview(time)", time))

    async def preview_from(self, url: str, time: float) -> list[float]:
        """… of what a page shows there that has the list of thumbnails."""
        return list(await self._page.evaluate("([url, time]) => harness.previewFrom(url, time)", [url, time]))

    async def hear(self, hertz: float) -> None:
        await self._page.evaluate("hertz => harness.hear(hertz)", hertz)

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


@dataclass(frozen=True)
class Cinema:
    """Shows streams of one API in one browser. The pages come from another origin than the streams, as they may."""

    browser: Browser
    site: str
    api_url: str

    @asynccontextmanager
    async def showing(self, stream: Stream, kind: Kind) -> AsyncIterator[Player]:
        """Whoever waits for longer than PATIENCE inside sees a TimeoutError."""
        context = await self.browser.new_context()
        try:
            page = await context.new_page()
            player = Player(page)
            async with asyncio.timeout(PATIENCE):
                await page.goto(f"{self.site}/harness.html")
                await player.open(kind, self.api_url + stream.path(kind.manifest))
                yield player
        finally:
            await context.close()
