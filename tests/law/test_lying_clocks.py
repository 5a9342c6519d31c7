"""Files from the field whose clocks lie, each with what is right. Where they come from: tests/media/cases/README.md."""

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from fractions import Fraction
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

import marks
import mutations
import pytest
from av.video.frame import VideoFrame
from avi import avi
from job import SMALL_AND_CUT, Made
from law import told_by, truth_of
from material import Making, material
from mpeg_systems import transport_stream
from oracle import Seen, decodable, played

from streamforge.contracts.media.timeline import NoteKind
from streamforge.settings import Settings

if TYPE_CHECKING:
    from conftest import Worker

CASES = Path(__file__).parents[1] / "media" / "cases"
COPIED = Settings.model_validate(SMALL_AND_CUT.model_dump() | {"transcode": {"remux": True}})
IN_SYNC = 0.06
LENGTH = 0.1
BITS = 10


@dataclass
class Outcome:
    made: Made
    seen: Seen

    @property
    def length(self) -> float:
        """Of the presentation: until the last picture or sound is over."""
        return max(self.seen.ends, self.seen.sound_ends)

    @property
    def says(self) -> str:
        return " ".join(told.text for told in told_by(self.made.account, self.made.plan.warnings))

    def assert_pictures(self, first: int, last: int, missing: int = 0) -> None:
        """All from one number to another, in order, at 25 a second."""
        numbers = self.seen.numbers
        assert numbers == sorted(numbers)
        gone = set(range(first, last + 1)) - set(numbers)
        assert len(gone) <= missing, f"{len(gone)} pictures are missing: {sorted(gone)}"
        for time, number in self.seen.pictures:
            assert time == pytest.approx((number - first) / 25, abs=0.045), f"picture {number}"

    def assert_beeps(self, at: Callable[[int], float], seconds: range) -> None:
        heard = {second: time for time, second in self.seen.beeps}
        late = {second: heard.get(second, -99) - at(second) for second in seconds}
        assert all(abs(off) <= IN_SYNC for off in late.values()), late


def number_of(picture: VideoFrame) -> int:
    luma = picture.reformat(format="gray").to_ndarray()
    height, box = luma.shape[0], luma.shape[1] / BITS
    row = luma[int(height * 0.04) : int(height * 0.14)]
    return sum(1 << bit for bit in range(BITS) if row[:, int((bit + 0.3) * box) : int((bit + 0.7) * box)].mean() > 125)


@pytest.fixture
def outcome_of(worker: "Worker", tmp_path: Path) -> "Run":
    def run(
        path: Path, wanted: Settings = SMALL_AND_CUT, read: Callable[[VideoFrame], int | None] = number_of
    ) -> Outcome:
        made = worker.process(path, tmp_path, wanted)
        return Outcome(made, played(made.pictures, made.sound, read))

    return run


Run = Callable[..., Outcome]


def test_a_film_whose_clock_is_right_comes_out_as_it_is(outcome_of: Run) -> None:
    outcome = outcome_of(CASES / "clocks/00-control.mp4")
    outcome.assert_pictures(0, 199)
    outcome.assert_beeps(float, range(8))
    assert outcome.length == pytest.approx(8.0, abs=LENGTH)


@pytest.mark.parametrize("name", ["01-ts-concat-reset.ts", "02-ts-jump-forward.ts"])
def test_two_recordings_one_behind_the_other_are_one_film(outcome_of: Run, name: str) -> None:
    outcome = outcome_of(CASES / "clocks" / name)
    outcome.assert_pictures(0, 249)
    outcome.assert_beeps(float, range(10))
    assert outcome.length == pytest.approx(10.0, abs=LENGTH)


def test_two_pictures_a_minute_too_late_do_not_make_the_film_longer(outcome_of: Run) -> None:
    outcome = outcome_of(CASES / "clocks/05b-mp4-pts-outliers-60s.mp4")
    outcome.assert_pictures(0, 199, missing=2)
    outcome.assert_beeps(float, range(8))
    assert outcome.length == pytest.approx(8.0, abs=LENGTH)
    assert outcome.made.source.video_required.frame_rate == pytest.approx(25, abs=0.1)


def test_what_was_switched_on_within_a_gop_begins_at_its_first_whole_picture(outcome_of: Run) -> None:
    outcome = outcome_of(CASES / "clocks/06c-ts-mid-gop-2s.ts")
    outcome.assert_pictures(50, 249)
    outcome.assert_beeps(lambda second: second - 2.0, range(2, 10))
    assert outcome.length == pytest.approx(8.0, abs=LENGTH)


def test_of_two_programs_the_larger_one_comes_with_its_own_sound(outcome_of: Run) -> None:
    outcome = outcome_of(CASES / "clocks/07-mpts-two-programs.ts")
    assert outcome.made.source.video_required.width == 320
    assert [track.language for track in outcome.made.plan.audio if track.default] == ["en"]
    outcome.assert_pictures(0, 149)


def test_what_comes_under_new_pids_is_there_or_named(outcome_of: Run) -> None:
    outcome = outcome_of(CASES / "clocks/09-ts-pid-change.ts")
    if outcome.length == pytest.approx(10.0, abs=LENGTH):
        # FFmpeg has the last packet under the old numbers only at the end of the file: two pictures need it.
        outcome.assert_pictures(0, 249, missing=2)
        outcome.assert_beeps(float, range(10))
    assert "5.0 s" in outcome.says


def test_a_last_picture_stays_as_long_as_there_is_sound(outcome_of: Run) -> None:
    outcome = outcome_of(CASES / "clocks/10-last-picture-6s.mp4")
    outcome.assert_pictures(0, 100)
    outcome.assert_beeps(float, range(10))
    assert outcome.seen.ends == pytest.approx(10.0, abs=LENGTH)


