"""Where a clock restarts, leaps or lies: by what packets say, without a file."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import pairwise

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from streamforge.contracts.media.source import VIDEO_TIMESCALE
from streamforge.contracts.media.timeline import NoteKind
from streamforge.timeline.alignment import align
from streamforge.timeline.clock_runs import BACKWARD, Packet, Run, RunFinder
from streamforge.timeline.clocks import NO_TIME, FilmClock, FilmPackets, film_clock
from streamforge.timeline.damage import damage
from streamforge.timeline.stray_times import behind_their_decoding, misplaced

PICTURE = VIDEO_TIMESCALE // 25
SOUND = 1920
HOUR = 3600 * VIDEO_TIMESCALE
TS, MKV, MP4 = "mpegts", "matroska,webm", "mov,mp4,m4a,3gp,3g2,mj2"


def found(times: Iterable[int], duration: int = PICTURE, positions: Sequence[int] | None = None) -> RunFinder:
    """Of packets at these times, each of them 100 bytes behind the one before it."""
    finder = RunFinder()
    for number, time in enumerate(times):
        position = positions[number] if positions else number * 100
        if time != NO_TIME:
            finder.take(Packet(number, position, time, time, duration))
    finder.finish()
    return finder


def film(times: Sequence[int], keys: int = 25, positions: Sequence[int] | None = None) -> FilmPackets:
    return FilmPackets(
        times=np.array(times, np.int64),
        positions=np.array(positions or [number * 100 for number in range(len(times))]),
        keys=np.array([number % keys == 0 for number in range(len(times))]),
        finder=found(times, positions=positions),
    )


def steady(count: int, start: int = 0, step: int = PICTURE) -> list[int]:
    return list(range(start, start + count * step, step))


def shown(clock: FilmClock) -> list[int]:
    return clock.times.tolist()


# ── pictures ────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_a_steady_clock_is_left_alone() -> None:
    clock = film_clock(film(steady(250, 133_200)), {}, TS)
    assert shown(clock) == steady(250, 133_200)
    assert clock.clock.runs == []
    assert clock.notes == []


def test_a_clock_that_is_set_back_goes_on_behind_what_was_before() -> None:
    clock = film_clock(film(steady(125, 133_200) + steady(125, 133_200)), {}, TS)
    assert shown(clock) == steady(250, 133_200)
    assert [(note.kind, note.seconds) for note in clock.notes] == [(NoteKind.RESET, -5.0)]


def test_many_resets_are_many_parts() -> None:
    clock = film_clock(film(steady(50) * 20), {}, TS)
    assert shown(clock) == steady(1000)
    assert [run.position for run in clock.clock.runs] == [part * 5000 for part in range(20)]


def test_a_clock_that_leaps_an_hour_ahead_goes_on_without_a_pause() -> None:
    for container in (TS, MKV):
        clock = film_clock(film(steady(125) + steady(125, HOUR)), {}, container)
        assert shown(clock) == steady(250)


def test_a_wrap_of_33_bits_is_a_leap_back() -> None:
    begin = 2**33 - 50 * PICTURE
    clock = film_clock(film([time % 2**33 for time in steady(100, begin)]), {}, TS)
    assert shown(clock) == steady(100, begin)


def test_a_leap_that_sound_fills_is_a_pause() -> None:
    pictures = steady(50) + steady(50, 20 * VIDEO_TIMESCALE)
    sound = found(steady(1200, 0, SOUND), SOUND, [number * 8 for number in range(1200)])
    clock = film_clock(film(pictures), {1: sound}, TS)
    assert shown(clock) == pictures
    assert [note.kind for note in clock.notes] == [NoteKind.GAP]


def test_a_pause_is_told_also_where_sound_of_a_later_recording_has_the_same_times() -> None:
    pictures = [*steady(50), *steady(50, 125 * PICTURE), *steady(150)]
    sound = found(steady(280, 0, SOUND), SOUND, [10_001 + number * 53 for number in range(280)])
    clock = film_clock(film(pictures), {1: sound}, MKV)
    assert [note.kind for note in clock.notes] == [NoteKind.GAP, NoteKind.RESET]


def test_slides_of_a_minute_are_no_leaps() -> None:
    slides = steady(20, 0, 60 * VIDEO_TIMESCALE)
    assert shown(film_clock(film(slides), {}, MKV)) == slides


def test_a_still_screen_of_five_minutes_is_meant_where_the_container_says_so() -> None:
    times = steady(50) + steady(50, 300 * VIDEO_TIMESCALE)
    assert shown(film_clock(film(times), {}, MKV)) == times


def test_single_wrong_times_are_not_believed_and_do_not_move_the_others() -> None:
    times = steady(200)
    times[100] += 60 * VIDEO_TIMESCALE
    times[150] -= 3 * VIDEO_TIMESCALE
    clock = film_clock(film(times), {}, TS)
    expected = [NO_TIME if number in {100, 150} else time for number, time in enumerate(steady(200))]
    assert shown(clock) == expected
    assert clock.clock.disbelieved == [10_000, 15_000]


def test_a_wrong_time_in_front_of_a_pause_is_not_believed_either() -> None:
    """A packet of sound says that it is a minute late, and those behind it are lost for two seconds."""
    times = [*steady(50), 60 * VIDEO_TIMESCALE, *steady(50, 100 * PICTURE)]
    finder = found(times)
    assert finder.outliers == [5000]
    assert [(run.first, run.packets) for run in finder.runs] == [(0, 50), (100 * PICTURE, 50)]


def test_a_last_packet_behind_a_pause_is_believed_and_one_that_lies_a_minute_ahead_is_not() -> None:
    assert found([*steady(50), 200 * PICTURE]).runs[-1].end == 201 * PICTURE
    assert found([*steady(50), 60 * VIDEO_TIMESCALE]).runs[-1].end == 50 * PICTURE


def test_pictures_between_key_frames_that_only_these_have_times_are_shown_evenly() -> None:
    """FFmpeg reckons by the codec's rate, which is twice the true one: eight pictures hurry, and then the last one waits."""
    hurried = [group * 16 * PICTURE + number * PICTURE for group in range(6) for number in range(8)]
    clock = film_clock(film(hurried, keys=8), {}, TS)
    assert shown(clock) == steady(48, step=2 * PICTURE)
    assert clock.clock.pace == 2 * PICTURE
    assert [note.kind for note in clock.notes] == [NoteKind.WITHOUT_TIME]


