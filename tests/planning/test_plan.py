"""The plan of a job."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sources import audio, source, video

from streamforge.contracts.media.plan import EncodePlan, StreamPlan
from streamforge.contracts.media.source import VIDEO_TIMESCALE
from streamforge.contracts.pipeline import EncodeAudioInput, StoredSource
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


def test_what_is_sent_with_a_chunk_does_not_grow_with_the_film() -> None:
    """And has no count of frames that would be wrong of a part of the plan."""
    short, long = (make_plan(source(video(duration=hours * 3600), audio()), Settings()) for hours in (0.01, 12))
    parts = [plan.for_part(plan.renditions) for plan in (short, long)]
    sizes = [len(part.model_dump_json()) for part in parts]
    assert abs(sizes[1] - sizes[0]) < 8  # Digits of how often a still is kept.
    sent = parts[1].model_dump()
    assert {"subtitles", "per_title", "warnings"}.isdisjoint(sent)
    assert sent["audio"] == sent["chunks"] == [], "older workers ask for them"
    assert not hasattr(parts[1], "total_frames")


@pytest.mark.parametrize("kind", [EncodePlan, StreamPlan])
def test_a_plan_of_an_older_version_is_read_as_far_as_it_is_needed(kind: type[EncodePlan]) -> None:
    """They sent whole plans, only without their chunks."""
    plan = make_plan(source(video(), audio(), audio(index=2)), Settings())
    assert kind.model_validate_json(plan.model_copy(update={"chunks": []}).model_dump_json()) == kind.of(plan)


def test_sound_of_an_older_version_counts_the_tracks_of_its_plan() -> None:
    film = source(video(), audio(), audio(index=2))
    plan = make_plan(film, Settings())
    original = StoredSource(job_id=uuid4(), source_object="input/x", size_bytes=1, sha256="")
    sent = EncodeAudioInput(original=original, source=film, plan=plan, rendition=plan.audio[0], track_count=7)
    older = sent.model_dump(mode="json", exclude={"track_count"}) | {"plan": plan.model_dump(mode="json")}
    assert EncodeAudioInput.model_validate(older).track_count == len(plan.audio) == 2
    assert EncodeAudioInput.model_validate_json(sent.model_dump_json()) == sent.model_copy(
        update={"plan": EncodePlan.of(plan)}
    )


@given(rate=st.floats(8, 300), gap=st.floats(0, 1e9))
def test_the_edit_offset_leaves_room_for_two_frames_and_ends_with_those_that_are_reordered(
    rate: float, gap: float
) -> None:
    plan = make_plan(source(video(rate=rate, reorder_gap=gap, frame_count=10)), Settings())
    room = plan.edit_offset_ticks / VIDEO_TIMESCALE
    assert min(0.25, max(gap, 2 / min(rate, 60))) <= room <= 0.25 + 1 / VIDEO_TIMESCALE


@given(rate=st.floats(0.01, 7.9), gap=st.floats(0, 1e9))
def test_where_pictures_are_sparse_nothing_is_reordered_and_no_edit_list_needed(rate: float, gap: float) -> None:
    settings = Settings.model_validate({"transcode": {"codecs": ["h264", "hevc", "av1"]}})
    plan = make_plan(source(video(rate=rate, reorder_gap=gap, frame_count=10)), settings)
    assert plan.edit_offset_ticks == 0
    for rendition in plan.renditions:
        private = next(value for name, value in rendition.options.items() if name.endswith("-params"))
        assert private.endswith(":bframes=0") == (rendition.codec != "av1")
