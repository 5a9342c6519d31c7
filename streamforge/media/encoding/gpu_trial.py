"""Whether a GPU encoder works here: some grey frames by the real way of a chunk."""

import tempfile
from fractions import Fraction
from pathlib import Path

from av.video.frame import VideoFrame

from streamforge.contracts.media.plan import VideoRendition
from streamforge.contracts.media.source import VIDEO_TIMESCALE
from streamforge.contracts.tasks import GPU_TRIAL, GpuTrial, GpuTrialTask, Nothing
from streamforge.errors import OutputInvalid
from streamforge.media.cmaf.encryption import encryption_for
from streamforge.media.cmaf.fragments import TrackFolder
from streamforge.media.encoding.rendition import GopStarts, GpuFailed, Picture, RenditionEncoder, failure_of
from streamforge.media.process.performing import Tell, performs
from streamforge.planning.trial import FRAME_RATE

FRAME_TICKS = round(VIDEO_TIMESCALE / FRAME_RATE)
FRAMES = 12
GOP_TICKS = FRAMES // 2 * FRAME_TICKS


@performs(GPU_TRIAL)
def run(task: GpuTrialTask, _: Tell[Nothing]) -> GpuTrial:
    """Two short GOPs by the real way of a chunk: opened with the real options, decoded again, and cut at their key frames."""
    assert task.rendition.gpu_encoder is not None
    with tempfile.TemporaryDirectory() as folder:
        try:
            _encode(task.rendition, Path(folder))
        except (GpuFailed, OutputInvalid) as error:
            return GpuTrial(encoder=task.rendition.gpu_encoder, failure=failure_of(error))
    return GpuTrial(encoder=task.rendition.gpu_encoder)


def _encode(rendition: VideoRendition, folder: Path) -> None:
    track = TrackFolder(folder / rendition.name, GOP_TICKS, encryption_for(None, None, rendition.name))
    encoder = RenditionEncoder(rendition, track, FRAME_RATE, lambda number, frame: None, on_gpu=True)
    cuts = GopStarts(GOP_TICKS)
    try:
        for ticks in range(0, FRAMES * FRAME_TICKS, FRAME_TICKS):
            is_key = cuts.starts_gop(ticks, FRAME_TICKS)
            encoder.encode(Picture(_grey(rendition, ticks + FRAME_TICKS), ticks, FRAME_TICKS, is_key))
        encoder.flush()
    finally:
        encoder.close()
    encoder.write_segments(cuts, FRAME_TICKS)


def _grey(rendition: VideoRendition, ticks: int) -> VideoFrame:
    frame = VideoFrame(rendition.width, rendition.height, rendition.pixel_format)
    for plane in frame.planes:
        plane.update(b"\x80" * plane.buffer_size)
    frame.pts, frame.time_base = ticks, Fraction(1, VIDEO_TIMESCALE)
    return frame