def test_whether_few_key_frames_alone_have_times_the_file_is_asked() -> None:
    """They may as well have come at once, in front of a pause."""
    hurried = [*steady(50), *steady(12, 100 * PICTURE)]
    for answer, expected in ((True, steady(62, step=2 * PICTURE)), (False, hurried)):
        packets = replace(film(hurried, keys=50), are_only_keys_timed=partial(bool, answer))
        assert shown(film_clock(packets, {}, TS)) == expected


def test_pictures_that_come_in_bursts_of_their_own_keep_their_times() -> None:
    begins = (0, 16, 26, 60, 70, 90)
    bursts = [(begin + number) * PICTURE for begin in begins for number in range(8)]
    clock = film_clock(film(bursts, keys=8), {}, TS)
    assert shown(clock) == bursts
    assert clock.clock.pace == 0


def test_reordering_is_not_wrong() -> None:
    display = steady(64)
    coded = [display[number + 3] if number % 4 == 0 else display[number - 1] for number in range(60)]
    assert not misplaced(np.array(coded)).any()


def reordered(shown: Sequence[int], decoded: Sequence[int], **about: bool) -> FilmPackets:
    """Of pictures in the order of decoding, whose clock is that of decoding."""
    packets = film(shown)
    finder = found(decoded)
    return replace(packets, decoded=np.array(decoded, np.int64), finder=finder, reordered=1, **about)


def with_one_between(count: int) -> list[int]:
    """When pictures are shown of which every other one is coded behind the next one: 0, 2, 1, 4, 3, …"""
    return [0, *(PICTURE * (number + 1 if number % 2 else number - 1) for number in range(1, count))]


def test_what_has_no_time_at_the_end_of_a_part_lasts_as_long_as_other_pictures() -> None:
    clock = film_clock(film([*steady(123), NO_TIME, NO_TIME, *steady(125)]), {}, TS)
    assert [run.shift for run in clock.clock.runs] == [0, 125 * PICTURE]


def test_of_a_picture_without_a_time_in_front_of_a_leap_that_behind_it_is_not_believed() -> None:
    """FFmpeg has for it what comes next, and the first part would be an hour long."""
    decoded = steady(50) + steady(50, HOUR)
    shown_ = [time + PICTURE for time in decoded]
    shown_[49] = HOUR
    clock = film_clock(reordered(shown_, decoded), {}, TS)
    assert shown(clock) == [NO_TIME if number == 49 else time for number, time in enumerate(steady(100, PICTURE))]


