"""The plan of a job."""

from hypothesis import given
from hypothesis import strategies as st
from sources import audio, source, video

from streamforge.contracts.media import VIDEO_TIMESCALE
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings


def test_the_same_source_and_settings_give_the_same_plan() -> None:
    assert make_plan(source(video(), audio()), Settings()) == make_plan(source(video(), audio()), Settings())


def test_the_plan_holds_what_the_parts_decide() -> None:
    plan = make_plan(source(video(duration=20)), Settings())
    assert [rendition.name for rendition in plan.renditions] == ["1080p", "720p", "480p", "360p"]
    assert [chunk.start for chunk in plan.chunks] == [0, 4, 12]
    assert list(plan.quality.floors) == ["1080p", "720p", "480p", "360p"]
    assert plan.audio == []
    assert plan.total_frames == 480
    assert (plan.segment_seconds, plan.gop_seconds, plan.max_frame_rate) == (4, 2, 60)


def test_a_plan_survives_the_wire() -> None:
    plan = make_plan(source(video(), audio(language="deu", title="Deutsch")), Settings())
    assert type(plan).model_validate_json(plan.model_dump_json()) == plan


@given(rate=st.floats(0.01, 300), gap=st.floats(0, 1e9))
def test_the_edit_offset_leaves_room_for_two_frames_and_ends_before_an_hour(rate: float, gap: float) -> None:
    plan = make_plan(source(video(rate=rate, reorder_gap=gap, frame_count=10)), Settings())
    room = plan.edit_offset_ticks / VIDEO_TIMESCALE
    assert room <= 3600
    assert room >= min(60, max(gap, 2 / min(rate, 60)))
