"""The estimate of what is left: honest or absent."""

from datetime import UTC, datetime, timedelta

import pytest

from streamforge.contracts.job import JobStatus, Stage
from streamforge.planning.eta import remaining_seconds

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def estimate(progress: int, elapsed: float, status: JobStatus = JobStatus.PROCESSING) -> float | None:
    return remaining_seconds(status, Stage.TRANSCODING, progress, NOW - timedelta(seconds=elapsed), NOW)


def test_half_of_the_work_done_means_as_much_again() -> None:
    assert estimate(progress=55, elapsed=60) == 60


def test_the_end_is_near_at_the_end() -> None:
    assert estimate(progress=100, elapsed=60) == 0


@pytest.mark.parametrize("progress", [0, 5, 10, 11])
def test_nothing_is_guessed_from_a_beginning(progress: int) -> None:
    assert estimate(progress, elapsed=3) is None


@pytest.mark.parametrize("status", [status for status in JobStatus if status is not JobStatus.PROCESSING])
def test_only_a_running_job_has_an_estimate(status: JobStatus) -> None:
    assert estimate(progress=55, elapsed=60, status=status) is None


def test_a_job_that_no_worker_has_begun_has_none() -> None:
    assert remaining_seconds(JobStatus.PROCESSING, Stage.UPLOADING, 55, None, NOW) is None


def test_a_clock_that_went_back_gives_no_negative_time() -> None:
    assert estimate(progress=55, elapsed=-60) == 0
