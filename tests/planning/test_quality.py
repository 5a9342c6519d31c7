"""What VMAF scores come to, and when they are good enough."""

from statistics import fmean

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources import transcode, video

from streamforge.contracts.media import QualityTarget, RenditionScore
from streamforge.planning.ladder import build_ladder
from streamforge.planning.quality import below_floor, combine, harmonic_mean, quality_target
from streamforge.settings import ValidationSettings

frames = st.lists(st.floats(0, 100), min_size=1, max_size=20)


def pooled(name: str, values: list[float], first_at: float = 0) -> RenditionScore:
    worst = min(range(len(values)), key=values.__getitem__)
    return RenditionScore(
        name=name,
        mean=fmean(values),
        harmonic_mean=harmonic_mean(values),
        worst=values[worst],
        worst_at=first_at + worst,
        frames_scored=len(values),
    )


def score(mean: float, name: str = "720p") -> RenditionScore:
    return RenditionScore(name=name, mean=mean, harmonic_mean=mean, worst=mean, worst_at=0, frames_scored=1)


def target(**floors: float) -> QualityTarget:
    return QualityTarget(
        enabled=True,
        floors={name.removeprefix("p") + "p": floor for name, floor in floors.items()},
        failure_is_fatal=True,
        sample_every_frames=24,
    )


# ── pooling ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_harmonic_mean_is_libvmafs() -> None:
    assert harmonic_mean([90.0, 60.0, 30.0]) == pytest.approx(3 / (1 / 91 + 1 / 61 + 1 / 31) - 1)


def test_one_frame_of_score_zero_does_not_erase_the_others() -> None:
    assert harmonic_mean([0.0, 100.0]) == pytest.approx(2 / (1 + 1 / 101) - 1)


@given(values=frames)
def test_the_harmonic_mean_lies_between_the_worst_frame_and_the_mean(values: list[float]) -> None:
    assert min(values) - 1e-9 <= harmonic_mean(values) <= fmean(values) + 1e-9


@given(chunks=st.lists(frames, min_size=1, max_size=8))
def test_combining_chunks_is_pooling_all_their_frames_at_once(chunks: list[list[float]]) -> None:
    at = [sum(map(len, chunks[:number])) for number in range(len(chunks))]
    [combined] = combine([[pooled("720p", values, first)] for values, first in zip(chunks, at, strict=True)])
    everything = pooled("720p", [value for values in chunks for value in values])
    assert combined.mean == pytest.approx(everything.mean)
    assert combined.harmonic_mean == pytest.approx(everything.harmonic_mean, abs=1e-9)
    assert combined.frames_scored == everything.frames_scored
    assert (combined.worst, combined.worst_at) == (everything.worst, everything.worst_at)


def test_renditions_are_combined_apart_in_the_order_of_the_ladder() -> None:
    chunk = [score(90, "720p"), score(80, "360p")]
    other = [score(70, "720p"), score(60, "360p")]
    assert [(s.name, s.mean) for s in combine([chunk, other])] == [("720p", 80), ("360p", 70)]


def test_nothing_scored_is_no_score() -> None:
    assert combine([]) == []
    assert combine([[], []]) == []


# ── floors ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_top_rendition_is_held_to_the_minimum_and_lower_ones_to_less() -> None:
    found = quality_target(build_ladder(video(), transcode()), video(), ValidationSettings())
    assert found.floors == {"1080p": 80, "720p": 62.7, "480p": 51.1, "360p": 45.3}


@pytest.mark.parametrize(("width", "height"), [(1920, 1080), (1080, 1920), (176, 144), (4096, 1716)])
def test_floors_fall_with_the_ladder_and_the_top_one_is_the_setting(width: int, height: int) -> None:
    renditions = build_ladder(video(width, height), transcode())
    floors = quality_target(renditions, video(width, height), ValidationSettings(min_score=90)).floors
    assert list(floors) == [rendition.name for rendition in renditions]
    assert list(floors.values()) == sorted(floors.values(), reverse=True)
    assert next(iter(floors.values())) == 90


def test_the_target_says_what_the_settings_say() -> None:
    settings = ValidationSettings(enabled=False, on_failure="warn", sample_every_frames=1)
    found = quality_target(build_ladder(video(), transcode()), video(), settings)
    assert (found.enabled, found.failure_is_fatal, found.sample_every_frames) == (False, False, 1)


def test_a_rendition_at_its_floor_is_good_enough() -> None:
    assert below_floor([score(80, "1080p"), score(63, "720p")], target(p1080=80, p720=62.7)) == []


def test_each_rendition_below_its_floor_is_named_with_both_numbers() -> None:
    assert below_floor(
        [score(79.2, "1080p"), score(90, "720p"), score(30, "360p")], target(p1080=80, p720=62.7, p360=45.3)
    ) == [
        "1080p has VMAF 79.2, its floor is 80.0",
        "360p has VMAF 30.0, its floor is 45.3",
    ]


@given(floor=st.floats(0.1, 100).map(lambda value: round(value, 1)), below=st.floats(1e-6, 1))
def test_the_sentence_never_seems_to_contradict_itself(floor: float, below: float) -> None:
    """79.96 must not be told as 80.0, nor a floor of 61.4 as 61."""
    for sentence in below_floor([score(floor - below)], target(p720=floor)):
        mean, told_floor = (float(part.rsplit(" ", 1)[1]) for part in sentence.split(","))
        assert mean < told_floor


@pytest.mark.parametrize(
    ("frames", "setting", "step"),
    [
        (132, 24, 9),  # 5 s: as dense as sampling pays
        (480, 24, 17),
        (200_000, 24, 25),
        (132, 1, 1),  # every frame, as the setting says
        (132, 5, 5),
    ],
)
def test_short_films_are_sampled_more_densely_and_never_in_step_with_the_encoder(
    frames: int, setting: int, step: int
) -> None:
    found = video(640, 360, frame_count=frames)
    settings = ValidationSettings(sample_every_frames=setting)
    assert quality_target(build_ladder(found, transcode()), found, settings).sample_every_frames == step
