"""Media children can be killed at once, are limited, and never take their worker down."""

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from clips import Clips
from encoding import QUICK
from outages import filled, small_disk
from processes import media_children, zygotes
from test_probe import probe

from streamforge.contracts import tasks
from streamforge.contracts.tasks import EncodeResult, EncodeTask, FramesEncoded, TrialTask
from streamforge.embedded import leftovers
from streamforge.errors import DiskFull, InvalidSettings, MediaChildCrashed, ServiceError, SourceTooExpensive
from streamforge.media.worker.children import MediaChildren
from streamforge.planning.plan import make_plan
from streamforge.planning.trial import trial_renditions
from streamforge.settings import Presets, Settings


class Running:
    """An encode that has begun: its first progress was heard."""

    def __init__(self) -> None:
        self.begun = asyncio.Event()
        self.frames = 0

    async def start(
        self, children: MediaChildren, path: Path, target: Path, then: Callable[[], None] = lambda: None
    ) -> "asyncio.Task[EncodeResult]":
        """`then` is called before anything else is heard."""
        source = await probe(children, path)
        settings = QUICK.model_copy(
            update={"transcode": QUICK.transcode.model_copy(update={"presets": Presets(h264="slow")})}
        )
        plan = make_plan(source, settings)
        whole = plan.chunks[0].model_copy(update={"end": None})
        task = EncodeTask(path=path, source=source, plan=plan, chunk=whole, target=target)

        def on_progress(progress: FramesEncoded) -> None:
            self.frames = min(progress.frames.values())
            if not self.begun.is_set():
                self.begun.set()
                then()

        running = asyncio.create_task(children.run(tasks.ENCODE, task, on_progress))
        begun = asyncio.create_task(self.begun.wait())
        await asyncio.wait([running, begun], return_when=asyncio.FIRST_COMPLETED, timeout=30)
        begun.cancel()
        if not self.begun.is_set():
            await running  # It ended before it began: say why.
        return running


async def gone(processes: list[psutil.Process]) -> None:
    async with asyncio.timeout(5):
        while any(leftovers.is_alive(process) for process in processes):
            await asyncio.sleep(0.01)


async def test_cancelling_kills_the_encoders_at_once(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    """They are stopped here, and neither end by themselves nor when they are asked to."""
    running = await Running().start(children, clips.full_hd, tmp_path)
    processes = media_children()
    assert processes
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    await gone(processes)


async def test_a_crash_is_an_error_and_the_next_task_runs(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    running = await Running().start(children, clips.full_hd, tmp_path)
    for process in media_children():
        process.send_signal(signal.SIGSEGV)
    with pytest.raises(MediaChildCrashed) as caught:
        await running
    assert caught.value.debug == "exit -11"
    assert (await probe(children, clips.small)).video.frame_count == 100


async def test_a_child_that_stops_moving_is_given_up(clips: Clips, tmp_path: Path) -> None:
    async with MediaChildren(memory_bytes=4 * 2**30, stall_seconds=60) as children:
        stopped: list[psutil.Process] = []

        def stop() -> None:
            stopped.extend(media_children())
            for process in stopped:
                process.send_signal(signal.SIGSTOP)
            children._stall_seconds = 0.5

        running = await Running().start(children, clips.full_hd, tmp_path, stop)
        with pytest.raises(SourceTooExpensive, match="no progress"):
            await running
        assert stopped
        await gone(stopped)


async def test_memory_is_limited(clips: Clips, tmp_path: Path) -> None:
    async with MediaChildren(memory_bytes=150 * 2**20, stall_seconds=60) as children:
        with pytest.raises(SourceTooExpensive, match="memory"):
            await Running().start(children, clips.full_hd, tmp_path)


async def test_the_zygote_is_started_again_when_somebody_killed_it(clips: Clips) -> None:
    others = set(zygotes())
    async with MediaChildren(memory_bytes=4 * 2**30, stall_seconds=60) as children:
        await probe(children, clips.small)
        (zygote,) = set(zygotes()) - others
        zygote.kill()
        await gone([zygote])
        assert (await probe(children, clips.small)).video.frame_count == 100


WORKER = """
import asyncio, sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
sys.path[:0] = {path}
from test_children import Running
from streamforge.media.worker.children import MediaChildren

async def main():
    async with MediaChildren(4 * 2**30, 60) as children:
        running = await Running().start(children, Path({clip!r}), Path({target!r}))
        print("begun", flush=True)
        await running

asyncio.run(main())
"""


async def test_a_worker_killed_with_9_leaves_no_encoder_behind(clips: Clips, tmp_path: Path) -> None:
    here = Path(__file__).parent
    script = WORKER.format(path=[str(here), str(here.parent)], clip=str(clips.full_hd), target=str(tmp_path / "out"))
    worker = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE)
    assert worker.stdout is not None
    assert await asyncio.to_thread(worker.stdout.readline) == b"begun\n"
    family = psutil.Process(worker.pid).children(recursive=True)
    assert len(family) >= 2
    os.kill(worker.pid, signal.SIGKILL)
    worker.wait()
    await gone(family)
    worker.stdout.close()


async def test_what_breaks_in_a_child_is_told_in_the_log_of_its_worker(
    children: MediaChildren, clips: Clips, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """The child itself knows neither its job nor a log."""
    source = await probe(children, clips.small)
    plan = make_plan(source, QUICK)
    (tmp_path / "file").touch()
    target = tmp_path / "file" / "no folder"
    task = EncodeTask(path=clips.small, source=source, plan=plan, chunk=plan.chunks[0], target=target)
    with pytest.raises(ServiceError), caplog.at_level("INFO"):
        await children.run(tasks.ENCODE, task)
    said = {record.message: record for record in caplog.records}
    assert "NotADirectoryError" in vars(said["media child said"])["said"]
    assert vars(said["media child ended"])["outcome"] == "internal"


async def test_a_wrong_preset_is_one_sentence_at_start(children: MediaChildren) -> None:
    rendition = trial_renditions(Settings())[0]
    rendition = rendition.model_copy(update={"options": rendition.options | {"preset": "warp-speed"}})
    with pytest.raises(InvalidSettings, match="libx264 does not start with preset 'warp-speed'"):
        await children.run(tasks.TRIAL, TrialTask(rendition=rendition))


@pytest.mark.parametrize(("codec", "preset"), [("h264", "medium"), ("hevc", "fast"), ("av1", "10")])
async def test_every_codec_starts_with_our_options(children: MediaChildren, codec: str, preset: str) -> None:
    transcode = {"codecs": [codec], "presets": {codec: preset}}
    settings = Settings.model_validate({"transcode": transcode, "profiles": {"default": {}}})
    [rendition] = trial_renditions(settings)
    result = await children.run(tasks.TRIAL, TrialTask(rendition=rendition))
    assert result.size_bytes > 0


@pytest.mark.parametrize("left", [0, 30_000], ids=["nothing", "a few segments"])
async def test_a_disk_that_is_too_full_to_encode_on_is_no_fault_of_the_video(
    children: MediaChildren, clips: Clips, tmp_path: Path, left: int
) -> None:
    source = await probe(children, clips.small)
    plan = make_plan(source, QUICK)
    with small_disk(tmp_path / "disk") as disk, filled(disk, leave=left):
        task = EncodeTask(path=clips.small, source=source, plan=plan, chunk=plan.chunks[0], target=disk)
        with pytest.raises(DiskFull, match="disk of a worker is full"):
            await children.run(tasks.ENCODE, task)