def test_a_picture_that_has_its_time_from_one_whose_time_is_wrong_is_wrong_itself() -> None:
    """MPEG-2 in a program stream: FFmpeg takes the time of decoding of the next picture that others refer to."""
    times, decoded = with_one_between(100), steady(100, -PICTURE)
    times[51], decoded[51] = times[51] - 20 * PICTURE, decoded[51] - 20 * PICTURE
    times[49] = times[49] + 2 * PICTURE
    clock = film_clock(reordered(times, decoded, is_plainly_reordered=True), {}, "mpeg")
    assert [number for number, time in enumerate(shown(clock)) if time == NO_TIME] == [49, 51]


def test_pictures_that_have_each_others_times_are_shown_as_they_come_out_of_the_decoder() -> None:
    """In MP4 a picture cannot be shown before it is decoded: a wrong time is another one's, and its own is nobody's."""
    times = with_one_between(100)
    times[51] -= 2 * PICTURE
    clock = film_clock(reordered(times, steady(100, -PICTURE)), {}, MP4)
    assert [number for number, time in enumerate(shown(clock)) if time == NO_TIME] == [49, 51, 52]


def test_one_of_the_last_pictures_is_not_believed_to_stay_where_another_one_was_decoded() -> None:
    times, decoded = with_one_between(100), steady(100, -2 * PICTURE)
    times[93] += 7 * VIDEO_TIMESCALE
    assert np.flatnonzero(behind_their_decoding(np.array(times), np.array(decoded), 2)).tolist() == [93]
    stays = with_one_between(100)
    stays[99] += 7 * VIDEO_TIMESCALE
    assert not behind_their_decoding(np.array(stays), np.array(decoded), 2).any()


def test_one_wrong_time_does_not_make_others_wrong_that_lie_behind_a_pause() -> None:
    times = [*steady(55), *steady(11, 64 * PICTURE)]
    times[6] = 80 * PICTURE
    assert np.flatnonzero(misplaced(np.array(times))).tolist() == [6]


def test_a_part_that_begins_between_key_frames_has_pictures_without_reference() -> None:
    times = steady(125) + steady(115)
    packets = film(times)
    packets.keys = np.array([(number < 125 and number % 25 == 0) or number == 140 for number in range(240)])
    clock = film_clock(packets, {}, TS)
    assert clock.clock.lead_ins == [(12_500, 14_000)]


def test_a_clock_that_breaks_at_every_turn_is_not_asked() -> None:
    times = [time for part in range(400) for time in steady(7, (part * 7919 % 400) * 20 * VIDEO_TIMESCALE)]
    assert not film_clock(film(times), {}, TS).is_timed


def test_where_bytes_are_missing_pictures_may_be_broken_up_to_the_next_key_frame() -> None:
    keys = np.array([number % 25 == 0 for number in range(100)])
    notes = list(damage([10, 12, 80], keys, np.array(steady(100))))
    assert [(note.kind, note.at, note.seconds, note.count) for note in notes] == [
        (NoteKind.DAMAGED, 0.4, 0.56, 2),
        (NoteKind.DAMAGED, 3.2, 0.76, 1),
    ]


# ── sound beside them ───────────────────────────────────────────────────────────────────────────────────────────────
def test_sound_and_picture_are_moved_alike() -> None:
    pictures = steady(125, 133_200) + steady(125, 133_200)
    sound = found(steady(234, 131_280, SOUND) + steady(234, 131_280, SOUND), SOUND, [int(n * 53.4) for n in range(468)])
    clock = film_clock(film(pictures), {1: sound}, TS)
    assert [run.shift for run in clock.clock.runs] == [run.shift for run in clock.sounds[1].runs] == [0, 450_000]


def test_sound_that_changes_its_clock_later_in_the_file_than_the_picture_still_goes_with_it() -> None:
    """A sender interleaves its tracks: what was sent before the break arrives behind it."""
    pictures = steady(125) + steady(125, HOUR)
    times = steady(234, 0, SOUND) + steady(234, HOUR, SOUND)
    late = found(times, SOUND, [int(n * 53.4) + 900 for n in range(468)])
    clock = film_clock(film(pictures), {1: late}, TS)
    assert [run.shift for run in clock.sounds[1].runs] == [0, 125 * PICTURE - HOUR]


def test_sound_that_lies_a_whole_part_behind_the_picture_still_goes_with_it() -> None:
    """Parts of a second, whose sound follows their pictures in the file."""
    parts = [steady(25), steady(25), steady(25)]
    pictures = film(
        [time for part in parts for time in part],
        positions=[part * 5000 + number * 100 for part in range(3) for number in range(25)],
    )
    sound = found(
        [time for _ in range(3) for time in steady(46, 0, SOUND)],
        SOUND,
        [part * 5000 + 2500 + number * 50 for part in range(3) for number in range(46)],
    )
    clock = film_clock(pictures, {1: sound}, "flv")
    assert [run.shift for run in clock.sounds[1].runs] == [0, VIDEO_TIMESCALE, 2 * VIDEO_TIMESCALE]


