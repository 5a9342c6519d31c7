"""Where the timeline is cut."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources import transcode, video

from streamforge.contracts.media.plan import Chunk
from streamforge.contracts.media.source import VIDEO_TIMESCALE
from streamforge.planning.chunks import cut_into_chunks
from streamforge.settings import TranscodeSettings

durations = st.floats(0, 1800)
rates = st.sampled_from([1, 12.5, 23.976, 24, 25, 29.97, 30, 50, 59.94, 60, 240])
gops = st.sampled_from([0.5, 1, 1.001, 2, 2.002, 0.96, 1.00001])  # The last is no whole number of ticks.
layouts = st.builds(
    lambda gop, per_segment, longest: transcode(
        gop_seconds=gop, segment_seconds=gop * per_segment, max_chunk_seconds=longest
    ),
    gops,
    st.integers(1, 5),
    st.floats(1, 120),
)
key_frames = st.lists(st.integers(0, 1800 * VIDEO_TIMESCALE), max_size=200, unique=True).map(sorted)


def lengths(chunks: list[Chunk], duration: float) -> list[float]:
    return [(duration if chunk.end is None else chunk.end) - chunk.start for chunk in chunks]


def starts(duration: float, **settings: object) -> list[float]:
    return [chunk.start for chunk in cut_into_chunks(video(duration=duration), transcode(**settings))]


def test_chunks_double_from_one_segment_to_the_longest() -> None:
    assert starts(600)[:7] == [0, 4, 12, 28, 60, 92, 124]


def test_towards_the_end_no_chunk_is_longer_than_what_is_left_behind_it() -> None:
    """A long last chunk would be done by one worker alone."""
    assert starts(120) == [0, 4, 12, 28, 60, 88, 104, 112]
    assert starts(60) == [0, 4, 12, 28, 44, 52]


def test_the_longest_is_not_passed_when_it_is_no_power_of_two_of_segments() -> None:
    assert starts(200, max_chunk_seconds=20)[:8] == [0, 4, 12, 28, 44, 60, 76, 92]


def test_a_chunk_holds_at_least_one_segment_however_short_the_longest_may_be() -> None:
    assert starts(16, max_chunk_seconds=1) == [0, 4, 8, 12]


@pytest.mark.parametrize(
    ("duration", "expected"), [(5.9, [0]), (6.0, [0]), (6.1, [0, 4]), (13.9, [0, 4]), (14.1, [0, 4, 12])]
)
def test_less_than_half_a_segment_at_the_end_is_left_to_the_chunk_before(
    duration: float, expected: list[float]
) -> None:
    assert starts(duration) == expected


@pytest.mark.parametrize("duration", [0.0, 0.001, 1 / 24, 1.0, 4.0])
def test_a_short_video_is_one_chunk_with_all_frames(duration: float) -> None:
    source = video(duration=duration, frame_count=max(1, round(duration * 24)))
    assert cut_into_chunks(source, transcode()) == [
        Chunk(index=0, start=0, end=None, expected_frames=source.frame_count)
    ]


def test_a_source_without_time_stamps_is_one_chunk() -> None:
    source = video(duration=3600, seekable=False)
    assert cut_into_chunks(source, transcode()) == [
        Chunk(index=0, start=0, end=None, expected_frames=source.frame_count)
    ]


def test_a_film_of_twelve_hours_is_cut_to_its_end() -> None:
    found = starts(12 * 3600)
    assert found[:4] == [0, 4, 12, 28]
    assert all(later - earlier == 32 for earlier, later in pairwise(found[4:-4]))
    assert 12 * 3600 - found[-1] <= 10


@given(duration=durations, settings=layouts)
def test_chunks_cover_the_timeline_without_gap_or_overlap(duration: float, settings) -> None:
    chunks = cut_into_chunks(video(duration=duration), settings)
    assert [chunk.index for chunk in chunks] == list(range(len(chunks)))
    assert chunks[0].start == 0
    assert chunks[-1].end is None
    for chunk, following in pairwise(chunks):
        assert chunk.end == following.start
        assert chunk.start < following.start


@given(duration=durations, settings=layouts)
def test_every_chunk_begins_where_a_segment_begins(duration: float, settings) -> None:
    """On the very tick: the encoder counts segments in ticks, and rounds where it cuts."""
    segment_ticks = round(settings.segment_seconds * VIDEO_TIMESCALE)
    for chunk in cut_into_chunks(video(duration=duration), settings):
        assert round(chunk.start * VIDEO_TIMESCALE) % segment_ticks == 0


@given(duration=durations, settings=layouts)
def test_the_first_chunk_is_one_segment_and_then_they_grow_before_they_shrink(duration: float, settings) -> None:
    *whole, _ = lengths(cut_into_chunks(video(duration=duration), settings), duration)
    if whole:
        assert whole[0] == pytest.approx(settings.segment_seconds, abs=1e-4)
    longest = max(whole, default=0)
    growing = [length for length in whole if length == longest][:1] and whole[: whole.index(longest)]
    assert all(following >= length - 1e-4 for length, following in pairwise(growing))
    shrinking = whole[len(growing) :]
    assert all(following <= length + 1e-4 for length, following in pairwise(shrinking))


@given(duration=durations, settings=layouts)
def test_no_chunk_is_longer_than_allowed_but_for_the_end_it_swallows(duration: float, settings) -> None:
    *whole, last = lengths(cut_into_chunks(video(duration=duration), settings), duration)
    longest = max(settings.max_chunk_seconds, settings.segment_seconds)
    assert all(length <= longest + 1e-4 for length in whole)
    assert last <= longest + settings.segment_seconds / 2 + 1e-4
    if whole:
        assert last > settings.segment_seconds / 2 - 1e-4


@given(duration=st.floats(0.05, 1800), rate=rates, settings=layouts)
def test_the_frames_of_all_chunks_are_about_those_of_the_source(duration: float, rate: float, settings) -> None:
    source = video(duration=duration, rate=rate)
    chunks = cut_into_chunks(source, settings)
    assert all(chunk.expected_frames >= 1 for chunk in chunks)
    assert abs(sum(chunk.expected_frames for chunk in chunks) - source.frame_count) <= len(chunks)


# ── key frames of the source ────────────────────────────────────────────────────────────────────────────────────────
def key_frames_every(interval: float, duration: float) -> list[int]:
    return [round(n * interval * VIDEO_TIMESCALE) for n in range(int(duration / interval) + 1)]


def decoded_in_vain(start: float, key_frame_ticks: list[int]) -> float:
    return min((start - key / VIDEO_TIMESCALE for key in key_frame_ticks if key <= start * VIDEO_TIMESCALE), default=0)


def segment_in_whole_ticks(settings: TranscodeSettings) -> float:
    return round(settings.segment_seconds * VIDEO_TIMESCALE) / VIDEO_TIMESCALE


def starts_with(key_frame_ticks: list[int], duration: float, settings: TranscodeSettings) -> list[float]:
    source = video(duration=duration, key_frame_ticks=key_frame_ticks)
    return [chunk.start for chunk in cut_into_chunks(source, settings)]


@pytest.mark.parametrize(
    ("interval", "expected"),
    [
        pytest.param(2, [0, 4, 12, 28, 60, 92], id="on every boundary, so none is better than another"),
        pytest.param(10, [0, 4, 12, 24, 52, 80, 112], id="on every fifth, or shortly before"),
        pytest.param(1000, [0, 4, 12, 28, 60, 92], id="nowhere, so fewer cuts are best"),
    ],
)
def test_cuts_are_where_the_source_has_key_frames(interval: float, expected: list[float]) -> None:
    found = starts_with(key_frames_every(interval, 600), 600, transcode())
    assert found[: len(expected)] == expected


def test_a_key_frame_that_comes_one_tick_after_a_cut_does_not_help_it() -> None:
    second = VIDEO_TIMESCALE
    assert starts_with([0, 24 * second, 28 * second], 80, transcode())[:4] == [0, 4, 12, 28]
    assert starts_with([0, 24 * second, 28 * second + 1], 80, transcode())[:4] == [0, 4, 12, 24]


@given(duration=durations, settings=layouts, keys=key_frames)
def test_wherever_key_frames_are_chunks_cover_the_timeline_in_whole_segments(duration: float, settings, keys) -> None:
    chunks = cut_into_chunks(video(duration=duration, key_frame_ticks=keys), settings)
    segment_ticks = round(settings.segment_seconds * VIDEO_TIMESCALE)
    assert (chunks[0].start, chunks[-1].end) == (0, None)
    for chunk, following in pairwise(chunks):
        assert chunk.end == following.start
        assert round(following.start * VIDEO_TIMESCALE) % segment_ticks == 0


def longest_allowed(chunks_before: list[float], duration: float, settings: TranscodeSettings) -> float:
    """How long the chunk may be that begins at the last of these: doubled each time, and no longer than what is left."""
    segment = segment_in_whole_ticks(settings)
    doubled = segment
    for _ in chunks_before[1:]:
        doubled = doubled * 2 if doubled * 2 <= settings.max_chunk_seconds + 1e-9 else doubled
    half = int((duration - chunks_before[-1]) / 2 / segment + 1e-9) * segment
    return min(doubled, max(2 * segment, half))


@given(duration=durations, settings=layouts, keys=key_frames)
def test_chunks_keep_three_quarters_of_the_length_they_would_have_without_key_frames(
    duration: float, settings, keys
) -> None:
    found = starts_with(keys, duration, settings)
    for number, (start, following) in enumerate(pairwise(found), start=1):
        wanted = longest_allowed(found[:number], duration, settings)
        assert wanted * 3 / 4 - 1e-3 <= following - start <= wanted + 1e-3
    assert duration - found[-1] <= settings.segment_seconds * 2.5 + 1e-3


@given(duration=durations, settings=layouts, keys=key_frames)
def test_no_later_cut_would_have_had_less_to_decode_in_vain(duration: float, settings, keys) -> None:
    """Each chunk could have been as long as the one that a film without key frames has in its place."""
    found = starts_with(keys, duration, settings)
    segment = segment_in_whole_ticks(settings)
    for number, (start, cut) in enumerate(pairwise(found), start=1):
        later = cut + segment
        while later <= start + longest_allowed(found[:number], duration, settings) + 1e-4:
            assert decoded_in_vain(later, keys) >= decoded_in_vain(cut, keys) - 1e-4
            later += segment
