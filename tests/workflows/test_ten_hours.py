"""Long films fit into one workflow: Temporal ends histories of 51,200 events or 50 MiB, and messages of 4 MiB."""

import pytest
from fakes import SOURCE, Fakes, start, working
from temporalio.client import Client

from streamforge.contracts.media import VIDEO_TIMESCALE, AudioSource, Source
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings

MAX_EVENTS = 51_200
MAX_BYTES = 50 * 2**20
EVENTS_PER_ACTIVITY = 6
"""At most: scheduled, started, completed; and as many of the workflow task that hears of it. Activities that end at the
same time share one."""


def film(hours: float, width: int, height: int, tracks: int = 1) -> Source:
    seconds = hours * 3600
    size = {"width": width, "height": height, "coded_width": width, "coded_height": height}
    picture = {
        "duration": seconds,
        "frame_count": round(seconds * 25),
        # Cuts that follow key frames make the most chunks where these are rare.
        "key_frame_ticks": [round(n * 12.5 * VIDEO_TIMESCALE) for n in range(round(seconds / 12.5))],
    }
    sound = [AudioSource(index=1 + n, codec="aac", channels=2, sample_rate=48_000) for n in range(tracks)]
    video = SOURCE.video.model_copy(update=size | picture)
    return SOURCE.model_copy(update={"duration": seconds, "video": video, "audio": sound})


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("hours", "width", "height", "tracks"),
    [pytest.param(10, 1920, 1080, 1, id="ten hours"), pytest.param(12, 3840, 2160, 16, id="the most that is accepted")],
)
async def test_a_long_film_stays_far_below_the_limits(
    temporal: Client, capsys: pytest.CaptureFixture[str], hours: float, width: int, height: int, tracks: int
) -> None:
    """Were all chunks of the second one asked for in one breath, that message alone would be too large."""
    source = film(hours, width, height, tracks)
    fakes = Fakes(source=source.without_key_frames(), plan=make_plan(source, Settings()))
    async with working(temporal, fakes):
        handle = await start(temporal, key="long.mp4")
        await handle.result()
    history = (await handle.describe()).raw_description.workflow_execution_info
    most_events = len(fakes.calls) * EVENTS_PER_ACTIVITY
    with capsys.disabled():
        print(
            f"\n{hours} h {height}p: {len(fakes.plan.chunks):,} chunks, {history.history_length:,} events "
            f"(at most {most_events:,}), {history.history_size_bytes / 2**20:.1f} MiB of history"
        )
    assert most_events < MAX_EVENTS / 2
    assert history.history_size_bytes < MAX_BYTES / 2
