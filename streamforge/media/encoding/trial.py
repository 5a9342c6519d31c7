"""Encode a few grey frames with a plan's exact options: whether an encoder works is only known by running it.

FFmpeg silently accepts unknown options, and a wrong preset only fails when the encoder opens; this finds both at start.
"""

import io
from fractions import Fraction

import av
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from streamforge.contracts.media.plan import VideoRendition
from streamforge.contracts.tasks import TRIAL, Nothing, TrialResult, TrialTask
from streamforge.errors import InvalidSettings
from streamforge.media.process.performing import Tell, performs

FRAMES = 3


@performs(TRIAL)
def run(task: TrialTask, _: Tell[Nothing]) -> TrialResult:
    """Raises InvalidSettings, naming encoder and preset."""
    rendition = task.rendition
    context = av.CodecContext.create(rendition.encoder, "w")
    unknown = set(rendition.options) - {option.name for option in context.supported_options.private}
    if unknown:
        raise InvalidSettings(f"The encoder {rendition.encoder} does not know {', '.join(sorted(unknown))}.")
    try:
        return TrialResult(size_bytes=_encode(rendition))
    except av.error.FFmpegError as error:
        raise InvalidSettings(
            f"The encoder {rendition.encoder} does not start with preset {rendition.options.get('preset')!r}; "
            "check transcode.presets and transcode.crf.",
            debug=str(error),
        ) from error


def _encode(rendition: VideoRendition) -> int:
    buffer = io.BytesIO()
    with av.open(buffer, "w", format="mp4") as container:
        stream = container.add_stream(rendition.encoder, rate=Fraction(25), options=dict(rendition.options))
        assert isinstance(stream, VideoStream)
        stream.width, stream.height, stream.pix_fmt = rendition.width, rendition.height, "yuv420p"
        for number in range(FRAMES):
            frame = VideoFrame(rendition.width, rendition.height, "yuv420p")
            for plane in frame.planes:
                plane.update(b"\x80" * plane.buffer_size)
            frame.pts = number
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return buffer.tell()
