"""A worker that wakes up late writes nothing that anybody sees: another one has done its work."""

import hashlib
from pathlib import Path

import pytest
from clips import Clips
from late_worker import late_worker
from serving import Api, serving

from streamforge.contracts import steps
from streamforge.settings import Settings
from streamforge.verification import verify
from streamforge.worker.run import worker


def digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in folder.rglob("*")
        if path.is_file()
    }


async def text_of(api: Api, url: str) -> str:
    response = await api.http.get(url)
    assert response.status_code == 200, url
    return response.text


@pytest.mark.timeout(180)
async def test_one_that_stood_still_while_the_stream_grew_leaves_the_final_one_as_it_is(
    settings: Settings, one_zygote: None, clips: Clips, tmp_path: Path
) -> None:
    """It had begun to write the growing playlists, and another worker completed the job meanwhile."""
    async with serving(settings) as api, late_worker(settings, r"index\.m3u8$", tmp_path) as late:
        job_id = await api.post_ok_with(clips.slow.read_bytes())
        await late.has_stopped()
        async with worker(settings):
            await api.whole_stream(job_id)
            job = await api.job(job_id)
            assert job["status"] == "completed", job["error"]
            output = settings.data_dir / "storage" / "output" / job_id
            final = digests(output)
            await late.goes_on_until_it_has_failed(steps.PUBLISH.name)
        assert digests(output) == final
        base = f"/media/{job_id}"
        for name in ("180p/index.m3u8", "audio-0/index.m3u8"):
            assert (await text_of(api, f"{base}/{name}")).endswith("#EXT-X-ENDLIST\n")
        assert 'type="static"' in await text_of(api, f"{base}/manifest.mpd")
        verified = await verify(str(output))
        assert (verified.problems, verified.unlisted) == ([], [])
