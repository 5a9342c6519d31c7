"""A store that is away for a moment: what was encoded waits for it, and is not encoded again."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from clips import Clips
from factories import PROCESSING, accepted
from temporalio.testing import ActivityEnvironment

from activities import patience, receipts
from activities.fence import FencedStorage
from activities.gpu_sessions import GpuSessions
from activities.originals import Originals
from activities.room import Room
from activities.scratch import Scratch
from activities.transcode import TranscodeActivities
from streamforge.contracts.media import EncodedTracks, Source
from streamforge.contracts.pipeline import EncodeAudioInput, EncodeChunkInput, StoredSource
from streamforge.db.jobs import Jobs
from streamforge.errors import StorageUnavailable
from streamforge.events.log import EventLog
from streamforge.keys import Keys
from streamforge.media.child import MediaChildren
from streamforge.media.gpu import GpuMeter
from streamforge.media.probe import probe_task
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings
from streamforge.storage import Storage
from streamforge.storage.local import LocalStorage


class Hiccups(FencedStorage):
    """The first two puts of each name fail."""

    def __init__(self, storage: Storage) -> None:
        super().__init__(storage)
        self.tried = Counter[str]()

    def _try(self, name: str) -> None:
        self.tried[name] += 1
        if self.tried[name] <= 2:
            raise StorageUnavailable("The media store does not answer right now.")

    async def put_file(self, name: str, path: Path, *, replace: bool = True) -> None:
        self._try(name)
        await super().put_file(name, path, replace=replace)

    async def put_bytes(self, name: str, data: bytes, *, replace: bool = True) -> None:
        self._try(name)
        await super().put_bytes(name, data, replace=replace)


class Counting:
    """Media children that say what was asked of them."""

    def __init__(self, children: MediaChildren) -> None:
        self._children = children
        self.tasks: list[str] = []

    async def run(self, task: str, *more: Any) -> Any:
        self.tasks.append(task)
        return await self._children.run(task, *more)


async def test_one_put_that_fails_is_made_again_and_nothing_else(
    jobs: Jobs, events: EventLog, clips: Clips, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One failed put of one segment had a track of twelve hours begin anew."""
    monkeypatch.setattr(patience, "FIRST_WAIT", 0.001)
    job_id = await accepted(jobs)
    await events.append(job_id, PROCESSING)
    settings = Settings.model_validate({"data_dir": tmp_path, "transcode": {"presets": {"h264": "ultrafast"}}})
    store, scratch = LocalStorage(tmp_path / "store"), Scratch(tmp_path / "scratch")
    original = StoredSource(job_id=job_id, source_object="input/original", size_bytes=1, sha256="0" * 64)
    await store.put_bytes(original.source_object, clips.slow.read_bytes())
    originals = Originals(store, scratch, kept_seconds=0)
    async with MediaChildren(memory_bytes=4 * 2**30, stall_seconds=60) as children:
        source = await children.run("probe", probe_task(clips.slow, settings.input), Source)
        plan = make_plan(source, settings)
        counting = Counting(children)
        activities = TranscodeActivities(
            Hiccups(store),
            events,
            counting,  # type: ignore[arg-type]
            originals=originals,
            scratch=scratch,
            room=Room(2**32),
            keys=Keys(settings),
            gpu=GpuSessions([], 1, GpuMeter()),
        )
        sound = EncodeAudioInput(original=original, source=source, plan=plan, rendition=plan.audio[0])
        heard = await ActivityEnvironment().run(activities.transcode_audio, sound)
        picture = EncodeChunkInput(
            original=original,
            source=source,
            plan=plan.only(plan.renditions),
            chunk=plan.chunks[0],
            weight=1,
            chunk_count=1,
            total_frames=plan.total_frames,
        )
        seen = await ActivityEnvironment().run(activities.transcode_chunk, picture)
    assert counting.tasks == ["audio", "encode"]
    for part in (heard, seen):
        for track in (await receipts.read(store, part.receipt, EncodedTracks)).tracks:
            for segment in track.segments:
                info = await store.stat(f"output/{job_id}/{track.name}/{segment.file_name}")
                assert info is not None
                assert info.size_bytes == segment.size_bytes
    said = [event.details for event in await events.after(job_id, 0)]
    assert {"code": "storage.unavailable", "attempt": 2} in said
    await originals.close()
    scratch.close()
