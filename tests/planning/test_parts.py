"""How chunks are shared out, and how often viewers are shown more."""

from hypothesis import given
from hypothesis import strategies as st
from sources import track

from streamforge.contracts.media.plan import Chunk, VideoRendition
from streamforge.packaging.presentation import playable_so_far
from streamforge.planning.chunk_parts import parts_of, publishing_steps, weight_of


def rendition(height: int, codec: str = "h264") -> VideoRendition:
    return VideoRendition(
        name=f"{height}p-{codec}",
        width=height * 16 // 9,
        height=height,
        codec=codec,
        encoder="libx264",
        options={},
        max_bitrate=1,
    )


LADDER = [rendition(1080), rendition(720), rendition(360)]


def chunk(index: int) -> Chunk:
    return Chunk(index=index, start=index * 4.0, end=None, expected_frames=100)


def test_the_smallest_rendition_of_the_first_chunk_goes_ahead_alone() -> None:
    assert parts_of(chunk(0), LADDER) == [LADDER[2:], LADDER[:2]]


def test_with_several_codecs_the_smallest_of_each_goes_ahead() -> None:
    both = [*LADDER, rendition(720, "av1"), rendition(360, "av1")]
    assert parts_of(chunk(0), both) == [[both[2], both[4]], [both[0], both[1], both[3]]]


def test_every_other_chunk_is_decoded_once() -> None:
    assert parts_of(chunk(1), LADDER) == [LADDER]
    assert parts_of(chunk(0), LADDER[:1]) == [LADDER[:1]]


def test_the_parts_of_a_chunk_are_all_its_work() -> None:
    small, large = parts_of(chunk(0), LADDER)
    assert weight_of(small, LADDER, chunks=9) + weight_of(large, LADDER, chunks=9) == 1
    assert weight_of(small, LADDER, chunks=9) < 0.1


def test_of_an_only_chunk_the_first_finished_rendition_is_half_of_it() -> None:
    """The wire contract: at least 30 % once the first rendition is done."""
    small, large = parts_of(chunk(0), LADDER)
    assert weight_of(small, LADDER, chunks=1) == weight_of(large, LADDER, chunks=1) == 0.5
    assert weight_of(LADDER[:1], LADDER[:1], chunks=1) == 1


@given(st.integers(0, 3000))
def test_manifests_are_written_after_each_of_the_first_parts_and_ever_more_seldom(parts: int) -> None:
    steps = list(publishing_steps(parts))
    assert steps[:8] == list(range(1, min(9, max(1, parts))))
    assert steps == sorted(set(steps))
    assert all(step < parts for step in steps)
    assert len(steps) < 80


SEGMENT = 360_000


def test_only_what_follows_without_a_gap_can_be_played() -> None:
    first, third = track("360p", [SEGMENT], [1]), track("360p", [SEGMENT], [1], start=2 * SEGMENT)
    (playable,) = playable_so_far([[first], [third]])
    assert [segment.start_ticks for segment in playable.segments] == [0]


def test_a_rendition_that_is_behind_is_not_offered_yet() -> None:
    small = track("360p", [SEGMENT, SEGMENT], [1, 1])
    large = track("1080p", [SEGMENT], [1])
    assert [found.name for found in playable_so_far([[small], [large]])] == ["360p"]
    whole = track("1080p", [SEGMENT, SEGMENT], [1, 1])
    assert {found.name for found in playable_so_far([[small], [whole]])} == {"360p", "1080p"}


def test_nothing_is_playable_before_the_first_segment() -> None:
    assert playable_so_far([]) == []
    assert playable_so_far([[track("360p", [SEGMENT], [1], start=SEGMENT)]]) == []
