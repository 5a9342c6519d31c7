"""What a per-title search looks for, and the ladder that follows from what it finds."""

from math import exp

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources import source, transcode, video

from streamforge.contracts.media.encoded import EncodedTrack, KeyFrame, Segment
from streamforge.contracts.media.per_title import Probed, ProbedRendition, RateAndQuality, Rung, SearchedPlan
from streamforge.contracts.media.plan import PerTitleTarget, Plan
from streamforge.contracts.media.source import VideoSource
from streamforge.planning.ladder import build_ladder
from streamforge.planning.per_title.samples import MOST
from streamforge.planning.per_title.search import (
    bits_saved_at_equal_vmaf,
    per_title_target,
    sampled_bitrate,
    searched_plan,
    with_final_scores,
    with_search_result,
)
from streamforge.planning.plan import make_plan
from streamforge.planning.prediction import predict
from streamforge.settings import PerTitleSettings, Settings


def plan_of(picture: VideoSource | None = None, **per_title: object) -> Plan:
    settings = Settings.model_validate({"per_title": {"enabled": True, **per_title}})
    return make_plan(source(picture or video()), settings)


def target_of(picture: VideoSource, **changes: object) -> PerTitleTarget:
    settings = PerTitleSettings.model_validate({"enabled": True, **changes})
    target = per_title_target(picture, build_ladder(picture, transcode()), settings)
    assert target is not None
    return target


# ── what is looked for ──────────────────────────────────────────────────────────────────────────────────────────────
def test_nothing_is_searched_unless_asked_for() -> None:
    assert make_plan(source(), Settings()).per_title is None


def test_targets_go_by_the_place_in_the_ladder_and_the_last_one_repeats() -> None:
    assert plan_of(targets=[93, 90, 85]).per_title.targets == {"1080p": 93, "720p": 90, "480p": 85, "360p": 85}  # type: ignore[union-attr]


def test_each_codec_has_a_ladder_of_its_own() -> None:
    settings = Settings.model_validate({"transcode": {"codecs": ["h264", "av1"], "heights": [720, 360]}})
    target = per_title_target(video(), build_ladder(video(), settings.transcode), PerTitleSettings(enabled=True))
    assert target is not None
    assert target.targets == {"720p-h264": 93, "360p-h264": 85, "720p-av1": 93, "360p-av1": 85}


def test_each_ladder_is_searched_and_thinned_by_itself() -> None:
    settings = Settings.model_validate(
        {
            "per_title": {"enabled": True, "targets": [84]},
            "transcode": {"codecs": ["h264", "av1"], "heights": [720, 360]},
        }
    )
    plan = make_plan(source(), settings)
    assert plan.per_title is not None
    measured = {"720p-h264": 3e6, "360p-h264": 1e6, "720p-av1": 5e5, "360p-av1": 4.9e5}
    found = Probed(
        renditions=[
            ProbedRendition(
                name=r.name,
                best=95,
                probes=[RateAndQuality(crf=float(r.options["crf"]), vmaf=80, bitrate=round(measured[r.name]))],
            )
            for r in plan.renditions
        ],
        sample_seconds=3.2,
    )
    h264, av1 = searched_plan(plan, plan.per_title, found).per_title.ladders
    assert (h264.codec, av1.codec) == ("h264", "av1")
    assert [rung.dropped is None for rung in h264.rungs] == [True, True]
    assert [rung.dropped is None for rung in av1.rungs] == [True, False]
    assert all(rung.chosen.crf == int(rung.chosen.crf) for rung in av1.rungs)


@given(
    seconds=st.floats(1, 20_000),
    rate=st.sampled_from([5.0, 24.0, 29.97, 60.0]),
    size=st.sampled_from([(320, 180), (1280, 720), (3840, 2160)]),
    keys=st.lists(st.floats(0, 1), max_size=50),
    max_cost=st.floats(0.01, 10),
)
def test_samples_lie_in_the_film_one_behind_the_other(
    seconds: float, rate: float, size: tuple[int, int], keys: list[float], max_cost: float
) -> None:
    ticks = sorted(int(share * seconds * 90_000) for share in keys)
    picture = video(*size, duration=seconds, rate=rate, key_frame_ticks=ticks)
    samples = target_of(picture, max_cost=max_cost).samples
    starts = [sample.start for sample in samples]
    assert len(samples) <= MOST
    assert starts == sorted(set(starts))
    assert all(0 <= start < seconds for start in starts)
    assert sum(sample.end - sample.start for sample in samples if sample.end) <= seconds / 2 + 1e-6


@given(seconds=st.floats(10, 20_000), max_cost=st.floats(0.1, 1))
def test_a_search_costs_no_more_than_it_may(seconds: float, max_cost: float) -> None:
    picture = video(1280, 720, duration=seconds)
    fixed = predict(source(picture), make_plan(source(picture), Settings()), cores=1).cpu_seconds
    assert target_of(picture, max_cost=max_cost).cpu_seconds <= fixed * max_cost