def test_a_clock_that_is_set_back_in_a_pause_of_the_picture_is_set_back_for_both() -> None:
    """At three seconds both go back by one, and of the second part the first two seconds of pictures are lost."""
    pictures = steady(75) + steady(75, 4 * VIDEO_TIMESCALE + PICTURE)
    places = [number * 100 for number in range(75)] + [12_500 + number * 100 for number in range(75)]
    times = steady(141, 0, SOUND) + steady(234, 141 * SOUND - VIDEO_TIMESCALE, SOUND)
    sound = found(times, SOUND, [int(number * 53.3) for number in range(375)])
    clock = film_clock(film(pictures, positions=places), {1: sound}, MKV)
    assert (
        [run.shift for run in clock.clock.runs] == [run.shift for run in clock.sounds[1].runs] == [0, VIDEO_TIMESCALE]
    )


def both(pictures: Sequence[tuple[int, int]], sounds: Sequence[tuple[int, int]]) -> tuple[FilmPackets, RunFinder]:
    """Of (time, position), as they are read from one file."""
    picture, sound = RunFinder(asks_others=True), RunFinder(asks_others=True)
    picture.beside = [sound]
    all_ = [(place, time, PICTURE, picture) for time, place in pictures]
    all_ += [(place, time, SOUND, sound) for time, place in sounds]
    for number, (place, time, lasts, finder) in enumerate(sorted(all_, key=lambda each: each[0])):
        finder.take(Packet(number if finder is sound else pictures.index((time, place)), place, time, time, lasts))
    picture.finish()
    sound.finish()
    packets = film([time for time, _ in pictures], positions=[place for _, place in pictures])
    packets.finder = picture
    return packets, sound


def test_sound_that_is_lost_for_as_long_as_both_clocks_go_back_is_moved_with_the_picture() -> None:
    """Nothing in its own clock says so; its place in the file does."""
    second = VIDEO_TIMESCALE
    pictures = [(time, time) for time in steady(50)] + [(time, 2 * second + time) for time in steady(100)]
    sounds = [(time, time + 1) for time in steady(93, 0, SOUND)]
    sounds += [(time, 2 * second + time + 1) for time in steady(90, 93 * SOUND, SOUND)]
    packets, sound = both(pictures, sounds)
    clock = film_clock(packets, {1: sound}, TS)
    assert [run.shift for run in clock.clock.runs] == [run.shift for run in clock.sounds[1].runs] == [0, 2 * second]


