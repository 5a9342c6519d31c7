"""VMAF says what it should, sampled or not, and notices a rendition that is not whole."""

from pathlib import Path

import pytest
from clips import BUNNY, Clips
from encoding import Encoded, encode

from streamforge.contracts.media import RenditionScore
from streamforge.errors import OutputInvalid
from streamforge.media.child import MediaChildren
from streamforge.media.vmaf import VmafResult, VmafTask
from streamforge.settings import Settings

FULL = {"sample_every_frames": 1}


def settings(**validation: float) -> Settings:
    return Settings.model_validate({"transcode": {"preset": "veryfast"}, "validation": validation})


async def score(
    children: MediaChildren, encoded: Encoded, path: Path, tmp_path: Path, **validation: float
) -> dict[str, RenditionScore]:
    plan = encoded.plan.model_copy(
        update={"quality": encoded.plan.quality.model_copy(update=validation)} if validation else {}
    )
    scratch = tmp_path / f"scratch-{len(list(tmp_path.iterdir()))}"
    scratch.mkdir()
    task = VmafTask(
        path=path,
        source=encoded.source,
        plan=plan,
        chunk=plan.chunks[0],
        renditions={name: encoded.file(name, tmp_path) for name in encoded.tracks},
        scratch=scratch,
    )
    result = await children.run("vmaf", task, VmafResult)
    return {score.name: score for score in result.scores}


async def test_smaller_renditions_score_lower_and_sampling_hardly_matters(
    children: MediaChildren, tmp_path: Path
) -> None:
    encoded = await encode(children, BUNNY, tmp_path / "out", settings())
    sampled = await score(children, encoded, BUNNY, tmp_path)
    full = await score(children, encoded, BUNNY, tmp_path, **FULL)
    assert 99 > full["720p"].mean > full["480p"].mean > full["360p"].mean > 50
    for name, rendition in sampled.items():
        # Five seconds are fifteen samples; on longer sources the difference is smaller (docs/performance.md).
        assert rendition.mean == pytest.approx(full[name].mean, abs=1.0)
        assert rendition.frames_scored == 15
        assert full[name].frames_scored == 132
        assert full[name].worst <= rendition.worst <= rendition.harmonic_mean <= rendition.mean
        assert 0 <= rendition.worst_at <= 5.28


async def test_noise_beyond_the_bit_rate_ceiling_scores_badly(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    encoded = await encode(children, clips.noise, tmp_path / "out", settings())
    assert (await score(children, encoded, clips.noise, tmp_path))["180p"].mean < 60


async def test_a_rendition_with_a_missing_end_is_not_accepted(
    children: MediaChildren, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded = await encode(children, BUNNY, tmp_path / "out", settings())
    (tmp_path / "out" / "0" / "480p" / "360000.m4s").write_bytes(b"")
    with pytest.raises(OutputInvalid):
        await score(children, encoded, BUNNY, tmp_path)


async def test_a_source_above_60_frames_per_second_is_compared_with_the_frames_that_were_kept(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    encoded = await encode(children, clips.fast, tmp_path / "out", settings())
    assert (await score(children, encoded, clips.fast, tmp_path))["180p"].mean > 85
