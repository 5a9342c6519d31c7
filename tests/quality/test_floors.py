"""What VMAF scores come to, and when they are good enough."""

import pytest
from factories import vmaf
from hypothesis import given
from hypothesis import strategies as st
from sources import transcode, video

from streamforge.contracts.media.plan import QualityTarget
from streamforge.contracts.media.scores import RenditionScore
from streamforge.planning.ladder import build_ladder
from streamforge.quality.floors import below_floor, quality_target
from streamforge.settings import ValidationSettings


def score(mean: float, name: str = "720p") -> RenditionScore:
    return RenditionScore(name=name, vmaf=vmaf(mean))


def target(**floors: float) -> QualityTarget:
    return QualityTarget(
        enabled=True,
        floors={name.removeprefix("p") + "p": floor for name, floor in floors.items()},
        failure_is_fatal=True,
        sample_every_frames=24,
    )


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


def test_a_ladder_that_is_capped_below_its_source_is_not_held_to_what_it_cannot_reach() -> None:
    """Measured against 1080p, the best 360p there is has about 78."""
    capped = quality_target(build_ladder(video(), transcode(heights=[360])), video(), ValidationSettings())
    assert capped.floors == {"360p": 45.3}


@given(floor=st.floats(0.1, 100).map(lambda value: round(value, 1)), below=st.floats(1e-6, 1))
def test_the_sentence_never_seems_to_contradict_itself(floor: float, below: float) -> None:
    """79.96 must not be told as 80.0, nor a floor of 61.4 as 61."""
    for sentence in below_floor([score(floor - below)], target(p720=floor)):
        mean, told_floor = (float(part.rsplit(" ", 1)[1]) for part in sentence.split(","))
        assert mean < told_floor


@pytest.mark.parametrize(
    ("frames", "setting", "step"),
    [
        (48, 32, 1),  # two seconds: all of them
        (132, 32, 7),  # five seconds: as dense as sampling pays
        (480, 32, 21),
        (200_000, 32, 33),
        (200_000, 10, 11),
        (132, 1, 1),  # every frame, as the setting says
        (132, 5, 1),  # and where sampling would not pay
    ],
)
def test_short_films_are_sampled_more_densely_and_never_in_step_with_the_encoder(
    frames: int, setting: int, step: int
) -> None:
    found = video(640, 360, frame_count=frames)
    settings = ValidationSettings(sample_every_frames=setting)
    assert quality_target(build_ladder(found, transcode()), found, settings).sample_every_frames == step
