"""What FFmpeg has read of a file's streams and PyAV does not hand on: programs, and the names of codecs that it lacks.

PyAV has no access to an AVProgram, nor to the parameters of a stream without a decoder. Both are in FFmpeg's own
description of an input (av_dump_format), which is one line for each stream below the program that it is in.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

from av import logging
from av.container import InputContainer

_PROGRAM = re.compile(r"  Program (\d+)\b")
_STREAM = re.compile(r"  Stream #0:(\d+)[^:]*: \w+: ([\w.-]+)")
_FOURCC = re.compile(r" / 0x([0-9A-F]{8})\)")
_OTHERS = "  No Program"
"""Lines of a stranger's metadata are indented deeper, also those that are wrapped."""


@dataclass(frozen=True)
class Described:
    """`codec` as FFmpeg names it, else the four characters that the container has for it, else `unknown`. `fourcc` are
    those four wherever it has any that can be read; PyAV's own word on them is an error where they are no ASCII."""

    codec: str
    fourcc: str | None
    programs: frozenset[int]


def described(container: InputContainer) -> dict[int, Described]:
    """By the index of the stream. One that the description does not have in a form that is known is missing."""
    found: dict[int, Described] = {}
    for program, line in _stream_lines(_description(container)):
        if (about := _STREAM.match(line)) is not None:
            index, codec, fourcc = int(about[1]), about[2], _fourcc(line)
            before = found[index].programs if index in found else frozenset()
            named = (fourcc or "unknown") if codec == "none" else codec
            found[index] = Described(named, fourcc, before | ({program} if program is not None else set()))
    return found


def _description(container: InputContainer) -> str:
    """FFmpeg says it to its log, piece by piece. PyAV hears nothing below the level that is set, and drops a piece that is
    like the one before it unless it is told not to."""
    level, skips = logging.get_level(), logging.get_skip_repeated()
    logging.set_level(logging.INFO)
    logging.set_skip_repeated(False)
    try:
        return str(container.dumps_format())  # type: ignore[attr-defined]  # PyAV's stubs lack it.
    finally:
        logging.set_skip_repeated(skips)
        logging.set_level(level)


def _stream_lines(description: str) -> Iterator[tuple[int | None, str]]:
    """Each with the program it stands below, if any."""
    program = None
    for line in description.split("\n"):
        if line.startswith(_OTHERS):
            program = None
        elif found := _PROGRAM.match(line):
            program = int(found[1])
        else:
            yield program, line


def _fourcc(line: str) -> str | None:
    """In hexadecimal where it is not text: MPEG-TS and AVI have numbers there."""
    if (tag := _FOURCC.search(line)) is None:
        return None
    letters = bytes.fromhex(tag[1])[::-1].decode("latin-1")
    return letters.strip() if letters.isascii() and letters.isprintable() else f"0x{tag[1]}"
