"""Ask the encoders of a plan what their streams will be called: manifests name renditions before they are encoded."""

from pydantic import BaseModel

from streamforge.contracts.media import Plan, Source
from streamforge.media.progress import Progress
from streamforge.media.rendition import codec_string_of


class CodecsTask(BaseModel):
    source: Source
    plan: Plan


class Codecs(BaseModel):
    """By the name of the rendition."""

    codec_strings: dict[str, str]


def run(task: CodecsTask, _: Progress) -> Codecs:
    return Codecs(codec_strings={r.name: codec_string_of(r, _frame_rate(task)) for r in task.plan.renditions})


def _frame_rate(task: CodecsTask) -> float:
    return min(task.source.pictures.frame_rate, task.plan.max_frame_rate)
