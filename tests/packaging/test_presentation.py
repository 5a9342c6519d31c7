"""What HLS and DASH manifests are written from: bit rates, lengths, frame rates, files."""

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources import audio, source, stream, track, tracks, video

from streamforge.contracts.media.encoded import EncodedTrack, KeyFrame, Segment
from streamforge.contracts.media.source import VIDEO_TIMESCALE
from streamforge.packaging.presentation import (
    average_bitrate,
    joined,
    media_files,
    peak_bitrate,
    presentation,
    seconds,
)
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings

SECOND = VIDEO_TIMESCALE


# ── bit rates ───────────────────────────────────────────────────────────────────────────────────────────────────────
def test_the_average_is_all_bits_over_all_time() -> None:
    found = track("720p", [4 * SECOND, 4 * SECOND, SECOND], [1_000_000, 500_000, 10_000])
    assert seconds(found) == 9
    assert average_bitrate(found) == round(8 * 1_510_000 / 9)


def test_the_average_of_nothing_is_nothing() -> None:
    assert average_bitrate(track("720p", [], [])) == 0


def test_the_peak_is_that_of_the_heaviest_segment() -> None:
    found = track("720p", [4 * SECOND] * 3, [1_000_000, 3_000_000, 500_000])
    assert peak_bitrate(found, 4) == 6_000_000


def test_a_last_segment_of_one_frame_does_not_make_the_peak_absurd() -> None:
    found = track("720p", [4 * SECOND, 3750], [1_000_000, 90_000])
    assert peak_bitrate(found, 4) == round(8 * 1_090_000 / (4 + 3750 / SECOND))


def test_short_segments_count_together() -> None:
    found = track("720p", [SECOND] * 6, [100, 900_000, 900_000, 100, 100, 100])
    assert peak_bitrate(found, 4) == round(8 * 1_800_000 / 2)


def test_the_peak_of_a_track_shorter_than_half_a_segment_is_its_average() -> None:
    found = track("720p", [SECOND], [100_000])
    assert peak_bitrate(found, 4) == average_bitrate(found) == 800_000


def test_segments_longer_than_planned_count_one_by_one() -> None:
    found = track("720p", [8 * SECOND, 8 * SECOND], [1_000_000, 3_000_000])
    assert peak_bitrate(found, 4) == 3_000_000


def by_definition(found: EncodedTrack, target: float) -> int:
    """RFC 8216 §4.1: the largest rate of any contiguous set of segments of 0.5 to 1.5 target durations. No segment is
    longer than the target duration (§4.3.3.1)."""
    target = max(target, *(segment.duration_ticks / found.timescale for segment in found.segments))
    rates = [average_bitrate(found)]
    count = len(found.segments)
    for first in range(count):
        for behind in range(first + 1, count + 1):
            run = found.segments[first:behind]
            duration = sum(segment.duration_ticks for segment in run) / found.timescale
            if 0.5 * target <= duration <= 1.5 * target:
                rates.append(round(8 * sum(segment.size_bytes for segment in run) / duration))
    return max(rates)


@given(found=tracks, target=st.floats(0.5, 20))
def test_the_peak_is_what_the_rfc_defines(found: EncodedTrack, target: float) -> None:
    assert peak_bitrate(found, target) == by_definition(found, target)
    assert peak_bitrate(found, target) >= average_bitrate(found)


@dataclass
class Counted(Sequence[Segment]):
    """Segments that count how often one of them is looked at."""

    segments: list[Segment]
    looks: int = 0

    def __len__(self) -> int:
        return len(self.segments)

    def __getitem__(self, place: Any) -> Any:
        found = self.segments[place]
        self.looks += len(found) if isinstance(found, list) else 1
        return found


@dataclass
class Film:
    segments: Counted
    timescale: int = SECOND


def looks_at(count: int) -> int:
    film = Film(Counted(track("720p", [4 * SECOND] * count, [1000] * count).segments))
    peak_bitrate(film, 4)
    return film.segments.looks


def test_the_peak_of_a_long_film_costs_no_more_than_in_proportion() -> None:
    """Half a minute of a worker's time went into that of twelve hours, and no heartbeat meanwhile."""
    assert looks_at(2000) <= 2.2 * looks_at(1000)


# ── frame rates ─────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("measured", "exact"),
    [
        (23.976, "24000/1001"),
        (24000 / 1001, "24000/1001"),
        (29.97, "30000/1001"),
        (29.9698, "30000/1001"),
        (59.94, "60000/1001"),
        (14.985, "15000/1001"),
        (24, "24"),
        (25, "25"),
        (30, "30"),
        (50, "50"),
        (60, "60"),
        (12.5, "25/2"),
        (15, "15"),
        (10, "10"),
        (3, "3"),
        (2, "2"),
        (1, "1"),
        (0.5, "1/2"),
        (0.2, "1/5"),
        (0.001, "1/1000"),
    ],
)
def test_a_frame_rate_is_the_exact_fraction_that_was_meant(measured: float, exact: str) -> None:
    assert stream(picture=video(rate=measured, frame_count=10)).frame_rate == Fraction(exact)


