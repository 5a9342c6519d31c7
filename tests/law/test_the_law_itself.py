"""A law that nothing can break says nothing: each way in which a stream can be wrong, done to one that is right."""

from dataclasses import replace
from pathlib import Path
from random import Random

import mutations as lies
import pytest
from film import TICKS, ticks
from law import Difference, Told, Truth, differences, truth_of, untold
from lying_sources import CONTAINERS, LyingSource, control, one_lie, some_lies
from marks import BEEP_AT
from oracle import Seen, decodable

COUNT = 150
FRAME = 0.04
TRUTH = Truth(
    pictures=[(number, number * FRAME) for number in range(COUNT)],
    beeps=[(second, second + BEEP_AT) for second in range(6)],
    ends=6.0,
    picture=FRAME,
)
RIGHT = Seen(
    pictures=[(number * FRAME, number) for number in range(COUNT)],
    beeps=[(second + BEEP_AT, second) for second in range(6)],
    ends=6.0,
    sound_ends=6.0,
)


def kinds(seen: Seen, truth: Truth = TRUTH) -> set[str]:
    return {difference.kind for difference in differences(truth, seen)}


def later(seen: Seen, since: float, by: float) -> Seen:
    """All pictures from a moment on come later, and the end with them."""
    moved = [(time + by if time >= since else time, number) for time, number in seen.pictures]
    return replace(seen, pictures=moved, ends=seen.ends + by)


def test_what_is_right_breaks_no_law() -> None:
    assert differences(TRUTH, RIGHT) == []


def test_two_pictures_may_be_missing_and_three_may_not() -> None:
    assert kinds(replace(RIGHT, pictures=[one for one in RIGHT.pictures if one[1] not in {40, 90}])) == set()
    without = replace(RIGHT, pictures=[one for one in RIGHT.pictures if one[1] not in {40, 41, 90}])
    assert [(d.kind, d.text) for d in differences(TRUTH, without)] == [
        ("missing pictures", "2 pictures, number 40-41"),
        ("missing pictures", "1 pictures, number 90"),
    ]


def test_a_missing_half_is_missing() -> None:
    half = replace(RIGHT, pictures=RIGHT.pictures[:75], beeps=RIGHT.beeps[:3], ends=3.0, sound_ends=3.0)
    assert kinds(half) == {"missing pictures", "missing sound", "length"}


def test_sound_that_is_150_ms_off_is_out_of_sync() -> None:
    off = replace(RIGHT, beeps=[(time + 0.15, second) for time, second in RIGHT.beeps])
    assert [d.kind for d in differences(TRUTH, off)] == ["out of sync"] * 6
    assert kinds(replace(RIGHT, beeps=[(time + 0.05, second) for time, second in RIGHT.beeps])) == set()


def test_a_frozen_tail_is_too_long() -> None:
    assert kinds(replace(RIGHT, ends=7.0)) == {"length"}


def test_a_film_that_waits_has_its_time_wrong() -> None:
    """Sound that did not wait is out of sync with it as well."""
    waits = later(RIGHT, 3.0, 2.0)
    assert kinds(waits) == {"time", "out of sync"}
    assert [(d.at, d.seconds) for d in differences(TRUTH, waits) if d.kind == "time"] == [
        (pytest.approx(2.96, abs=0.1), pytest.approx(2.0))
    ]
    with_sound = [(time + 2.0 if time > 3 else time, second) for time, second in RIGHT.beeps]
    assert kinds(replace(waits, beeps=with_sound, sound_ends=8.0)) == {"time"}


def test_pictures_that_go_back_are_in_disorder() -> None:
    numbers = [number for _, number in RIGHT.pictures]
    numbers[50], numbers[53] = numbers[53], numbers[50]
    shuffled = [(time, number) for (time, _), number in zip(RIGHT.pictures, numbers, strict=True)]
    assert "disorder" in kinds(replace(RIGHT, pictures=shuffled))


def test_sound_that_is_not_there_is_missing() -> None:
    assert kinds(replace(RIGHT, beeps=RIGHT.beeps[:2] + RIGHT.beeps[3:])) == {"missing sound"}


def test_sound_before_the_first_picture_may_not_go_without_a_word() -> None:
    early = replace(TRUTH, beeps=[(9, -0.75), *TRUTH.beeps], early=1.0)
    assert kinds(RIGHT, early) == {"early sound"}
    assert kinds(RIGHT, replace(early, early=0.09)) == set()


# ── what a job says ─────────────────────────────────────────────────────────────────────────────────────────────────
LOST = Difference("missing pictures", 12.0, 3.0, "75 pictures")


@pytest.mark.parametrize(
    ("told", "is_enough"),
    [
        (Told("Pictures are missing at 12.2 s, for 3.1 s."), True),
        (Told("Pictures are missing at 12.2 s."), False),
        (Told("Of 3 streams, number 12 is used."), False),
        (Told("The clock was reset.", at=12.0, seconds=3.0), True),
        (Told("The clock was reset.", at=90.0, seconds=3.0), False),
        (Told("The clock was reset.", at=12.0, seconds=0.1), False),
    ],
)
def test_a_job_must_say_when_and_how_much(told: Told, is_enough: bool) -> None:
    assert untold([LOST], [told]) == ([] if is_enough else [LOST])


# ── what sources are ────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize("container", CONTAINERS)
def test_an_honest_source_has_everything_in_order(container: str, tmp_path: Path) -> None:
    """By a plain decoder: the truth is what the file holds, and the file is well-formed enough to be read."""
    source = control(container, CONTAINERS[container].pictures[0], CONTAINERS[container].sounds[0])
    truth = truth_of(source.film, _decodable(source, tmp_path), source.has_times)
    assert [number for number, _ in truth.pictures] == list(range(COUNT))
    assert [second for second, _ in truth.beeps] == list(range(6))
    assert truth.ends == pytest.approx(6.0, abs=0.05)


def test_a_seed_always_makes_the_same_source() -> None:
    assert some_lies(7) == some_lies(7)
    assert some_lies(7).content != some_lies(8).content


def test_a_last_picture_lasts_as_long_as_others_where_the_end_of_the_sound_is_lost() -> None:
    film = control("mov", "h264-b", "aac").film
    quiet = replace(film, sound=film.sound.kept(lambda packet: packet.at < TICKS))
    stays, _ = lies.last_picture_stays(quiet, Random(3))
    assert max(stays.pictures.packets, key=lambda packet: packet.at).lasts == ticks(FRAME)
    with pytest.raises(lies.CannotBeTold):
        lies.last_picture_stays(replace(film, sound=film.sound.kept(lambda _: False)), Random(3))


def test_a_clock_that_is_reset_has_all_pictures_nevertheless(tmp_path: Path) -> None:
    source = one_lie("ts", next(lie for lie in CONTAINERS["ts"].lies if lie.__name__ == "resets"), 0)
    truth = truth_of(source.film, _decodable(source, tmp_path))
    assert len(truth.pictures) == len(source.film.pictures.packets)
    assert max(moment for _, moment in truth.pictures) > 4.5


def _decodable(source: LyingSource, folder: Path) -> Seen:
    path = folder / "original"
    path.write_bytes(source.content)
    return decodable(path)
