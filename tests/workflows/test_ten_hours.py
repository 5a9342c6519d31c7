"""Long films fit into one workflow: Temporal ends histories of 51,200 events or 50 MiB, and messages of 4 MiB. They are
packaged by the activity that packages all others; what is encoded is told, and nothing is."""

from collections import Counter
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from fakes import SOURCE, UNSANDBOXED, Fakes, start, working
from sources import track
from temporalio.client import Client, WorkflowHandle

from activities.package import PackageActivities
from activities.registration import performs
from activities.support import source_clocks, work_records
from streamforge.contracts import steps
from streamforge.contracts.media.encoded import EncodedTrack, EncodedTracks
from streamforge.contracts.media.plan import Chunk, Plan
from streamforge.contracts.media.source import VIDEO_TIMESCALE, AudioSource, Source, SubtitleSource
from streamforge.contracts.media.timeline import ClockRun, NoteKind, PictureCount, TimelineNote, TrackClock
from streamforge.contracts.pipeline import EncodeAudioInput, EncodeChunkInput, EncodedPart, PackagedStream, PackageInput
from streamforge.events.log import EventLog
from streamforge.media.probe.tracks import MAX_AUDIO_TRACKS, MAX_SUBTITLE_TRACKS, MAX_TITLE
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings
from streamforge.storage import layout, local
from streamforge.storage.local import LocalStorage

LONGEST_HOURS = 12
MAX_EVENTS = 51_200
MAX_BYTES = 50 * 2**20
EVENTS_PER_ACTIVITY = 6
"""At most: scheduled, started, completed; and as many of the workflow task that hears of it. Activities that end at the
same time share one."""


MAX_PAYLOAD = 2 * 2**20
MAX_MESSAGE = 4 * 2**20
"""Of Temporal, for one input or result, and for all that a workflow asks for in one breath."""

BROKEN_CLOCK = TrackClock(
    runs=[ClockRun(begin=n, position=10**9 * n, shift=-(10**6) * n) for n in range(1000)],
    disbelieved=[10**9 + n for n in range(500)],
    lead_ins=[(10**9 * n, 10**9 * n + 1) for n in range(200)],
)
TITLE = "😀" * MAX_TITLE


def film(hours: float, width: int, height: int) -> Source:
    seconds = hours * 3600
    size = {"width": width, "height": height, "coded_width": width, "coded_height": height}
    picture = {
        "duration": seconds,
        "frame_count": round(seconds * 25),
        # Cuts that follow key frames make the most chunks where these are rare.
        "key_frame_ticks": [round(n * 12.5 * VIDEO_TIMESCALE) for n in range(round(seconds / 12.5))],
    }
    sound = [AudioSource(index=1, codec="aac", channels=2, sample_rate=48_000)]
    video = SOURCE.video.model_copy(update=size | picture)
    return SOURCE.model_copy(update={"duration": seconds, "video": video, "audio": sound})


def the_most_that_is_accepted(hours: float) -> Source:
    """A film in 4K with as many tracks as are described, all with long titles, and a clock that broke all the time. It may be
    of twelve hours."""
    longest = film(hours, 3840, 2160)
    sound = {"codec": "ac3", "channels": 6, "layout": "5.1(side)", "sample_rate": 48_000, "clock": BROKEN_CLOCK}
    text = {"codec": "subrip", "title": TITLE, "language": "es-419"}
    notes = [TimelineNote(kind=NoteKind.RESET, at=n, seconds=-1, text="The clock goes back. " * 5) for n in range(50)]
    return longest.model_copy(
        update={
            "video": longest.video_required.model_copy(update={"clock": BROKEN_CLOCK}),
            "audio": [
                AudioSource(index=1 + n, title=TITLE, language="es-419", **sound) for n in range(MAX_AUDIO_TRACKS)
            ],
            "subtitles": [SubtitleSource(index=100 + n, **text) for n in range(MAX_SUBTITLE_TRACKS)],
            "timeline_notes": notes,
        }
    )


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

    @performs(steps.ENCODE_CHUNK)
    async def chunk(self, work: EncodeChunkInput) -> EncodedPart:
        part = await super().chunk(work)
        tracks = [self._video(rendition.name, work.chunk) for rendition in work.plan.renditions]
        shown = work.chunk.expected_frames
        count = PictureCount(in_source=shown, decoded=shown, shown=shown)
        title = f"{work_records.CHUNK}{work.chunk.index:05}-{tracks[0].name}"
        return await self._kept(work, title, EncodedTracks(tracks=tracks, count=count), part)

    @performs(steps.ENCODE_AUDIO)
    async def audio(self, work: EncodeAudioInput) -> EncodedPart:
        part = await super().audio(work)
        rendition = work.rendition
        sound = self.sound.model_copy(update={"name": rendition.name})
        return await self._kept(work, rendition.name, EncodedTracks(tracks=[sound]), part)

    @cached_property
    def sound(self) -> EncodedTrack:
        """Of one rendition, and of all others."""
        return encoded("audio", self.plan, 0, self.source.duration, self.plan.audio[0].sample_rate)

    def _video(self, name: str, chunk: Chunk) -> EncodedTrack:
        end = self.source.duration if chunk.end is None else chunk.end
        return encoded(name, self.plan, chunk.start, end, VIDEO_TIMESCALE, chunk.expected_frames)

    async def _kept(
        self, work: EncodeChunkInput | EncodeAudioInput, title: str, tracks: EncodedTracks, part: EncodedPart
    ) -> EncodedPart:
        name = layout.work_record(work.original.job_id, title)
        await work_records.write(self.storage, name, tracks)
        return part.model_copy(update={"receipt": name})

    @performs(steps.PACKAGE)
    async def package(self, work: PackageInput) -> PackagedStream:
        return await PackageActivities(self.storage, self.events).package(work)

    @property
    def playlists(self) -> dict[str, str]:
        return {path.parent.name: path.read_text() for path in self.storage.root.glob("output/*/*/index.m3u8")}


