"""Predictions are orders of magnitude, but sane ones: more work never counts as less."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources import audio, source, video

from streamforge.codecs.registry import CODECS
from streamforge.contracts.printable_plan import Prediction
from streamforge.planning.plan import make_plan
from streamforge.planning.prediction import UNCERTAINTY, predict, printable
from streamforge.settings import Settings


def predicted(
    width: int = 1280,
    height: int = 720,
    duration: float = 60,
    cores: int = 2,
    tracks: int = 0,
    every: int = 32,
    **transcode: object,
) -> Prediction:
    settings = Settings.model_validate({"transcode": transcode, "validation": {"sample_every_frames": every}})
    film = source(video(width, height, duration=duration), *(audio(index=1 + n) for n in range(tracks)))
    return predict(film, make_plan(film, settings), cores)


def costs(prediction: Prediction) -> tuple[float, float, int]:
    return prediction.cpu_seconds, prediction.wall_seconds, prediction.output_bytes


lengths = st.floats(1, 36_000)
widths = st.integers(160, 3840)


@given(lengths, lengths)
def test_a_longer_film_never_costs_less(one: float, other: float) -> None:
    """With every frame measured: of very short films more is measured than of those that are sampled."""
    shorter, longer = (predicted(duration=length, every=1) for length in (min(one, other), max(one, other)))
    assert all(less <= more for less, more in zip(costs(shorter), costs(longer), strict=True))


@given(widths, widths)
def test_a_larger_picture_never_costs_less(one: int, other: int) -> None:
    """With one rung: a slightly smaller picture may get a ladder with a rung more."""
    smaller, larger = (
        predicted(width, width * 9 // 16, heights=[4320]) for width in (min(one, other), max(one, other))
    )
    assert all(less <= more for less, more in zip(costs(smaller), costs(larger), strict=True))


def test_every_track_of_sound_costs_something() -> None:
    assert all(less < more for less, more in zip(costs(predicted()), costs(predicted(tracks=1)), strict=True))


def test_more_cores_take_less_time_for_the_same_work() -> None:
    few, many = predicted(cores=1), predicted(cores=8)
    assert many.cpu_seconds == few.cpu_seconds
    assert many.wall_seconds < few.wall_seconds


def test_a_slower_preset_takes_longer() -> None:
    order = ["ultrafast", "veryfast", "medium", "veryslow", "placebo"]  # Nobody has measured the last one.
    seconds = [predicted(presets={"h264": preset}).cpu_seconds for preset in order]
    assert seconds == sorted(seconds)
    assert seconds[-1] == seconds[-2]


def test_every_codec_has_its_speeds() -> None:
    assert all(codec.pixels_per_second for codec in CODECS.values())
    assert predicted(codecs=["hevc"]).cpu_seconds > predicted(codecs=["h264"]).cpu_seconds
    assert predicted(codecs=["hevc"]).output_bytes < predicted(codecs=["h264"]).output_bytes


def test_every_codec_of_a_ladder_is_paid_for() -> None:
    both = predicted(codecs=["h264", "av1"])
    assert both.cpu_seconds > predicted(codecs=["av1"]).cpu_seconds > predicted(codecs=["h264"]).cpu_seconds


def test_scoring_is_part_of_the_price() -> None:
    film = source(video())
    costs = []
    for validation in ({"enabled": False}, {}, {"sample_every_frames": 1}):
        settings = Settings.model_validate({"validation": validation})
        costs.append(predict(film, make_plan(film, settings), 2).cpu_seconds)
    assert costs == sorted(set(costs))


def test_the_uncertainty_is_part_of_the_answer() -> None:
    assert predicted().uncertainty == UNCERTAINTY


@pytest.mark.parametrize(("duration", "first", "longest", "count"), [(3, 3, 3, 1), (20, 4, 8, 3), (600, 4, 32, 23)])
def test_the_printable_plan_sums_up_the_chunks(duration: float, first: float, longest: float, count: int) -> None:
    film = source(video(duration=duration), audio(language="deu"))
    plan = printable(film, make_plan(film, Settings()), 2)
    assert (plan.chunks.count, plan.chunks.first_seconds, plan.chunks.longest_seconds) == (count, first, longest)
    assert [rendition.name for rendition in plan.renditions] == ["1080p", "720p", "480p", "360p"]
    assert [(track.name, track.language) for track in plan.audio] == [("audio-0", "de")]
    assert type(plan).model_validate_json(plan.model_dump_json()) == plan
