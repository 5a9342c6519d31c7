"""What the scores of a few pictures say about a whole film."""

import itertools
from statistics import fmean

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from streamforge.contracts.media.scores import PartQuality, PictureLog, QualityScore, RenditionLog
from streamforge.quality.sampling import Sampling
from streamforge.quality.scoring import ScoreBoard, mean_of

RATE = 25


def film(truth: list[float], error: list[float], step: int = 1, first: int = 0, **series: list[float]) -> PartQuality:
    """Pictures of which every `step`-th is measured; `truth` is what measuring all would find."""
    flat = [1.0] * len(truth)
    return PartQuality(
        pictures=PictureLog(
            ticks=[(first + n) * 90_000 // RATE for n in range(len(truth))],
            across=series.get("across", flat),
            down=series.get("down", flat),
            motion=series.get("motion", flat),
        ),
        renditions=[
            RenditionLog(
                name="720p",
                error=error,
                scores={n: truth[n] for n in range(len(truth)) if Sampling(step).measures(n)},
            )
        ],
    )


def scored(*parts: PartQuality) -> QualityScore:
    board = ScoreBoard()
    for part in parts:
        board.add(part)
    [score] = board.scores()
    return score.vmaf


def scenes(seed: int, count: int = 600) -> tuple[list[float], list[float], list[float]]:
    """Scores that fall with the logarithm of the error and rise with motion, scene by scene, with some chance in them."""
    random = np.random.default_rng(seed)
    lengths = random.integers(20, 90, 60)
    error = np.repeat(random.uniform(2, 60, 60), lengths)[:count] * random.uniform(0.8, 1.25, count)
    motion = np.repeat(random.uniform(0, 12, 60), lengths)[:count]
    truth = 100 - 6 * np.log(error) + 3 * np.log1p(motion) + random.normal(0, 0.5, count)
    return [series.tolist() for series in (np.clip(truth, 0, 100), error, motion)]  # type: ignore[return-value]


# ── everything measured ─────────────────────────────────────────────────────────────────────────────────────────────
@given(truth=st.lists(st.floats(0, 100), min_size=1, max_size=40))
def test_when_every_picture_is_measured_the_scores_are_theirs(truth: list[float]) -> None:
    vmaf = scored(film(truth, [1.0] * len(truth)))
    assert vmaf.mean == pytest.approx(fmean(truth))
    assert vmaf.margin == 0
    assert (vmaf.frames, vmaf.frames_scored) == (len(truth), len(truth))
    assert min(truth) - 1e-6 <= vmaf.percentile_1 <= vmaf.mean + 1e-6
    assert min(truth) - 1e-6 <= vmaf.harmonic_mean <= vmaf.mean + 1e-6


def test_the_harmonic_mean_is_libvmafs() -> None:
    assert scored(film([90.0, 60.0, 30.0], [1.0] * 3)).harmonic_mean == pytest.approx(
        3 / (1 / 91 + 1 / 61 + 1 / 31) - 1
    )


def test_one_picture_of_score_zero_does_not_erase_the_others() -> None:
    assert scored(film([0.0, 100.0], [1.0] * 2)).harmonic_mean == pytest.approx(2 / (1 + 1 / 101) - 1)


def test_the_worst_five_seconds_are_found_where_they_are() -> None:
    truth = [95.0] * 250 + [40.0] * 125 + [95.0] * 250
    worst = scored(film(truth, [1.0] * len(truth))).worst_5_seconds
    assert worst.mean == pytest.approx(40)
    assert (worst.start, worst.end) == pytest.approx((10.0, 10.0 + 124 / RATE), abs=0.05)


def test_a_film_shorter_than_five_seconds_is_its_own_worst_passage() -> None:
    worst = scored(film([90.0, 80.0, 70.0], [1.0] * 3)).worst_5_seconds
    assert (worst.mean, worst.start, worst.end) == pytest.approx((80, 0, 2 / RATE))


# ── a few measured ──────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("seed", range(8))
def test_a_few_samples_know_the_mean_and_say_how_exactly(seed: int) -> None:
    truth, error, motion = scenes(seed)
    vmaf = scored(film(truth, error, step=27, motion=motion))
    plain = fmean(truth[n] for n in range(len(truth)) if Sampling(27).measures(n))
    assert vmaf.frames_scored == 22
    assert vmaf.mean == pytest.approx(fmean(truth), abs=0.5)
    assert abs(vmaf.mean - fmean(truth)) <= 1.5 * vmaf.margin
    assert abs(vmaf.mean - fmean(truth)) <= abs(plain - fmean(truth)) + 0.2
    assert vmaf.percentile_1 == pytest.approx(float(np.percentile(truth, 1)), abs=3)


def test_a_bad_passage_between_two_samples_is_seen_by_its_error() -> None:
    """Sixteen pictures of mud, none of them measured, in a film in which error has been seen to matter."""
    truth = [90.0 if n % 100 < 50 else 70.0 for n in range(600)]
    error = [2.0 if score == 90 else 30.0 for score in truth]
    mud = range(318, 334)
    for n in mud:
        truth[n], error[n] = 70.0, 30.0
    assert not any(Sampling(33).measures(n) for n in mud)
    with_mud = scored(film(truth, error, step=33)).mean
    without = scored(film(truth, [e if n not in mud else 2.0 for n, e in enumerate(error)], step=33)).mean
    assert with_mud < without


@settings(max_examples=50)
@given(cuts=st.lists(st.integers(1, 599), max_size=4, unique=True).map(sorted), seed=st.integers(0, 5))
def test_a_film_in_chunks_is_one_film(cuts: list[int], seed: int) -> None:
    truth, error, motion = scenes(seed)
    whole = scored(film(truth, error, motion=motion))
    bounds = [0, *cuts, len(truth)]
    parts = [film(truth[a:b], error[a:b], first=a, motion=motion[a:b]) for a, b in itertools.pairwise(bounds)]
    assert scored(*parts) == whole


def test_a_chunk_without_samples_is_told_from_the_others() -> None:
    truth, error, motion = scenes(3)
    parts = [film(truth[:590], error[:590], step=33, motion=motion[:590])]
    parts.append(film(truth[590:], error[590:], step=33, first=590, motion=motion[590:]))
    assert mean_of(parts[1], "720p") is None
    assert scored(*parts).frames == 600


@given(count=st.integers(0, 40), seed=st.integers(0, 3))
def test_however_few_samples_the_score_stays_on_the_scale(count: int, seed: int) -> None:
    truth, error, motion = scenes(seed, count)
    board = ScoreBoard()
    board.add(film(truth, error, step=13, motion=motion))
    for score in board.scores():
        assert 0 <= score.vmaf.percentile_1 <= 100
        assert 0 <= score.vmaf.mean <= 100


def test_nothing_scored_is_no_score() -> None:
    assert ScoreBoard().scores() == []


# ── how it travels ──────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_log_of_pictures_travels_as_packed_numbers() -> None:
    part = film([90.0, 80.0], [1.5, 2.5])
    text = part.model_dump_json()
    assert '"error":"AADAPwAAIEA="' in text
    assert PartQuality.model_validate_json(text) == part
