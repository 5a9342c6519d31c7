"""The estimate of what is left: honest or absent."""

import math
import random
from datetime import UTC, datetime, timedelta

import pytest

from streamforge.contracts.job import Stage
from streamforge.progress.bands import BANDS, progress_at
from streamforge.progress.eta import Eta, EtaModel, Moment, PastJob

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STAGES = (Stage.TRANSCODING, Stage.VALIDATION, Stage.PACKAGING, Stage.STORAGE)


def past_job(*seconds: float) -> PastJob:
    """One that spent so long in transcoding, validation, packaging and storage, at an even pace in each."""
    moments, at = [], NOW
    for stage, duration in zip(STAGES, seconds, strict=True):
        for step in range(50):
            moments.append(Moment(stage, progress_at(stage, step / 50), at + timedelta(seconds=duration * step / 50)))
        at += timedelta(seconds=duration)
    return PastJob(NOW, at, moments)


def estimate(model: EtaModel, stage: Stage, within: float, elapsed: float) -> Eta | None:
    return model.estimate(stage, progress_at(stage, within), NOW - timedelta(seconds=elapsed), NOW)


def test_what_stages_took_here_tells_what_is_left() -> None:
    """Percent of progress would say 22 % are done at the half of transcoding; of the time it was a quarter."""
    model = EtaModel.of([past_job(50, 40, 5, 5)] * 10)
    eta = estimate(model, Stage.TRANSCODING, 0.5, elapsed=100)
    assert eta is not None
    assert eta.seconds == pytest.approx(300, rel=0.1)


def test_the_end_is_near_at_the_end() -> None:
    model = EtaModel.of([past_job(50, 40, 5, 5)] * 10)
    eta = model.estimate(Stage.COMPLETED, 100, NOW - timedelta(seconds=60), NOW)
    assert eta == Eta(0, 0, 0)


@pytest.mark.parametrize(("stage", "within"), [(Stage.UPLOADING, 1), (Stage.TRANSCODING, 0)])
def test_nothing_is_guessed_from_a_beginning(stage: Stage, within: float) -> None:
    assert estimate(EtaModel.of([]), stage, within, elapsed=3) is None


def test_without_experience_the_interval_is_wide() -> None:
    eta = estimate(EtaModel.of([past_job(50, 40, 5, 5)] * 4), Stage.VALIDATION, 0, elapsed=66)
    assert eta is not None
    assert eta.seconds == pytest.approx(34, rel=0.02)
    assert (eta.low, eta.high) == (pytest.approx(eta.seconds / 2, abs=0.2), pytest.approx(eta.seconds * 2, abs=0.2))


def test_where_jobs_differ_the_interval_is_wide_and_where_they_do_not_it_is_narrow() -> None:
    alike = EtaModel.of([past_job(50, 40, 5, 5)] * 20)
    differing = EtaModel.of([past_job(50, 40 * factor, 5, 5) for factor in (0.2, 0.5, 1, 2, 5) * 4])
    narrow, wide = (estimate(model, Stage.TRANSCODING, 0.9, elapsed=45) for model in (alike, differing))
    assert narrow is not None
    assert wide is not None
    assert narrow.high / narrow.low < 1.2
    assert wide.high / wide.low > 3
    assert wide.low <= wide.seconds <= wide.high


def test_a_job_without_validation_is_no_special_case() -> None:
    model = EtaModel.of([past_job(90, 0, 5, 5)] * 10)
    eta = estimate(model, Stage.TRANSCODING, 0.5, elapsed=45)
    assert eta is not None
    assert eta.seconds == pytest.approx(55, rel=0.1)


def test_a_clock_that_went_back_gives_no_negative_time() -> None:
    eta = estimate(EtaModel.of([]), Stage.VALIDATION, 0.5, elapsed=-60)
    assert eta == Eta(0, 0, 0)


def test_the_interval_holds_for_about_four_of_five_new_jobs() -> None:
    """Jobs whose stages vary by themselves and by what else the machine does, learnt from thirty of them, ten times."""
    chance = random.Random(7)

    def job() -> PastJob:
        size = math.exp(chance.gauss(3, 1))
        return past_job(*(size * share * math.exp(chance.gauss(0, 0.4)) for share in (0.6, 0.3, 0.05, 0.05)))

    held = total = 0
    for _ in range(10):
        model = EtaModel.of([job() for _ in range(30)])
        for new in (job() for _ in range(50)):
            for _ in range(20):
                asked = new.began_at + chance.random() * (new.completed_at - new.began_at)
                latest = [moment for moment in new.moments if moment.at <= asked][-1]
                eta = model.estimate(latest.stage, latest.progress, new.began_at, asked)
                if eta is not None:
                    total += 1
                    held += eta.low <= (new.completed_at - asked).total_seconds() <= eta.high
    assert 0.75 < held / total < 0.87


def test_every_working_stage_has_a_band() -> None:
    assert set(STAGES) < set(BANDS)