def test_a_frame_rate_above_the_largest_is_told_as_that() -> None:
    assert stream(picture=video(rate=240)).frame_rate == 60


@given(rate=st.floats(0.001, 60))
def test_a_frame_rate_is_never_zero_and_close_to_what_was_measured(rate: float) -> None:
    found = stream(picture=video(rate=rate, frame_count=10)).frame_rate
    assert found > 0
    assert float(found) == pytest.approx(rate, rel=0.06 if rate < 1 else 0.006)


# ── tracks ──────────────────────────────────────────────────────────────────────────────────────────────────────────
def test_chunks_of_a_rendition_join_to_one_track() -> None:
    first = [track("720p", [360_000], [100]), track("360p", [360_000], [50])]
    second = [track("720p", [360_000, 90_000], [200, 30], start=360_000), track("360p", [450_000], [60], start=360_000)]
    whole = joined([first, second])
    assert [(t.name, t.frames, [s.start_ticks for s in t.segments]) for t in whole] == [
        ("720p", 3, [0, 360_000, 720_000]),
        ("360p", 2, [0, 360_000]),
    ]
    assert [len(t.segments) for t in first] == [1, 1], "joining must not change what it joins"


def test_where_chunks_of_a_damaged_source_overlap_the_later_one_has_the_say() -> None:
    first = [track("720p", [360_000, 500_000], [100, 90])]
    second = [track("720p", [360_000], [200], start=540_000)]
    (whole,) = joined([first, second])
    assert [(s.start_ticks, s.duration_ticks) for s in whole.segments] == [
        (0, 360_000),
        (360_000, 180_000),
        (540_000, 360_000),
    ]


def test_key_frames_behind_the_new_end_of_an_overlapping_chunk_go_with_its_pictures() -> None:
    first, second = track("720p", [500_000], [90]), track("720p", [360_000], [200], start=300_000)
    keys = [KeyFrame(ticks=ticks, offset=ticks, size_bytes=10) for ticks in (0, 180_000, 360_000)]
    first.segments[0].key_frames = keys
    (whole,) = joined([[first], [second]])
    assert [key.ticks for key in whole.segments[0].key_frames] == [0, 180_000]


def test_a_missing_chunk_leaves_a_gap() -> None:
    (whole,) = joined([[track("720p", [360_000], [100])], [track("720p", [360_000], [200], start=720_000)]])
    assert [(s.start_ticks, s.duration_ticks) for s in whole.segments] == [(0, 360_000), (720_000, 360_000)]


def test_every_file_is_listed_with_its_size() -> None:
    found = stream(audio(), picture=video(320, 180))
    files = media_files(found)
    assert {name: file.size_bytes for name, file in files.items()} == {
        "180p/init.mp4": 800,
        "180p/0.m4s": found.video[0].encoded.segments[0].size_bytes,
        "180p/360000.m4s": found.video[0].encoded.segments[1].size_bytes,
        "180p/720000.m4s": found.video[0].encoded.segments[2].size_bytes,
        "audio-0/init.mp4": 800,
        "audio-0/0.m4s": 64_000,
        "audio-0/192512.m4s": 63_000,
    }


def test_an_audio_track_of_which_nothing_could_be_decoded_is_left_out() -> None:
    found = source(video(320, 180), audio(1), audio(2))
    plan = make_plan(found, Settings())
    picture = track("180p", [360_000], [1000])
    empty, sound = track("audio-0", [], []), track("audio-1", [192_000], [64_000], timescale=48_000)
    assert [t.rendition.name for t in presentation(found, plan, [picture], [empty, sound]).audio] == ["audio-1"]
    assert presentation(found, plan, [picture], []).audio == []


def test_when_the_default_audio_cannot_be_decoded_another_is_the_default() -> None:
    found = source(video(320, 180), audio(1), audio(2, channels=6), audio(3))
    plan = make_plan(found, Settings())
    picture = track("180p", [360_000], [1000])
    there = [track(r.name, [192_000], [64_000], timescale=48_000) for r in plan.audio if r.track > 0]
    left = presentation(found, plan, [picture], there).audio
    assert [(t.rendition.name, t.rendition.default) for t in left] == [
        ("audio-1", True),
        ("audio-2", False),
        ("audio-1-surround", True),
    ]
