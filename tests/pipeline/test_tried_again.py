"""A job that failed of our doing is tried again, and what was encoded of it is not encoded again."""

import asyncio
from collections import Counter
from typing import Any

import pytest
from clips import Clips
from serving import assert_problem
from system import System

from activities import package
from activities.transcode import TranscodeActivities
from streamforge.contracts.pipeline import EncodeChunkInput
from streamforge.errors import PicturesLost


async def until_cleared_away(system: System, job_id: str) -> None:
    """It is told first that it failed."""
    handle = await system.workflow(job_id)
    async with asyncio.timeout(60):
        while (await handle.describe()).close_time is None:
            await asyncio.sleep(0.05)


async def test_what_is_there_is_not_encoded_again(
    system: System, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: Counter[str] = Counter()
    encode, put_together = TranscodeActivities._encode_chunk, package._put_together

    async def counted(self: TranscodeActivities, work: EncodeChunkInput, *others: Any) -> Any:
        encoded[",".join(rendition.name for rendition in work.plan.renditions)] += 1
        return await encode(self, work, *others)

    def lost(*_: Any) -> Any:
        raise PicturesLost("A picture came to no viewer.")

    monkeypatch.setattr(TranscodeActivities, "_encode_chunk", counted)
    monkeypatch.setattr(package, "_put_together", lost)
    failed = await system.process(clips.small)
    assert (failed.job["status"], failed.job["error"]["stage"]) == ("failed", "packaging")
    before = dict(encoded)
    assert set(before.values()) == {1}
    await until_cleared_away(system, failed.id)
    monkeypatch.setattr(package, "_put_together", put_together)
    again = await system.api.http.post(f"/jobs/{failed.id}/retry")
    assert again.status_code == 202, again.text
    frames = await system.api.whole_stream(failed.id)
    assert frames[-1].event == "done"
    job = await system.api.job(failed.id)
    assert (job["status"], job["retries"], job["error"]) == ("completed", 1, None), job
    assert encoded == before
    assert (await system.api.http.get(f"/media/{failed.id}/master.m3u8")).status_code == 200


async def test_nobody_plays_what_is_kept_for_another_try(
    system: System, clips: Clips, monkeypatch: pytest.MonkeyPatch
) -> None:
    def lost(*_: Any) -> Any:
        raise PicturesLost("A picture came to no viewer.")

    monkeypatch.setattr(package, "_put_together", lost)
    failed = await system.process(clips.small)
    await until_cleared_away(system, failed.id)
    assert failed.job["playback"] is None
    assert_problem(await system.api.http.get(f"/media/{failed.id}/master.m3u8"), 404, "media.not_found")
    assert any(name.startswith(f"work/{failed.id}/") for name in system.api.stored)
    assert (await system.api.http.delete(f"/jobs/{failed.id}?purge=true")).status_code == 204
    assert system.api.stored == []
