"""A picture that stays on the screen for long is encoded again every second.

Measured: Chromium shows nothing, and stops the sound, until it has decoded four pictures or the end of the stream, and
players fetch no more than ten to thirty seconds ahead. With one picture every six seconds, or one under an hour of sound,
they wait for each other for ever. Repeated, each costs a few bytes; and segments are as long as planned, like the sound's.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise

from streamforge.codecs.base import LONGEST_STILL_SECONDS
from streamforge.contracts.media.source import VIDEO_TIMESCALE
from streamforge.media.decoding.frames import SourceFrame

STEP = LONGEST_STILL_SECONDS * VIDEO_TIMESCALE


def with_stills(frames: Iterable[SourceFrame]) -> Iterator[SourceFrame]:
    for frame in frames:
        if frame.duration > STEP:
            yield from _again_and_again(frame)
        else:
            yield frame


def _again_and_again(frame: SourceFrame) -> Iterator[SourceFrame]:
    """On whole seconds, where key frames and segments may begin. One tick of slack, as where GOPs do."""
    end = frame.ticks + frame.duration
    seconds = range(((frame.ticks + 1) // STEP + 1) * STEP, end - 1, STEP)
    for begin, following in pairwise([frame.ticks, *seconds, end]):
        yield replace(frame, ticks=begin, duration=following - begin)
