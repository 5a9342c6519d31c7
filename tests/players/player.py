"""One page with one player in it."""

import asyncio
import io
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import av
import pytest
from playwright.async_api import Browser, ConsoleMessage, Page, Response
from streams import Stream

PATIENCE = 90
"""Seconds for one showing. The longest takes five, and many times as long on a busy machine."""

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

VIDEO_JS = {
    "video.js HLS": Kind("video.js", HLS, has_menus=False),
    "video.js DASH": Kind("video.js", DASH, has_menus=False),
}


def meetings(
    often: Mapping[str, Iterable[str]], all_of_them: Mapping[str, Iterable[str]] | None = None
) -> pytest.MarkDecorator:
    """A stream and a player, all pairs of them. Each costs a second of a core or more: those that are not among `often`,
    where every stream and every player has its place, are slow."""
    return pytest.mark.parametrize(
        ("name", "player_name"),
        [
            pytest.param(stream, player, marks=[] if player in chosen else pytest.mark.slow)
            for stream, chosen in often.items()
            for player in (all_of_them or dict.fromkeys(often, KINDS))[stream]
        ],
    )


@dataclass(frozen=True)
class Track:
    type: str
    buffered: list[tuple[float, float]]


@dataclass(frozen=True)
class Report:
    """What the page has to say; see harness.js. Times in seconds."""

    complaints: list[str]
    stalls: list[float]
    firstFrame: float | None
    lastFrame: float | None
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
        self.fetched: set[str] = set()
        """Folders of renditions whose segments were asked for."""
        page.on("console", self._on_console)
        page.on("pageerror", lambda error: self._complaints.append(f"uncaught {error}"))
        page.on("response", self._on_response)

    async def open(
        self, kind: Kind, url: str, license: str | None, *, pictures: bool = True, renewable: bool = False
    ) -> None:
        """Its first picture is on the screen, if there are any. `license` is where the page has its keys from. One that is
        `renewable` has little ahead, and can `go_on`."""
        await self._page.evaluate("(all) => harness.open(...all)", [kind.player, url, license, pictures, renewable])

    async def give_up(self, kind: Kind, url: str, license: str | None, status: int) -> None:
        """The player is refused something and says that it is stuck."""
        async with self._page.expect_response(lambda response: response.status == status):
            await self._page.evaluate("(all) => void harness.open(...all).catch(complain)", [kind.player, url, license])
        await self._page.wait_for_function("diary.complaints.length > 0")

    async def play_to_end(self, rate: float) -> None:
        await self._page.evaluate("rate => harness.playToEnd(rate)", rate)

    async def play_until_refused(self, rate: float) -> None:
        await self._page.evaluate("rate => harness.playUntilRefused(rate)", rate)

    async def go_on(self, signature: str) -> None:
        """As a page does that was given another signature."""
        await self._page.evaluate("signature => harness.goOn(signature)", signature)

    async def play_on(self) -> None:
        """To the end, with whatever there is when it is needed."""
        await self._page.evaluate("harness.playOn()")

    async def see_last_picture(self) -> None:
        """Of a film whose last picture is a moment before its end; a busy browser plays it before it draws it."""
        await self._page.evaluate("harness.seeLastPicture()")

    async def seek(self, time: float, rate: float = 1) -> None:
        await self._page.evaluate("([time, rate]) => harness.seek(time, rate)", [time, rate])

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

    async def to_sound(self, code: str, channels: int) -> None:
        await self._page.evaluate("([code, channels]) => harness.toSound(code, channels)", [code, channels])

    async def sound(self) -> tuple[str, int]:
        """What the player has chosen: language and number of channels."""
        code, channels = await self._page.evaluate("harness.sound()")
        return code, channels

    async def contrast(self) -> float:
        """Standard deviation of the brightness on the screen. No script may look into a decrypted picture, but everybody
        who sits in front of it can."""
        picture = await self._page.locator("video").screenshot()
        with av.open(io.BytesIO(picture)) as container:
            [frame] = container.decode(video=0)
        return float(frame.to_ndarray(format="gray").std())

    async def languages(self) -> list[str]:
        return list(await self._page.evaluate("harness.languages()"))

    async def texts(self) -> list[str]:
        """What the menu of subtitles and captions offers."""
        return list(await self._page.evaluate("harness.texts()"))

    async def show_text(self, label: str) -> None:
        """Turn it on, and wait until there is something to read."""
        await self._page.evaluate("label => harness.showText(label)", label)

    async def read(self, time: float) -> str:
        """What is on the screen there; waits until something is."""
        return str(await self._page.evaluate("time => harness.read(time)", time))

    async def read_nothing(self, time: float) -> None:
        """Returns once nothing is on the screen there."""
        await self._page.evaluate("time => harness.readNothing(time)", time)

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
        if response.url.endswith(".m4s"):
            self.fetched.add(response.url.split("/")[-2])
        if response.status >= 400:
            self._complaints.append(f"{response.status} for {response.url}")


@dataclass(frozen=True)
class Cinema:
    """Shows streams of one API in one browser. The pages come from another origin than the streams, as they may."""

    browser: Browser
    site: str
    api_url: str

    @asynccontextmanager
    async def showing(
        self, stream: Stream, kind: Kind, *, pictures: bool = True, renewable: bool = False
    ) -> AsyncIterator[Player]:
        """Whoever waits for longer than PATIENCE inside sees a TimeoutError."""
        async with self._page() as player:
            await player.open(kind, *self._addresses(stream, kind), pictures=pictures, renewable=renewable)
            yield player

    async def turned_away(self, stream: Stream, kind: Kind, status: int) -> Report:
        """What a viewer sees whose player asks for something and is answered with `status`."""
        async with self._page() as player:
            await player.give_up(kind, *self._addresses(stream, kind), status)
            return await player.report()

    @asynccontextmanager
    async def _page(self) -> AsyncIterator[Player]:
        context = await self.browser.new_context()
        try:
            page = await context.new_page()
            async with asyncio.timeout(PATIENCE):
                await page.goto(f"{self.site}/harness.html")
                yield Player(page)
        finally:
            await context.close()

    def _addresses(self, stream: Stream, kind: Kind) -> tuple[str, str | None]:
        license = self.api_url + stream.license if stream.license else None
        return self.api_url + stream.path(kind.manifest), license