def test_hardly_anything_is_decoded_in_vain() -> None:
    """Every part of the film has a key frame, and samples begin there, or a second behind it at most."""
    keys = [0, 3, 7, 12, 14, 16]
    picture = video(1280, 720, 20, key_frame_ticks=[second * 90_000 for second in keys])
    starts = [sample.start for sample in target_of(picture).samples]
    assert len(starts) > 2
    assert all(start - max(key for key in keys if key <= start) <= 1 for start in starts)
    assert set(starts) & set(keys)


def test_in_a_long_film_they_lie_anywhere() -> None:
    keys = [second * 90_000 for second in range(3600)]
    starts = [s.start for s in target_of(video(1280, 720, 3600, key_frame_ticks=keys)).samples]
    assert len(starts) == MOST
    assert not {start * 90_000 for start in starts} & set(keys)


def test_a_film_too_short_for_a_search_gets_the_fixed_ladder_and_a_warning() -> None:
    plan = plan_of(video(1280, 720, duration=4))
    assert plan.per_title is not None
    assert plan.per_title.samples == []
    assert "per_title.max_cost" in plan.warnings[0]


def test_a_source_that_cannot_be_cut_is_not_searched() -> None:
    assert target_of(video(seekable=False)).samples == []


def test_the_prediction_counts_the_search() -> None:
    searched, fixed = plan_of(), make_plan(source(), Settings())
    assert searched.per_title is not None
    extra = predict(source(), searched, 1).cpu_seconds - predict(source(), fixed, 1).cpu_seconds
    assert extra == pytest.approx(searched.per_title.cpu_seconds, abs=0.2)


# ── what the samples say ────────────────────────────────────────────────────────────────────────────────────────────
def test_key_frames_count_as_often_as_they_will_be_there() -> None:
    """Two samples of half a second, each 10 kB of key frame and 4 kB of others; a GOP is to last two seconds."""
    segments = [
        Segment(
            start_ticks=45_000 * number,
            duration_ticks=45_000,
            size_bytes=14_000,
            key_frames=[KeyFrame(ticks=45_000 * number, offset=0, size_bytes=10_000)],
        )
        for number in range(2)
    ]
    track = EncodedTrack(
        name="720p", timescale=90_000, codec_string="", init_sha256="", init_size_bytes=0, frames=24, segments=segments
    )
    assert sampled_bitrate(track, gop_seconds=2) == 8 * (10_000 / 2 + 8_000)


# ── the ladder that follows ─────────────────────────────────────────────────────────────────────────────────────────
BEST = {"1080p": 100.0, "720p": 95.0, "480p": 88.0, "360p": 80.0}
USUAL_BITS = {"1080p": 4e6, "720p": 2e6, "480p": 1e6, "360p": 6e5}
"""bit/s at CRF 23."""


def probed(
    plan: Plan, bits: dict[str, float] | None = None, hard: float = 42, best: dict[str, float] | None = None
) -> Probed:
    """As a film that is the same everywhere would be measured; `hard` is the CRF at which half of it is lost."""
    best = best or BEST

    def at(name: str, crf: float) -> RateAndQuality:
        vmaf = best[name] / (1 + exp((crf - hard) / 5))
        return RateAndQuality(crf=crf, vmaf=vmaf, bitrate=round((bits or USUAL_BITS)[name] * exp(-0.12 * (crf - 23))))

    return Probed(
        renditions=[
            ProbedRendition(name=r.name, best=best[r.name], probes=[at(r.name, crf) for crf in (23, 26, 29, 32)])
            for r in plan.renditions
        ],
        sample_seconds=3.2,
    )


def searched(plan: Plan, found: Probed) -> SearchedPlan:
    assert plan.per_title is not None
    return searched_plan(plan, plan.per_title, found)


def rungs(found: SearchedPlan) -> dict[str, Rung]:
    [ladder] = found.per_title.ladders
    return {rung.name: rung for rung in ladder.rungs}


def test_each_rendition_gets_the_crf_of_its_target_and_nothing_else_changes() -> None:
    plan = plan_of()
    found = searched(plan, probed(plan, hard=38))
    for before, after in zip(plan.renditions, found.renditions, strict=True):
        assert after.model_copy(update={"options": before.options}) == before
        assert {name for name in after.options if after.options[name] != before.options[name]} == {"crf"}
    crfs = [float(rendition.options["crf"]) for rendition in found.renditions]
    assert crfs == pytest.approx([25, 29.5, 32.5, 32.5], abs=0.5)
    assert [float(crf * 2).is_integer() for crf in crfs] == [True] * 4


def test_a_target_is_a_share_of_the_best_that_a_size_can_reach() -> None:
    found = rungs(searched(plan_of(), probed(plan_of(), hard=38)))
    assert {name: rung.target for name, rung in found.items()} == {
        "1080p": 93.0,
        "720p": 80.75,
        "480p": 66.0,
        "360p": 60.0,
    }
    for rung in found.values():
        assert rung.chosen.vmaf == pytest.approx(rung.target, abs=0.8)


