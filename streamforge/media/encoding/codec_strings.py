"""Ask the encoders of a plan what their streams will be called: manifests name renditions before they are encoded."""

from streamforge.contracts.media.plan import VideoRendition
from streamforge.contracts.tasks import CODECS, Codecs, CodecsTask, Nothing
from streamforge.media.encoding.rendition import codec_string_of
from streamforge.media.process.performing import Tell, performs


@performs(CODECS)
def run(task: CodecsTask, _: Tell[Nothing]) -> Codecs:
    return Codecs(codec_strings={r.name: codec_string_of(r, _frame_rate(task)) for r in _encoded(task)})


def _encoded(task: CodecsTask) -> list[VideoRendition]:
    """Of a copy, the source itself has told it."""
    return [rendition for rendition in task.plan.renditions if not rendition.is_copy]


def _frame_rate(task: CodecsTask) -> float:
    return task.source.video_required.frame_rate_up_to(task.plan.max_frame_rate)
