"""Whatever is sent, the answer is a code and a sentence within seconds, and nothing is left behind."""

import re
from pathlib import Path

import pytest
from clips import BUNNY, Clips
from system import Finished, System

from streamforge.settings import Settings

PLAYLIST = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:5,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n"
CONCAT = "ffconcat version 1.0\nfile '/etc/passwd'\n"


def assert_failed(finished: Finished, system: System, code: str) -> None:
    job = finished.job
    assert (job["status"], job["stage"], job["error"]["code"]) == ("failed", "failed", code)
    assert job["error"]["fault"] == "caller"
    assert job["error"]["retryable"] is False
    assert job["error_message"] == job["error"]["message"]
    assert job["error_message"].endswith((".", "recording or transfer."))
    last, done = finished.frames[-2:]
    assert (last.event, last.data["stage"], last.data["message"]) == ("progress", "failed", job["error_message"])
    assert last.data["error"]["code"] == code
    assert (done.event, done.data) == ("done", {})


async def assert_nothing_left(finished: Finished, system: System) -> None:
    """The row tells the outcome before the files are removed; the workflow's end says that they are."""
    handle = await system.workflow(finished.id)
    with pytest.raises(Exception, match="Workflow execution failed"):
        await handle.result()
    assert system.api.stored == []
    assert system.api.uploads == []


@pytest.mark.parametrize(
    ("content", "code"),
    [
        pytest.param(b"Dear server, this is a letter.\n" * 50, "input.not_a_video", id="text"),
        pytest.param(PLAYLIST.encode(), "input.not_a_video", id="playlist"),
        pytest.param(CONCAT.encode(), "input.not_a_video", id="concat"),
        pytest.param(b"\x00" * 5000, "input.not_a_video", id="zeros"),
    ],
)
async def test_not_a_video(system: System, content: bytes, code: str) -> None:
    finished = await system.process(content, name="film.mp4")
    assert_failed(finished, system, code)
    assert "root:" not in str(finished.job)
    await assert_nothing_left(finished, system)


@pytest.mark.parametrize(
    ("clip", "code"),
    [
        ("sound_only", "input.no_video"),
        ("cut_off", "input.truncated"),
        ("cut_off_behind_index", "input.truncated"),
    ],
)
async def test_not_a_whole_video(system: System, clips: Clips, clip: str, code: str) -> None:
    finished = await system.process(getattr(clips, clip))
    assert_failed(finished, system, code)
    await assert_nothing_left(finished, system)


async def test_a_video_that_stops_decoding_half_way_is_told_how_far_it_goes(system: System, clips: Clips) -> None:
    finished = await system.process(clips.half_rotten)
    assert_failed(finished, system, "input.truncated")
    assert re.search(r"stops at [23]\.\d s of 5\.3 s", finished.job["error_message"])
    assert finished.job["error"]["stage"] == "transcoding"
    await assert_nothing_left(finished, system)


async def test_hopeless_work_is_tried_once(system: System, clips: Clips) -> None:
    finished = await system.process(clips.sound_only)
    history = await (await system.workflow(finished.id)).fetch_history()
    attempts = [e.activity_task_started_event_attributes.attempt for e in history.events]
    assert max(attempts) == 1


async def test_quality_below_the_minimum_fails_with_the_scores(system: System, clips: Clips) -> None:
    finished = await system.process(clips.noise)
    assert_failed(finished, system, "quality.below_minimum")
    assert "180p has VMAF" in finished.job["error_message"]
    await assert_nothing_left(finished, system)


class TestWithAWarning:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"validation": settings.validation.model_copy(update={"on_failure": "warn"})})

    async def test_low_quality_is_a_warning_when_the_setting_says_so(self, system: System, clips: Clips) -> None:
        finished = await system.process(clips.noise)
        assert finished.job["status"] == "completed"
        (warning,) = finished.job["result"]["warnings"]
        assert "180p has VMAF" in warning


class TestAbsurdSizes:
    @pytest.fixture
    def settings(self, settings: Settings) -> Settings:
        return settings.model_copy(update={"input": settings.input.model_copy(update={"max_width": 640})})

    async def test_a_picture_larger_than_the_limit(self, system: System) -> None:
        finished = await system.process(BUNNY)
        assert_failed(finished, system, "input.unsupported_dimensions")


async def test_the_server_still_works_afterwards(system: System, clips: Clips) -> None:
    for content in (b"no", b"\x00\x00\x00\x20ftypisom" + b"\xff" * 500, clips.cut_off.read_bytes()):
        assert (await system.process(content)).job["status"] == "failed"
    assert (await system.process(clips.small)).job["status"] == "completed"


@pytest.mark.parametrize("key", ["../../etc/passwd", "/etc/passwd", "a/../b", "a\\b", "line\nbreak", ""])
async def test_a_key_never_becomes_a_path(system: System, clips: Clips, key: str, tmp_path: Path) -> None:
    response = await system.api.post(clips.small.read_bytes(), key=key)
    if key == "":
        assert response.status_code in {202, 400}
    else:
        assert response.status_code == 400
        assert response.json()["code"] == "request.invalid_key"
        assert system.api.stored == []