def test_packed_pictures_come_in_order(outcome_of: Run) -> None:
    """All that FFmpeg's decoder makes of them, where AVI has them: its first picture stays for three."""
    outcome = outcome_of(CASES / "clocks/15-avi-xvid-packed-bframes.avi")
    numbers = outcome.seen.numbers
    assert numbers == sorted(numbers)
    assert outcome.seen.frames >= 198
    assert outcome.seen.pictures[100][0] == pytest.approx((numbers[100] + 2) / 25, abs=0.045)
    outcome.assert_beeps(float, range(8))


def test_captions_in_a_track_of_their_own_are_kept_or_named(outcome_of: Run) -> None:
    outcome = outcome_of(CASES / "clocks/20-eia608-track.mov")
    outcome.assert_pictures(0, 124)
    assert outcome.made.plan.subtitles or "caption" in outcome.says.lower()


def test_one_picture_without_a_time_moves_nothing(outcome_of: Run) -> None:
    outcome = outcome_of(CASES / "clocks/27b-ts-one-picture-without-pts.ts")
    assert outcome.seen.numbers == sorted(outcome.seen.numbers)
    assert {second: time for time, second in outcome.seen.beeps}[1] == pytest.approx(0.04, abs=0.05)


def test_sound_that_begins_after_eight_seconds_is_preceded_by_silence(outcome_of: Run) -> None:
    outcome = outcome_of(CASES / "clocks/34-ts-sound-begins-at-8s.ts")
    outcome.assert_pictures(0, 299)
    outcome.assert_beeps(float, range(8, 12))
    assert outcome.seen.beeps[0][1] == 8


@pytest.mark.parametrize("wanted", [SMALL_AND_CUT, COPIED], ids=["encoded", "copied"])
def test_the_recording_of_a_still_screen_is_as_long_as_it_was(outcome_of: Run, wanted: Settings) -> None:
    outcome = outcome_of(CASES / "pictures/screen_last_stays_8s.mp4", wanted)
    assert outcome.seen.ends == pytest.approx(8.98, abs=LENGTH)


def test_a_picture_stays_while_null_frames_come(outcome_of: Run) -> None:
    outcome = outcome_of(CASES / "pictures/avi_null_frames.avi")
    assert outcome.seen.ends == pytest.approx(8.0, abs=LENGTH)
    assert outcome.seen.frames >= 25


def test_a_first_key_frame_after_nine_seconds_is_where_the_film_begins(outcome_of: Run, tmp_path: Path) -> None:
    """livepeer/lpms#58: all in front of it cannot be decoded. No sentence tells of a time below zero."""
    whole = material(Making("h264-b", "aac", gop=216, seconds=12, elementary=True))
    film, _ = mutations.begins_in_a_gop(whole, Random(1))
    path = tmp_path / "late.ts"
    path.write_bytes(transport_stream(film))
    truth = truth_of(film, decodable(path))
    outcome = outcome_of(path, read=marks.number_of)
    assert outcome.seen.numbers == [number for number, _ in truth.pictures]
    assert outcome.length == pytest.approx(truth.ends, abs=LENGTH)
    assert "cannot be decoded" in outcome.says
    assert not re.search(r"(?<!\w)-\d", outcome.says)


def test_a_key_frame_that_lost_bytes_where_a_chunk_begins_is_told(outcome_of: Run, tmp_path: Path) -> None:
    """FFmpeg marks the packet in front of it. Decoding does not begin with it where there is another one."""
    whole = material(Making("h264", "mp2", gop=25, seconds=5, elementary=True))
    path = tmp_path / "torn.ts"
    path.write_bytes(transport_stream(replace(whole, torn=frozenset({606}))))
    outcome = outcome_of(path, read=marks.number_of)
    assert set(outcome.seen.numbers) >= {*range(75), *range(100, 125)}
    assert [(note.kind, note.at, note.seconds) for note in outcome.made.account.timeline] == [
        (NoteKind.DAMAGED, pytest.approx(3.0), pytest.approx(0.96))
    ]


def test_what_comes_under_new_pids_begins_with_its_first_packets_which_may_have_no_time(
    outcome_of: Run, tmp_path: Path
) -> None:
    """Three pictures were lost, a key frame among them, and the job failed for it."""
    whole = material(Making("h264-b", "mp2", gop=15, seconds=3, elementary=True))
    joined, _ = mutations.changes_pids(whole, Random(1))
    second = [packet.number for packet in joined.pictures.packets if packet.part]
    untimed = joined.with_pictures(lambda packet: replace(packet, untimed=packet.number in second[:3]))
    path = tmp_path / "pids.ts"
    path.write_bytes(transport_stream(untimed, new_pids=True))
    outcome = outcome_of(path, read=marks.number_of)
    outcome.assert_pictures(0, 74)


def test_h264_in_avi_that_is_not_reordered_is_no_picture_late(outcome_of: Run, tmp_path: Path) -> None:
    """FFmpeg shows each a picture later than AVI says, as it does with those that are reordered: here 80 ms behind the sound."""
    source = avi(material(Making("h264", "mp2", Fraction(25, 2), gop=25, seconds=4, elementary=True)))
    path = tmp_path / "late.avi"
    path.write_bytes(source)
    outcome = outcome_of(path, read=marks.number_of)
    assert [time for time, _ in outcome.seen.pictures][:3] == pytest.approx([0, 0.08, 0.16], abs=0.01)
    outcome.assert_beeps(lambda second: second + 0.25, range(1, 4))
