"""One browser, one API and one set of streams for all tests of this folder."""

from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import pytest_asyncio
from browser import FLAGS, chromium_path, install_players, site
from clips import Clips
from factories import run_sql
from player import Cinema
from playwright.async_api import Browser, async_playwright
from pydantic import SecretStr
from serving import Api, serving
from streams import Streams

from streamforge.embedded.ports import free_port
from streamforge.keys import Keys
from streamforge.media.worker.children import MediaChildren
from streamforge.settings import AuthSettings, DatabaseSettings, KeySettings, ServerSettings, Settings, TemporalSettings
from streamforge.storage import open_storage


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """A browser that decodes and draws without a graphics card leaves pictures out when others need the machine."""
    if config.getoption("reruns"):
        for item in items:
            if Path(__file__).parent in item.path.parents:
                item.add_marker(pytest.mark.flaky(reruns=2))


@pytest.fixture(scope="session")
def chromium() -> str:
    path = chromium_path()
    install_players()
    return path


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def browser(chromium: str) -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture(scope="session")
def players_site(chromium: str) -> Iterator[str]:
    with site() as url:
        yield url


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def api(players_site: str, postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Api]:
    await run_sql(postgres_dsn, "CREATE DATABASE players")
    settings = Settings(
        data_dir=tmp_path_factory.mktemp("players") / "data",
        server=ServerSettings(port=0, cors_origins=["*", players_site]),
        database=DatabaseSettings(dsn=postgres_dsn.rpartition("/")[0] + "/players"),
        auth=AuthSettings(secret=SecretStr("a secret of this installation, for tests")),
        temporal=TemporalSettings(address=f"127.0.0.1:{free_port('127.0.0.1')}"),
    )
    async with serving(settings) as api:
        yield api


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def streams(api: Api, clips: Clips, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Streams]:
    async with MediaChildren(memory_bytes=4 * 2**30, stall_seconds=60) as children:
        work = tmp_path_factory.mktemp("streams")
        yield Streams(clips, children, open_storage(api.settings), _keys(api), work)


@pytest.fixture(scope="session")
def cinema(browser: Browser, players_site: str, api: Api) -> Cinema:
    return Cinema(browser, players_site, api.url)


def _keys(api: Api) -> Keys:
    """Players of DASH look for a path of keys at the page's own origin, which is another one here."""
    return Keys(api.settings.model_copy(update={"keys": KeySettings(url=api.url)}))
