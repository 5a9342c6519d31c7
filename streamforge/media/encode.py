"""Encode one chunk: decode its piece of the source once, feed every rendition, write CMAF segments.

Key frames stand on the same time stamps in all renditions, at the first frame of every GOP slot of the source's
timeline, so that a player can switch between them and chunks encoded apart join without a seam.
"""

import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from streamforge.contracts.media import VIDEO_TIMESCALE, Chunk, EncodedTracks, Plan, Source
from streamforge.errors import UndecodableSource
from streamforge.media.frames import FrameWindow
from streamforge.media.lanes import Lane
from streamforge.media.progress import Progress
from streamforge.media.rendition import Cuts, Picture, RenditionEncoder
from streamforge.media.scaling import Scaler, Size

REPORT_EVERY_SECONDS = 0.25


class EncodeTask(BaseModel):
    """`target` is an empty folder; each rendition gets a folder in it, with its init segment and its segments."""

    path: Path
    source: Source
    plan: Plan
    chunk: Chunk
    target: Path


def run(task: EncodeTask, on_progress: Progress) -> EncodedTracks:
    """Raises UndecodableSource when the window holds no picture, OutputInvalid when an encoder misbehaves."""
    plan = task.plan
    cuts = Cuts(round(plan.gop_seconds * VIDEO_TIMESCALE), round(plan.segment_seconds * VIDEO_TIMESCALE))
    frame_rate = min(task.source.video.frame_rate, plan.max_frame_rate)
    encoders = [RenditionEncoder(r, task.target / r.name, frame_rate) for r in plan.renditions]
    goes_on = _encode_window(task, cuts, encoders, on_progress)
    if cuts.frames == 0 and not goes_on:
        raise UndecodableSource(f"No picture can be decoded from {task.chunk.start:.1f} s on; the video is damaged.")
    return EncodedTracks(tracks=[encoder.write_segments(cuts, plan.edit_offset_ticks) for encoder in encoders])


def _encode_window(task: EncodeTask, cuts: Cuts, encoders: list[RenditionEncoder], on_progress: Progress) -> bool:
    """Whether the source goes on behind the window."""
    scaler = Scaler(task.source.video, [Size(r.width, r.height) for r in task.plan.renditions])
    began = reported = time.monotonic()
    with ExitStack() as stack:
        window = stack.enter_context(FrameWindow(task.path, task.source.video, task.chunk, task.plan.max_frame_rate))
        lanes = [stack.enter_context(Lane(encoder)) for encoder in encoders]
        for frame in window:
            is_key = cuts.starts_gop(frame.ticks, frame.duration)
            pictures = scaler.scale(frame.picture, frame.ticks + task.plan.edit_offset_ticks)
            for lane, picture in zip(lanes, pictures, strict=True):
                lane.put(Picture(picture, frame.ticks, frame.duration, is_key))
            now = time.monotonic()
            if now - reported >= REPORT_EVERY_SECONDS:
                reported = now
                on_progress(_progress(lanes, began))
        for lane in lanes:
            lane.finish()
    on_progress(_progress(lanes, began) | {"finished": True})
    return window.goes_on


def _progress(lanes: list[Lane], began: float) -> dict[str, Any]:
    """By the slowest rendition: what is queued is not encoded yet."""
    frames = min(lane.encoded for lane in lanes)
    return {"frames": frames, "fps": round(frames / max(1e-3, time.monotonic() - began), 1)}
