"""Whole jobs through the command line: the demo, a job that outlives its `up`, a worker started on its own."""

import asyncio
import re
import signal
import subprocess
import sys
from pathlib import Path
from uuid import UUID

from commandline import StartUp, environment, fresh_streamforge, processes_of

from streamforge.client import StreamEvent, StreamForgeClient
from streamforge.contracts.job import JobStatus, Stage
from streamforge.contracts.job_view import JobView

VIDEO = Path(__file__).parents[1] / "media" / "bbb-720p-5s.mp4"

QUICK = {"STREAMFORGE_TRANSCODE__PRESETS__H264": "ultrafast", "STREAMFORGE_TRANSCODE__HEIGHTS": "[720]"}
"""Settings for those jobs of which the commands are looked at, not the coding."""


def test_the_demo_shows_stages_and_a_table_leaves_the_stream_and_no_process(tmp_path: Path) -> None:
    demo = fresh_streamforge("demo", cwd=tmp_path, **QUICK)

    assert demo.returncode == 0, demo.stderr
    stages = re.findall(r"^(\w+) +\d+ %", demo.stdout, re.MULTILINE)
    assert list(dict.fromkeys(stages)) == [
        "uploading", "transcoding", "validation", "packaging", "storage", "completed",
    ]  # fmt: skip
    assert re.search(
        r"720p +│ h264 +│ 1280×720 +│ +[\d,]+ kbit/s │ +\d+\.\d ± \d\.\d │ +\d+\.\d at \d+\.\d s │", demo.stdout
    )
    for kind, first_line in (("HLS", "#EXTM3U"), ("DASH", "<?xml")):
        place = re.search(rf"^{kind} +(/.+)$", demo.stdout, re.MULTILINE)
        assert place is not None
        assert Path(place[1]).read_text(encoding="utf-8").startswith(first_line)
        assert re.search(
            rf"^{kind} +http://127\.0\.0\.1:8081/media/.+{Path(place[1]).name}$", demo.stdout, re.MULTILINE
        )
    assert processes_of(tmp_path) == []


def test_the_demo_of_something_else_fails_with_the_sentence_of_the_job(tmp_path: Path) -> None:
    (tmp_path / "notes.mp4").write_text("This is not a video. " * 1000)

    demo = fresh_streamforge("demo", "notes.mp4", cwd=tmp_path)

    assert demo.returncode == 1
    assert demo.stderr.startswith("streamforge: ")
    assert demo.stderr.count("\n") == 1
    assert "video" in demo.stderr
    assert processes_of(tmp_path) == []


def test_a_video_is_sent_with_what_its_job_is_to_be_done_by(up: StartUp, tmp_path: Path) -> None:
    running = up()
    url = ["--url", running.parts.api_url]
    sent = fresh_streamforge(
        "submit", str(VIDEO), "--profile", "audio", "--captions", "none", "--watch", *url, cwd=tmp_path
    )
    assert sent.returncode == 0, sent.stderr
    assert "Transcoding sound" in sent.stdout
    refused = fresh_streamforge("submit", str(VIDEO), "--profile", "cinema", *url, cwd=tmp_path)
    assert refused.returncode == 1
    assert "`profile` names no profile of this server; it has audio, av1," in refused.stderr
    assert running.stop() == 0


async def follow(url: str, job_id: UUID, seen: list[StreamEvent]) -> JobView:
    async with StreamForgeClient(url) as client:
        return await client.follow(job_id, seen.append)


async def submit_and_watch_until_it_encodes(url: str, seen: list[StreamEvent]) -> UUID:
    async with StreamForgeClient(url) as client:
        job_id = await client.submit(VIDEO)
        async for event in client.watch(job_id):
            seen.append(event)
            if event.stage is Stage.TRANSCODING and (event.progress or 0) > 10:
                return job_id
    raise AssertionError("the job ended before it was seen to encode")


async def test_a_job_goes_on_after_the_whole_machine_was_killed_on_a_worker_of_its_own(up: StartUp) -> None:
    seen: list[StreamEvent] = []
    killed = up(**QUICK)
    job_id = await submit_and_watch_until_it_encodes(killed.parts.api_url, seen)
    killed.stop(signal.SIGKILL)

    again = up("--no-worker")
    command = [sys.executable, "-m", "streamforge", "worker", "--data-dir", str(again.data_dir)]
    with subprocess.Popen(command, env=environment(**QUICK), stderr=subprocess.DEVNULL) as worker:
        try:
            job = await asyncio.wait_for(follow(again.parts.api_url, job_id, seen), 60)
        finally:
            worker.terminate()

    assert worker.returncode == 0
    assert job.status is JobStatus.COMPLETED
    progress = [event.progress for event in seen if event.progress is not None]
    assert progress == sorted(progress)
    assert seen[-1].event == "done"
    assert again.stop() == 0
    assert processes_of(again.data_dir) == []
