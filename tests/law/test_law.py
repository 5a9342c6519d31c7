"""What goes in comes out, or the job says what did not: whatever the clock of the source says.

`make test` tries the same sources every time, `make fuzz` new ones for FUZZ_MINUTES. What breaks the law is kept in
LAW_FOLDER; `LAW_SEED=…` tries one seed again.
"""

import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import TYPE_CHECKING

import pytest
from film import Film
from law import Difference, NothingToSee, differences, is_damaged, told_by, truth_of, untold
from lying_sources import CONTAINERS, LyingSource, control, one_lie, some_lies
from oracle import decodable, played

from streamforge.errors import NoVideoStream, StreamForgeError

if TYPE_CHECKING:
    from _pytest.mark.structures import ParameterSet
    from conftest import Worker

MINUTES = float(os.environ.get("FUZZ_MINUTES", "0"))
SEEDS = [int(seed) for seed in os.environ.get("LAW_SEED", "").replace(",", " ").split()]
FOLDER = Path(os.environ.get("LAW_FOLDER", Path(gettempdir()) / "streamforge-law"))

PINNED = (
    5, 24, 63, 87, 90, 104, 106, 111, 123, 127, 141, 310_000_492, 500_001_210, 600_000_286, 772_635_792, 772_636_206,
    772_636_431, 772_636_435, 772_636_541, 995_855_993, 311_000_284, 312_000_050, 331_000_520, 340_000_980,
    340_003_837, 451_741_654, 482_613_829, 748_639_295, 943_862_301, 808_003_238,
    808_005_243, 784_161_375, 897_364_504, 40_725_009, 392_064_784,
)  # fmt: skip
"""Seeds of past finds: edit lists that hide whole GOPs, first pictures with a time far off, null frames at the end, FLV whose
clock begins late, new PIDs, H.264 with reordered pictures in AVI, torn transport streams, MPEG-4 cut in a transport stream,
pictures without a time in front of the first key frame, two joints of a variable frame rate, sound under a new PID whose clock
goes back while no picture is left; one of the last pictures of an MP4 seven seconds late, two that have each other's times;
three packets of sound between a hole and a clock that falls back; pictures without a time in front of a reset, of a leap, and
of one whose time is wrong; one packet of sound between two resets; two key frames with times in all; an MP4 without a key frame
that FFmpeg does not open; a last packet of sound behind a hole; one picture and a row of null frames;
sound that begins behind the last picture of two recordings; a pause in a film of which FFmpeg
gives one of the first pictures the time of the last; a pause in Matroska that sound of a later recording seems to fill; a single
picture of MJPEG beside sound, which counts as its cover; a clock of 33 bits that ends in a recording whose streams get other
numbers; a last picture that stays for long behind an edit list, and one of which the edit list says more than it knows, which is
what one says whose hidden pictures have a time far off;
H.264 in AVI that is not reordered, and one picture late for FFmpeg;
few pictures between a clock that is set back and a hole behind which it goes on with that of the recording before."""


DAMAGED = {"input.truncated", "input.undecodable"}
"""What a job may say of a film of which a good part cannot be decoded, unless it is asked to keep what can be."""


def is_a_cover(film: Film) -> bool:
    """docs/sources.md: a single picture in a codec of pictures, beside sound, is no film."""
    return len(film.pictures.packets) == 1 and film.pictures.codec in {"mjpeg", "png"}


@dataclass
class Court:
    """Runs sources through a worker and holds what comes out against the law."""

    worker: "Worker"

    def finds(self, source: LyingSource) -> list[Difference]:
        """What differs, and of which the job says nothing."""
        with TemporaryDirectory() as name:
            folder = Path(name)
            path = folder / "original"
            path.write_bytes(source.content)
            try:
                truth = truth_of(source.film, decodable(path), source.has_times)
            except NothingToSee:
                return []
            try:
                made = self.worker.process(path, folder)
            except StreamForgeError as error:
                if error.code in DAMAGED and is_damaged(source.film, truth):
                    return []
                if error.code == NoVideoStream.code and is_a_cover(source.film):
                    return []
                return [Difference("refused", 0.0, truth.ends, f"{error.code}: {error.message}")]
            except TimeoutError:
                return [Difference("stuck", 0.0, truth.ends, "the job takes far too long")]
            except Exception as error:  # A find like any other: it has a seed.
                return [Difference("crashed", 0.0, truth.ends, repr(error))]
            return untold(
                differences(truth, played(made.pictures, made.sound)), told_by(made.account, made.plan.warnings)
            )

    def judge(self, source: LyingSource) -> None:
        if found := self.finds(source):
            pytest.fail(verdict(source, found), pytrace=False)


@pytest.fixture
def court(worker: "Worker") -> Court:
    return Court(worker)


def verdict(source: LyingSource, found: list[Difference]) -> str:
    """What differs, in one block; the source lies beside it."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{source.name.replace(' ', '-').replace(':', '-')}.{source.container}"
    path.write_bytes(source.content)
    return "\n  ".join([str(source), *map(str, found), f"kept as {path}"])


CONTROLS = [
    (container, pictures, kind.sounds[number % len(kind.sounds)])
    for container, kind in CONTAINERS.items()
    for number, pictures in enumerate(kind.pictures)
]


@pytest.mark.parametrize(("container", "pictures", "sound"), CONTROLS, ids=lambda each: each)
def test_an_honest_source_comes_out_whole(court: Court, container: str, pictures: str, sound: str) -> None:
    court.judge(control(container, pictures, sound))


CONTAINERS_OFTEN = 2
"""In which each lie is told by `make test`: now these, now those. In all others it is with SLOW=1."""


def lies_in_containers() -> Iterator["ParameterSet"]:
    for number, lie in enumerate(dict.fromkeys(lie for kind in CONTAINERS.values() for lie in kind.lies)):
        able = [container for container, kind in CONTAINERS.items() if lie in kind.lies]
        often = {able[(number + more * len(able) // 2) % len(able)] for more in range(CONTAINERS_OFTEN)}
        for container in able:
            marks = [] if container in often else pytest.mark.slow
            yield pytest.param(container, lie, id=f"{container}-{lie.__name__}", marks=marks)


@pytest.mark.parametrize(("container", "lie"), list(lies_in_containers()))
def test_what_goes_in_comes_out_or_the_job_says_what_did_not(court: Court, container: str, lie) -> None:
    court.judge(one_lie(container, lie, seed=0))


@pytest.mark.parametrize("seed", PINNED)
def test_past_finds_are_found_no_more(court: Court, seed: int) -> None:
    court.judge(some_lies(seed))


@pytest.mark.skipif(not SEEDS, reason="no LAW_SEED")
@pytest.mark.parametrize("seed", SEEDS or [0])
def test_a_seed(court: Court, seed: int) -> None:
    court.judge(some_lies(seed))


@pytest.mark.timeout(0)
@pytest.mark.skipif(not MINUTES, reason="only with FUZZ_MINUTES")
def test_new_sources_come_out_or_the_job_says_what_did_not(court: Court) -> None:
    """Goes on after a find: one fault must not hide the others."""
    end, first, verdicts = time.monotonic() + 60 * MINUTES, time.time_ns() % 10**9, []
    print(f"seeds from {first}", flush=True)
    seed = first
    while time.monotonic() < end:
        source = some_lies(seed)
        if found := court.finds(source):
            verdicts.append(verdict(source, found))
            print(verdicts[-1], flush=True)
        seed += 1
    print(f"{seed - first} sources, seeds {first} to {seed - 1}", flush=True)
    assert not verdicts, f"{len(verdicts)} sources break the law:\n" + "\n".join(verdicts)