def test_a_single_packet_of_sound_between_two_clocks_that_are_set_back_hides_neither() -> None:
    """What comes behind it goes on with its clock, by chance: so much is lost as the picture's went back by."""
    second = VIDEO_TIMESCALE
    pictures = [(time, part * second + time) for part in (0, 1, 2) for time in steady(25)]
    sounds = [(time, time + 1) for time in steady(47, 0, SOUND)] + [(960, second + 961)]
    sounds += [(time, 2 * second + time + 1) for time in steady(30, second // 2, SOUND)]
    packets, sound = both(pictures, sounds)
    clock = film_clock(packets, {1: sound}, TS)
    assert [run.shift for run in clock.sounds[1].runs] == [run.shift for run in clock.clock.runs]


def test_few_packets_of_sound_between_a_hole_and_a_clock_that_is_set_back_are_right() -> None:
    """By its own clock they were a leap ahead, and the sound behind them went on with that in front of it."""
    second = VIDEO_TIMESCALE
    pictures = [(time, time) for time in steady(60)] + [(second + time, 60 * PICTURE + time) for time in steady(100)]
    sounds = [(time, time + 1) for time in steady(30, 0, SOUND)]
    sounds += [(time, time + 1) for time in steady(3, 60 * PICTURE - 3 * SOUND, SOUND)]
    sounds += [(second + time, 60 * PICTURE + time + 1) for time in steady(180, 0, SOUND)]
    packets, sound = both(pictures, sounds)
    clock = film_clock(packets, {1: sound}, TS)
    assert [run.shift for run in clock.clock.runs] == [run.shift for run in clock.sounds[1].runs] == [0, 35 * PICTURE]
    assert clock.sounds[1].disbelieved == []


def after_a_reset(before: int, few: int, hole: int) -> tuple[FilmPackets, RunFinder]:
    """Two recordings, of the second of which `few` pictures lie in front of a hole; both as long as their numbers of pictures
    say, and with all of their sound."""
    first, behind = before * PICTURE, few + hole
    pictures = [(time, time) for time in steady(before)] + [(time, first + time) for time in steady(few)]
    pictures += [(time, first + time) for time in steady(100, behind * PICTURE)]
    sounds = [(time, time + 1) for time in range(0, first, SOUND)]
    sounds += [(time, first + time + 1) for time in range(0, (behind + 100) * PICTURE, SOUND)]
    return both(pictures, sounds)


def test_few_pictures_behind_a_clock_that_is_set_back_are_right_where_sound_goes_with_them() -> None:
    """By their clock alone they had wrong times, and what lies behind the hole went on with what lies in front of them."""
    for few in range(1, 8):
        packets, sound = after_a_reset(before=40, few=few, hole=45)
        clock = film_clock(packets, {1: sound}, MKV)
        assert [run.shift for run in clock.clock.runs] == [0, 40 * PICTURE], few
        assert [run.shift for run in clock.sounds[1].runs] == [0, 40 * PICTURE], few
        assert clock.clock.disbelieved == []


def test_few_pictures_that_lie_elsewhere_are_wrong_where_sound_goes_on() -> None:
    times = steady(200)
    times[100:103] = steady(3, 20 * PICTURE)
    packets, sound = both(
        [(time, 100 * number) for number, time in enumerate(times)],
        [(time, 100 * time // PICTURE + 1) for time in steady(400, 0, SOUND)],
    )
    clock = film_clock(packets, {1: sound}, MKV)
    assert clock.clock.runs == []
    assert clock.clock.disbelieved == [10_000, 10_100, 10_200]


def test_sound_that_begins_behind_the_last_picture_goes_with_it() -> None:
    sound = found(steady(100, 130 * PICTURE, SOUND), SOUND, [25_000 + number for number in range(100)])
    clock = film_clock(film(steady(125) + steady(125)), {1: sound}, "flv")
    assert [run.shift for run in clock.sounds[1].runs] == [125 * PICTURE]


def test_sound_that_goes_on_where_the_clock_of_the_picture_alone_is_set_back_stays() -> None:
    second = VIDEO_TIMESCALE
    pictures = [(time, time) for time in steady(50)] + [(time, 2 * second + time) for time in steady(100)]
    packets, sound = both(pictures, [(time, time + 1) for time in steady(280, 0, SOUND)])
    clock = film_clock(packets, {1: sound}, TS)
    assert shown(clock) == steady(150)
    assert clock.sounds[1].runs == []


def test_sound_of_two_parts_is_not_heard_at_once() -> None:
    """The first part's sound is a second longer than its picture: the second part waits."""
    pictures = steady(125) + steady(125)
    sound = found(
        steady(281, 0, SOUND) + steady(234, 0, SOUND),
        SOUND,
        [n * 44 for n in range(281)] + [12_500 + n * 53 for n in range(234)],
    )
    clock = film_clock(film(pictures), {1: sound}, TS)
    assert clock.clock.runs[1].shift == 281 * SOUND


def test_a_clock_of_its_own_begins_with_the_picture() -> None:
    sound = found(steady(468, HOUR, SOUND), SOUND, [int(n * 53.4) for n in range(468)])
    clock = film_clock(film(steady(250)), {1: sound}, "flv")
    assert clock.sounds[1].runs[0].shift == -HOUR


# ── whatever comes ──────────────────────────────────────────────────────────────────────────────────────────────────
@given(st.lists(st.tuples(st.integers(0, 2**33), st.integers(8, 60)), min_size=1, max_size=12))
def test_whatever_clocks_parts_have_their_pictures_come_one_behind_the_other(parts: list[tuple[int, int]]) -> None:
    times = [time for start, count in parts for time in steady(count, start)]
    ordered = [time for time in shown(film_clock(film(times), {}, TS)) if time != NO_TIME]
    assert all(later - earlier > -BACKWARD for earlier, later in pairwise(ordered))
    assert len(ordered) >= len(times) - len(parts)


@given(st.lists(st.integers(-(2**40), 2**40), max_size=60))
def test_no_times_are_too_strange(times: list[int]) -> None:
    packets = film(times)
    clock = film_clock(packets, {1: packets.finder}, TS)
    assert len(clock.times) == len(times)


def test_runs_are_placed_in_one_pass_whatever_their_number() -> None:
    runs = [Run(n, n * 100, n * 100 + 90, 0, VIDEO_TIMESCALE) for n in range(150)]
    aligned = align(runs, [runs], is_explicit=False)
    assert aligned is not None
    assert [each.shift for each in aligned.leading] == steady(150, 0, VIDEO_TIMESCALE)
