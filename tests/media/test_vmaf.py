"""Scores of samples are those of the whole measurement, quality says what it should, and what is too bad is tried again."""

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from clips import Clips
from encoding import Encoded, encode
from playback import decode

from streamforge.contracts.media.scores import PartQuality, QualityScore
from streamforge.media.worker.children import MediaChildren
from streamforge.quality.scoring import ScoreBoard
from streamforge.settings import Settings

HEIGHTS = [180, 120, 72]
"""Of the film that is measured, in its own size and below."""


def settings(codec: str = "h264", preset: str = "veryfast", **validation: float) -> Settings:
    transcode = {"codecs": [codec], "presets": {codec: preset}, "segment_seconds": 8}
    return Settings.model_validate({"transcode": transcode, "validation": {"min_score": 0} | validation})


def of_film(heights: list[int], codec: str = "h264", preset: str = "veryfast", **validation: float) -> Settings:
    """With bits to spare for what is encoded again."""
    changed = settings(codec, preset, **validation)
    film = changed.transcode.model_copy(update={"heights": heights, "max_bitrate_1080p": 20_000_000})
    return changed.model_copy(update={"transcode": film})


def quality_of(encoded: Encoded) -> PartQuality:
    [chunk] = encoded.chunks
    assert chunk.quality is not None
    return chunk.quality


def scores_of(encoded: Encoded) -> dict[str, QualityScore]:
    board = ScoreBoard()
    for chunk in encoded.chunks:
        assert chunk.quality is not None
        board.add(chunk.quality)
    return {score.name: score.vmaf for score in board.scores()}


@dataclass
class Measured:
    """The same film, measured here and there and everywhere; each is encoded once."""

    film: Path
    folder: Path
    _done: dict[str, Encoded] = field(default_factory=dict)

    async def sampled(self, children: MediaChildren) -> Encoded:
        return await self._once(children, "sampled", of_film(HEIGHTS))

    async def full(self, children: MediaChildren) -> Encoded:
        return await self._once(children, "full", of_film(HEIGHTS, sample_every_frames=1))

    async def _once(self, children: MediaChildren, name: str, wanted: Settings) -> Encoded:
        if name not in self._done:
            self._done[name] = await encode(children, self.film, self.folder / name, wanted)
        return self._done[name]


@pytest.fixture(scope="module")
def measured(clips: Clips, tmp_path_factory: pytest.TempPathFactory) -> Measured:
    return Measured(clips.tiny_bunny, tmp_path_factory.mktemp("measured"))


async def test_a_sampled_picture_has_exactly_the_score_that_it_has_when_all_are_measured(
    children: MediaChildren, measured: Measured
) -> None:
    sampled, full = await measured.sampled(children), await measured.full(children)
    for some, all_ in zip(quality_of(sampled).renditions, quality_of(full).renditions, strict=True):
        assert len(some.scores) == 19
        assert len(all_.scores) == 132
        assert some.scores == {number: all_.scores[number] for number in some.scores}
        assert some.error == all_.error


async def test_smaller_renditions_score_lower_and_sampling_hardly_matters(
    children: MediaChildren, measured: Measured
) -> None:
    sampled, full = scores_of(await measured.sampled(children)), scores_of(await measured.full(children))
    assert 99 > full["180p"].mean > full["120p"].mean > full["72p"].mean > 50
    for name, vmaf in sampled.items():
        assert vmaf.mean == pytest.approx(full[name].mean, abs=0.5)
        assert abs(vmaf.mean - full[name].mean) <= vmaf.margin
        assert vmaf.worst_5_seconds.mean == pytest.approx(full[name].worst_5_seconds.mean, abs=0.7)
        assert vmaf.percentile_1 == pytest.approx(full[name].percentile_1, abs=2.5)


async def test_noise_beyond_the_bit_rate_ceiling_scores_badly_and_is_not_tried_again(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    encoded = await encode(children, clips.noise, tmp_path / "out", settings(min_score=80))
    assert scores_of(encoded)["180p"].mean < 60
    assert quality_of(encoded).repairs == []


async def test_a_source_above_60_frames_per_second_is_compared_with_the_frames_that_were_kept(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    encoded = await encode(children, clips.fast, tmp_path / "out", settings())
    assert scores_of(encoded)["180p"].mean > 85


async def test_a_video_of_one_frame_has_a_score(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    encoded = await encode(children, clips.one_frame, tmp_path / "out", settings())
    assert [vmaf.frames_scored for vmaf in scores_of(encoded).values()] == [1]


async def test_without_validation_nothing_is_measured(children: MediaChildren, clips: Clips, tmp_path: Path) -> None:
    encoded = await encode(children, clips.small, tmp_path / "out", settings(enabled=False))
    assert [chunk.quality for chunk in encoded.chunks] == [None]


# ── not good enough ─────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(("codec", "preset"), [("h264", "veryfast"), ("hevc", "ultrafast"), ("av1", "12")])
async def test_what_is_below_its_floor_is_encoded_again_and_says_so(
    children: MediaChildren, clips: Clips, tmp_path: Path, codec: str, preset: str
) -> None:
    plain = await encode(children, clips.tiny_bunny, tmp_path / "plain", of_film([180], codec, preset, max_repairs=0))
    before = scores_of(plain)
    wanted = before["180p"].mean + 2.5
    repaired = await encode(
        children, clips.tiny_bunny, tmp_path / "again", of_film([180], codec, preset, min_score=wanted)
    )
    repairs = [repair for repair in quality_of(repaired).repairs if repair.rendition == "180p"]
    assert repairs
    assert all(repair.vmaf_after > repair.vmaf_before and repair.start == 0 for repair in repairs)
    assert scores_of(repaired)["180p"].mean == pytest.approx(repairs[-1].vmaf_after, abs=0.01)
    assert scores_of(repaired)["180p"].mean > before["180p"].mean + 1
    # Other chunks of the rendition keep the CRF that they have: the decoder's set-up must not depend on it.
    assert repaired.tracks["180p"].init_sha256 == plain.tracks["180p"].init_sha256
    assert decode(repaired.file("180p", tmp_path)).frame_count == 132


async def test_it_is_tried_no_more_often_than_the_settings_say(
    children: MediaChildren, clips: Clips, tmp_path: Path
) -> None:
    encoded = await encode(
        children, clips.tiny_bunny, tmp_path / "out", of_film([180, 120], min_score=100, max_repairs=1)
    )
    tried = [repair.rendition for repair in quality_of(encoded).repairs]
    assert sorted(tried) == sorted(set(tried))
    assert "180p" in tried