def test_the_result_says_what_is_saved() -> None:
    plan = plan_of()
    [ladder] = searched(plan, probed(plan)).per_title.ladders
    spent = sum(rung.chosen.bitrate for rung in ladder.rungs)
    assert ladder.bits_saved == pytest.approx(1 - spent / 7.6e6, abs=0.001)
    assert 0.5 < ladder.bits_saved < 0.8
    assert ladder.bits_saved_at_equal_vmaf is not None
    assert 0 < ladder.bits_saved_at_equal_vmaf < ladder.bits_saved


def test_a_rendition_that_needs_as_many_bits_as_the_one_above_is_dropped() -> None:
    plan = plan_of()
    found = searched(plan, probed(plan, USUAL_BITS | {"480p": 2.6e6, "360p": 1.0e6}))
    assert [rendition.name for rendition in found.renditions] == ["1080p", "720p", "360p"]
    assert "of the bits of 720p" in str(rungs(found)["480p"].dropped)


def test_below_what_any_viewer_has_there_are_no_more_renditions() -> None:
    plan = plan_of()
    found = searched(plan, probed(plan, {name: bits / 25 for name, bits in USUAL_BITS.items()}))
    assert [rendition.name for rendition in found.renditions] == ["1080p"]
    assert (
        rungs(found)["720p"].dropped
        == f"1080p takes no more than {rungs(found)['1080p'].chosen.bitrate // 1000} kbit/s"
    )


def test_a_rendition_that_looks_like_the_smaller_one_below_is_dropped_but_never_the_largest() -> None:
    """Targets 93, 87 and 87 of sizes that lose next to nothing: an enlarged film."""
    plan = plan_of(targets=[88, 87])
    found = searched(plan, probed(plan, best=dict.fromkeys(BEST, 99.5)))
    assert [rendition.name for rendition in found.renditions] == ["1080p", "360p"]
    assert rungs(found)["720p"].dropped == "480p looks the same, for fewer bits"


def test_all_rungs_stay_where_that_is_asked_for() -> None:
    plan = plan_of(drop_rungs=False)
    found = searched(plan, probed(plan, {name: bits / 25 for name, bits in USUAL_BITS.items()}))
    assert len(found.renditions) == 4


@given(bits=st.lists(st.floats(1e4, 2e7), min_size=4, max_size=4), hard=st.floats(20, 60))
def test_whatever_is_found_the_largest_stays_and_the_order_too(bits: list[float], hard: float) -> None:
    plan = plan_of()
    found = searched(plan, probed(plan, dict(zip(BEST, bits, strict=True)), hard))
    names = [rendition.name for rendition in found.renditions]
    assert names[0] == "1080p"
    assert names == [name for name in BEST if name in names]
    assert set(found.floors) == set(names)
    for rung in rungs(found).values():
        assert 16 <= rung.chosen.crf <= 36


def test_a_floor_lies_below_what_is_aimed_at() -> None:
    plan = plan_of(targets=[70, 60])
    found = searched(plan, probed(plan))
    floors = with_search_result(plan, found).quality.floors
    assert plan.quality.floors["1080p"] == 80
    assert floors["1080p"] == 65
    assert all(floors[name] <= rung.target - 5 for name, rung in rungs(found).items())


def test_a_floor_that_is_low_enough_stays() -> None:
    plan = plan_of()
    assert with_search_result(plan, searched(plan, probed(plan))).quality.floors == plan.quality.floors


def test_what_came_out_is_told_beside_what_was_predicted() -> None:
    plan = plan_of()
    result = with_final_scores(searched(plan, probed(plan)).per_title, {"1080p": 92.4})
    assert result is not None
    assert [rung.vmaf for rung in result.ladders[0].rungs] == [92.4, None, None, None]


# ── bits at equal VMAF ──────────────────────────────────────────────────────────────────────────────────────────────
def curve(*points: tuple[float, float]) -> list[RateAndQuality]:
    return [RateAndQuality(crf=23, vmaf=vmaf, bitrate=round(bitrate)) for vmaf, bitrate in points]


FIXED = curve((95, 4e6), (85, 2e6), (70, 5e5))


def test_half_the_bits_for_the_same_vmaf_is_half_saved() -> None:
    assert bits_saved_at_equal_vmaf(FIXED, curve((95, 2e6), (85, 1e6), (70, 2.5e5))) == 0.5


def test_the_same_curve_at_other_points_saves_nothing() -> None:
    """Fewer bits for a lower VMAF are no saving."""
    assert bits_saved_at_equal_vmaf(
        curve((95, 4e6), (75, 1e6)), curve((90, 2e6**0.5 * 4e6**0.5), (75, 1e6))
    ) == pytest.approx(0, abs=0.001)


def test_ladders_without_a_common_vmaf_cannot_be_compared() -> None:
    assert bits_saved_at_equal_vmaf(FIXED, curve((60, 1e5), (50, 5e4))) is None
    assert bits_saved_at_equal_vmaf(FIXED[:1], FIXED[:1]) is None


def test_a_rung_that_a_cheaper_one_beats_does_not_count() -> None:
    assert bits_saved_at_equal_vmaf(FIXED, [*FIXED, *curve((60, 3e6))]) == 0
