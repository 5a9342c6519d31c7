"""What a worker answers on its metrics port to those who ask how it is."""

import asyncio
import time
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest
from serving import AUTHORITIES

from streamforge.embedded.ports import free_port
from streamforge.observability.exposition import exposed
from streamforge.settings import DatabaseSettings, Settings
from streamforge.worker import pulse
from streamforge.worker.pulse import Pulse
from streamforge.worker.run import worker


def probed(settings: Settings, **others: object) -> tuple[Settings, str]:
    """The settings with a port to ask on, and its URL."""
    metrics = settings.metrics.model_copy(update={"worker_port": free_port("127.0.0.1")})
    return settings.model_copy(update={"metrics": metrics, **others}), f"http://127.0.0.1:{metrics.worker_port}"


async def status(http: httpx.AsyncClient, path: str) -> int:
    """0 where nobody listens."""
    try:
        return (await http.get(path)).status_code
    except httpx.ConnectError:
        return 0


async def test_a_worker_that_takes_work_is_ready(settings: Settings, one_zygote: None) -> None:
    settings, url = probed(settings)
    async with httpx.AsyncClient(base_url=url) as http:
        async with worker(settings):
            assert (await status(http, "/health"), await status(http, "/ready")) == (200, 200)
            assert "streamforge_build_info" in (await http.get("/metrics")).text
        assert await status(http, "/health") == 0


async def test_a_worker_that_waits_for_its_database_is_alive_and_not_ready(
    settings: Settings, one_zygote: None
) -> None:
    nobody_there = f"postgresql://nobody@127.0.0.1:{free_port('127.0.0.1')}/none"
    settings, url = probed(settings, database=DatabaseSettings(dsn=nobody_there))

    async def starting() -> None:
        async with worker(settings):
            pass

    waiting = asyncio.create_task(starting())
    async with httpx.AsyncClient(base_url=url) as http:
        while not await status(http, "/health"):
            await asyncio.sleep(0.02)
        assert (await status(http, "/health"), await status(http, "/ready")) == (200, 503)
    waiting.cancel()
    await asyncio.wait([waiting])


async def test_a_worker_whose_event_loop_stands_still_is_not_alive(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pulse, "STILL_SECONDS", 0.2)
    monkeypatch.setattr(pulse, "BEAT_SECONDS", 0.01)
    it = Pulse()
    with exposed("127.0.0.1", 0, it.probes()) as metrics, ThreadPoolExecutor() as elsewhere:
        assert metrics is not None
        health = metrics.replace("/metrics", "/health")
        async with it.beating():
            await asyncio.to_thread(until_answered, health, 200)
            answered = elsewhere.submit(until_answered, health, 503)
            while not answered.done():
                pass  # The event loop does nothing else.
            answered.result()


def until_answered(url: str, status: int) -> None:
    """On a busy machine an event loop that is alive may stand still for a moment, too."""
    with httpx.Client(verify=AUTHORITIES) as http:
        end = time.monotonic() + 60
        while http.get(url).status_code != status:
            assert time.monotonic() < end, f"{url} does not come to answer {status}"