async def messages(handle: WorkflowHandle[Any, Any]) -> dict[str, int]:
    """Bytes of the largest of each kind, as the history has them."""
    asked, largest_input, largest_result = Counter[int](), 0, 0
    async for event in handle.fetch_history_events():
        if event.HasField("activity_task_scheduled_event_attributes"):
            task = event.activity_task_scheduled_event_attributes
            asked[task.workflow_task_completed_event_id] += task.ByteSize()
            largest_input = max(largest_input, task.input.ByteSize())
        if event.HasField("activity_task_completed_event_attributes"):
            largest_result = max(largest_result, event.activity_task_completed_event_attributes.result.ByteSize())
    return {"message": max(asked.values()), "input": largest_input, "result": largest_result}


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    "source",
    [
        pytest.param(film(10, 1920, 1080), id="ten hours", marks=pytest.mark.slow),
        pytest.param(the_most_that_is_accepted(LONGEST_HOURS), id="the most", marks=pytest.mark.slow),
        pytest.param(the_most_that_is_accepted(LONGEST_HOURS / 4), id="a quarter of the most"),
    ],
)
async def test_a_long_film_stays_far_below_the_limits(
    temporal: Client,
    events: EventLog,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    source: Source,
) -> None:
    """Were all chunks of the longest one asked for in one breath, that message alone would be too large; and so would be all
    tracks, if each were told of the others. A shorter one may take its share of what grows with its length."""
    monkeypatch.setattr(local, "_sync", lambda _: None)  # Nobody will miss these receipts after a power cut.
    job_id, storage = uuid4(), LocalStorage(tmp_path)
    fakes = Packaging(
        source=await source_clocks.keep(storage, job_id, source.without_key_frames()),
        plan=make_plan(source, Settings.model_validate({"captions": {"enabled": True}})),
        storage=storage,
        events=events,
    )
    async with working(temporal, fakes, UNSANDBOXED):
        handle = await start(temporal, key="long.mp4")
        await handle.result()
    history = (await handle.describe()).raw_description.workflow_execution_info
    most_events = len(fakes.calls) * EVENTS_PER_ACTIVITY
    largest = await messages(handle)
    with capsys.disabled():
        told = ", ".join(f"{what} {size / 2**20:.2f} MiB" for what, size in largest.items())
        print(
            f"\n{source.video_required.height}p: {len(fakes.plan.chunks):,} chunks, {history.history_length:,} events "
            f"(at most {most_events:,}), {history.history_size_bytes / 2**20:.1f} MiB of history; largest {told}"
        )
    share = source.duration / (LONGEST_HOURS * 3600)
    assert most_events < share * MAX_EVENTS / 2
    assert history.history_size_bytes < share * MAX_BYTES / 2
    assert largest["message"] < min(share, 0.75) * MAX_MESSAGE
    assert max(largest["input"], largest["result"]) < MAX_PAYLOAD / 2
    last = round(source.duration - fakes.plan.segment_seconds) * VIDEO_TIMESCALE
    for name in (*fakes.plan.names, "audio-0"):
        lines = fakes.playlists[name].splitlines()
        assert lines[-1] == "#EXT-X-ENDLIST"
        assert name == "audio-0" or lines[-2] == f"{last}.m4s"
