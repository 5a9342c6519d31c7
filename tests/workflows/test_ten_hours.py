"""Long films fit into one workflow: Temporal ends histories of 51,200 events or 50 MiB, and messages of 4 MiB. They are
packaged by the activity that packages all others; what is encoded is told, and nothing is."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from fakes import SOURCE, Fakes, start, working
from sources import track
from temporalio import activity
from temporalio.client import Client

from activities import receipts
from activities.package import PackageActivities
from streamforge.contracts import names
from streamforge.contracts.media import VIDEO_TIMESCALE, AudioSource, Chunk, EncodedTrack, EncodedTracks, Plan, Source
from streamforge.contracts.pipeline import EncodeAudioInput, EncodeChunkInput, EncodedPart
from streamforge.contracts.timeline import PictureCount
from streamforge.events.log import EventLog
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings
from streamforge.storage import layout
from streamforge.storage.local import LocalStorage

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


def encoded(name: str, plan: Plan, begin: float, end: float, timescale: int, frames: int = 1) -> EncodedTrack:
    """Segments as long as planned, the last one what is left."""
    step, left = round(plan.segment_seconds * timescale), round((end - begin) * timescale)
    lengths = [min(step, left - at) for at in range(0, left, step)]
    made = track(name, lengths, [1000] * len(lengths), timescale=timescale, start=round(begin * timescale))
    return made.model_copy(update={"frames": frames})


@dataclass
class Packaging(Fakes):
    """Encoders that leave their receipts, and the real thing behind them."""

    storage: LocalStorage = field(kw_only=True)
    events: EventLog = field(kw_only=True)

    @activity.defn(name=names.ENCODE_CHUNK)
    async def chunk(self, work: EncodeChunkInput) -> EncodedPart:
        part = await super().chunk(work)
        tracks = [self._video(rendition.name, work.chunk) for rendition in work.plan.renditions]
        shown = work.chunk.expected_frames
        count = PictureCount(in_source=shown, decoded=shown, shown=shown)
        title = f"{receipts.CHUNK}{work.chunk.index:05}-{tracks[0].name}"
        return await self._kept(work, title, EncodedTracks(tracks=tracks, count=count), part)

    @activity.defn(name=names.ENCODE_AUDIO)
    async def audio(self, work: EncodeAudioInput) -> EncodedPart:
        part = await super().audio(work)
        rendition = work.rendition
        sound = encoded(rendition.name, self.plan, 0, self.source.duration, rendition.sample_rate)
        return await self._kept(work, rendition.name, EncodedTracks(tracks=[sound]), part)

    def _video(self, name: str, chunk: Chunk) -> EncodedTrack:
        end = self.source.duration if chunk.end is None else chunk.end
        return encoded(name, self.plan, chunk.start, end, VIDEO_TIMESCALE, chunk.expected_frames)

    async def _kept(
        self, work: EncodeChunkInput | EncodeAudioInput, title: str, tracks: EncodedTracks, part: EncodedPart
    ) -> EncodedPart:
        name = layout.receipt(work.original.job_id, title)
        await receipts.write(self.storage, name, tracks)
        return part.model_copy(update={"receipt": name})

    @property
    def activities(self) -> list[Callable[..., Any]]:
        others = [fake for fake in super().activities if fake.__name__ != "package"]
        return [*others, PackageActivities(self.storage, self.events).package]

    @property
    def playlists(self) -> dict[str, str]:
        return {path.parent.name: path.read_text() for path in self.storage.root.glob("output/*/*/index.m3u8")}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("hours", "width", "height", "tracks"),
    [pytest.param(10, 1920, 1080, 1, id="ten hours"), pytest.param(12, 3840, 2160, 16, id="the most that is accepted")],
)
async def test_a_long_film_stays_far_below_the_limits(
    temporal: Client,
    events: EventLog,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    hours: float,
    width: int,
    height: int,
    tracks: int,
) -> None:
    """Were all chunks of the second one asked for in one breath, that message alone would be too large."""
    source = film(hours, width, height, tracks)
    fakes = Packaging(
        source=source.without_key_frames(),
        plan=make_plan(source, Settings()),
        storage=LocalStorage(tmp_path),
        events=events,
    )
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
    last = round(hours * 3600 - fakes.plan.segment_seconds) * VIDEO_TIMESCALE
    for name in fakes.plan.names:
        assert fakes.playlists[name].endswith(f"#EXTINF:4.000000,\n{last}.m4s\n#EXT-X-ENDLIST\n")
