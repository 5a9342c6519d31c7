"""Upload done → playable, whatever the length: how long somebody who has just sent a film waits for its first seconds."""

import asyncio
import time
from pathlib import Path

from bench import clips, report
from bench.system import running
from streamforge.client import StreamForgeClient

BAR_SECONDS = 3.0
LENGTHS = {"10 s": 10, "10 min": 600, "2 h": 7200}
RUNS = 3


def main() -> None:
    report.machine()
    with running() as system:
        for name, seconds in LENGTHS.items():
            film = clips.looped(clips.BUNNY, seconds)
            report.note(f"{name} of 720p25 with sound, {film.stat().st_size / 1e6:.0f} MB")
            waits = [asyncio.run(_wait(system.url, film)) for _ in range(RUNS)]
            report.spread(f"{name}: 202 → playable", waits, bar=BAR_SECONDS)


async def _wait(url: str, film: Path) -> float:
    """Seconds from the answer to the upload to the first `playable` event. The job is cancelled then."""
    async with StreamForgeClient(url) as client:
        job_id = await client.submit(film)
        answered = time.monotonic()
        async for event in client.watch(job_id):
            if event.event == "playable" or event.stage == "completed":
                waited = time.monotonic() - answered
                break
        else:
            raise RuntimeError("the job ended without becoming playable")
        await client.cancel(job_id)
        async for _ in client.watch(job_id):
            pass  # The next run must not share the machine with this one.
        return waited
