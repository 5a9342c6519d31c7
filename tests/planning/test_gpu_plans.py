"""What of a job a GPU may be used for."""

from typing import Any

import pytest
from sources import source, video

from streamforge.contracts.media.plan import Plan
from streamforge.planning.gpu import with_gpu
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings

NVENC = {"h264_nvenc"}


def plan_of(**sections: Any) -> Plan:
    return make_plan(source(video(duration=600)), Settings.model_validate(sections))


def test_without_a_working_gpu_the_plan_stays_as_it_is() -> None:
    assert with_gpu(plan_of(), set()) == plan_of()


def test_a_gpu_may_encode_h264_and_what_else_there_is_stays_with_the_cpu() -> None:
    plan = plan_of(transcode={"codecs": ["h264", "hevc", "av1"]})
    found = {(r.codec, r.gpu_encoder, r.encoder) for r in with_gpu(plan, NVENC).renditions}
    assert found == {("h264", "h264_nvenc", "libx264"), ("hevc", None, "libx265"), ("av1", None, "libsvtav1")}


@pytest.mark.parametrize(
    "sections",
    [{"protection": {"scheme": "cbcs"}}, {"per_title": {"enabled": True}}, {"downloads": {"enabled": True}}],
    ids=["cbcs", "per-title", "downloads"],
)
def test_what_needs_streams_of_the_cpu_gets_them(sections: dict[str, Any]) -> None:
    plan = plan_of(**sections)
    assert with_gpu(plan, NVENC) == plan


def test_aes_128_hides_any_stream() -> None:
    plan = with_gpu(plan_of(protection={"scheme": "aes-128"}), NVENC)
    assert all(rendition.gpu_encoder == "h264_nvenc" for rendition in plan.renditions)
