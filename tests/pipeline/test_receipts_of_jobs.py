"""The receipt of a real job: true in every number, and good to find out what has changed since."""

import hashlib
import json
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from clips import Clips
from system import Finished, System

from streamforge.settings import Settings, StorageSettings
from streamforge.verification import verify


@pytest.fixture
def settings(settings: Settings) -> Settings:
    """Of three rungs, none of them large."""
    changed = settings.transcode.model_copy(update={"heights": [360, 240, 144]})
    return settings.model_copy(update={"transcode": changed})


def read(system: System, job_id: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((system.output(job_id) / "result.json").read_text())
    return found


async def test_every_file_of_a_job_is_in_its_receipt_as_it_lies_there(system: System, clips: Clips) -> None:
    finished = await system.process(clips.surround, name="surround.mkv")
    output, receipt = system.output(finished.id), read(system, finished.id)
    there = {p.relative_to(output).as_posix(): p.read_bytes() for p in output.rglob("*") if p.is_file()}
    result = there.pop("result.json")
    assert receipt["files"] == {
        name: {"size_bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()} for name, data in there.items()
    }
    assert finished.job["result"]["file_count"] == len(there) + 1
    assert finished.job["result"]["size_bytes"] == sum(map(len, there.values())) + len(result)


async def test_a_receipt_says_what_was_done_with_what(system: System, clips: Clips) -> None:
    finished = await system.process(clips.small_bunny, name="secret-name.mp4")
    receipt, job = read(system, finished.id), finished.job
    assert receipt["job_id"] == finished.id
    assert receipt["source"]["sha256"] == hashlib.sha256(clips.small_bunny.read_bytes()).hexdigest()
    assert receipt["source"]["size_bytes"] == clips.small_bunny.stat().st_size
    assert receipt["source"]["found"]["video"]["frame_count"] == 132
    versions = receipt["versions"]
    assert versions["vmaf_model"] == "vmaf_v0.6.1"
    assert all(versions[name] for name in ("streamforge", "av", "ffmpeg", "libavcodec", "ffmpeg_program", "temporalio"))
    assert [r["name"] for r in receipt["renditions"]] == ["360p", "240p", "144p"]
    for rendition, shown in zip(receipt["renditions"], job["renditions"], strict=True):
        [(encoder, chunks)] = rendition["encoders"].items()
        assert encoder.startswith("libx264 (x264 - core 1")
        assert chunks == len(receipt["plan"]["chunks"])
        assert rendition["options"]["preset"] == "ultrafast"
        assert (rendition["vmaf"], rendition["bitrate"]) == (shown["vmaf"], shown["bitrate"])
        assert rendition["frames"] == 132
        files = [f for name, f in receipt["files"].items() if name.startswith(f"{rendition['name']}/")]
        media = sum(f["size_bytes"] for f in files) - sum(
            f["size_bytes"]
            for name, f in receipt["files"].items()
            if name.startswith(rendition["name"]) and "m3u8" in name
        )
        assert rendition["size_bytes"] == media
    sound, surround = receipt["audio"]
    assert (sound["channels"], surround["channels"]) == (2, 6)
    assert sound["loudness"] == job["result"]["audio"][0]["loudness"]
    assert (receipt["retries"], receipt["warnings"]) == ({}, job["result"]["warnings"])


async def test_its_stages_follow_each_other_without_a_gap_and_nothing_in_it_belongs_to_the_server_alone(
    system: System, clips: Clips
) -> None:
    finished = await system.process(clips.small, metadata='{"token": "hush"}', webhook_url="http://127.0.0.1:9/hush")
    assert_without_a_gap(finished, read(system, finished.id)["stages"])
    text = (system.output(finished.id) / "result.json").read_text()
    assert "hush" not in text
    assert str(system.storage) not in text
    assert "/tmp" not in text


def assert_without_a_gap(finished: Finished, stages: list[dict[str, Any]]) -> None:
    assert [stage["stage"] for stage in stages] == ["uploading", "transcoding", "validation", "packaging", "storage"]
    begins = [datetime.fromisoformat(stage["began_at"]) for stage in stages]
    for stage, begin, end in zip(stages, begins, begins[1:], strict=False):
        assert stage["seconds"] == pytest.approx((end - begin).total_seconds(), abs=0.002)
    created = datetime.fromisoformat(finished.job["created_at"])
    completed = datetime.fromisoformat(finished.job["completed_at"])
    assert 0 < sum(stage["seconds"] for stage in stages) < (completed - created).total_seconds() + 1


async def test_a_job_is_verified_in_its_folder_and_over_http_and_damage_is_named(system: System, clips: Clips) -> None:
    finished = await system.process(clips.two_languages)
    output, url = system.output(finished.id), f"{system.api.url}/media/{finished.id}"
    served = await system.api.http.get(f"/media/{finished.id}/result.json")
    assert served.headers["content-type"] == "application/json"
    places = (str(output), url, f"{url}/", f"{url}/result.json")
    for place in places:
        verified = await verify(place)
        assert (verified.problems, verified.unlisted) == ([], []), place
        assert str(verified.receipt.job_id) == finished.id
    segment = output / "audio-1" / "0.m4s"
    data = bytearray(segment.read_bytes())
    data[-1] ^= 1
    segment.write_bytes(data)
    (output / "180p" / "init.mp4").unlink()
    for place in places:
        assert {p.name: p.sentence for p in (await verify(place)).problems} == {
            "180p/init.mp4": "is missing",
            "audio-1/0.m4s": "has other content: its sha256 is not that of the receipt",
        }, place


# ── where the store is no folder ────────────────────────────────────────────────────────────────────────────────────
class TestInABucket:
    @pytest.fixture
    def settings(self, settings: Settings, bucket_environment: pytest.MonkeyPatch) -> Settings:
        return settings.model_copy(update={"storage": StorageSettings(url=f"s3://media/{uuid4().hex}")})

    async def test_a_job_is_verified_as_well(self, system: System, clips: Clips, tmp_path: Path) -> None:
        finished = await system.process(clips.small)
        assert finished.job["status"] == "completed", finished.job["error_message"]
        verified = await verify(f"{system.api.url}/media/{finished.id}")
        assert verified.problems == []
        assert len(verified.receipt.files) == finished.job["result"]["file_count"] - 1
