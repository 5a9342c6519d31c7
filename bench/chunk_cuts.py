"""Pictures decoded in vain, because a chunk begins between two key frames of its source: decoded by all chunks of a film
÷ those it has, with cuts that look for key frames and with cuts that do not."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

from bench import clips, report
from streamforge.contracts.media.plan import Plan
from streamforge.contracts.media.source import Source
from streamforge.local import planned
from streamforge.media.decoding import frames
from streamforge.media.decoding.frames import FrameWindow
from streamforge.planning.plan import make_plan
from streamforge.settings import Settings

FILMS = {
    "key frames every 2 s": (25, 50),
    "x264's default, 250 frames, at 30 fps": (30, 250),
    "… at 25 fps, every 10 s": (25, 250),
    "… at 24 fps": (24, 250),
}


def main() -> None:
    report.machine()
    for name, (rate, key_frame_every) in FILMS.items():
        film = clips.key_frames_every(key_frame_every, rate)
        source, plan = asyncio.run(planned(film, Settings()))
        indifferent = make_plan(source.without_key_frames(), Settings())
        report.note(f"5 min, {name}: {len(indifferent.chunks)} chunks without looking, {len(plan.chunks)} with")
        report.number(
            "decoded ÷ there, without looking", _decoded(film, source, indifferent) / source.video.frame_count
        )
        report.number("decoded ÷ there, with", _decoded(film, source, plan) / source.video.frame_count)


def _decoded(film: Path, source: Source, plan: Plan) -> int:
    """By the reader that the pipeline uses, counted where pictures come out of the decoder."""
    count = 0
    really_decoded = frames.decoded

    def counted(*arguments: Any) -> Iterator[Any]:
        nonlocal count
        for picture in really_decoded(*arguments):
            count += 1
            yield picture

    with patch.object(frames, "decoded", counted):
        for chunk in plan.chunks:
            with FrameWindow(film, source, chunk, plan.max_frame_rate) as window:
                for _ in window:
                    pass
    return count
