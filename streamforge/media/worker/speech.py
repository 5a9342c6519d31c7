"""The worker's side of speech models: a name becomes a folder before a media child is asked to listen with it."""

import asyncio
import sys
from contextlib import suppress
from pathlib import Path

from streamforge.contracts.media.plan import Transcription
from streamforge.errors import CaptionsUnavailable

PROGRAM = "streamforge.media.text.speech_model"


async def with_model_here(wanted: Transcription) -> Transcription:
    """The same with the folder in which its model lies. Nothing is fetched unless the settings allow it.

    Raises CaptionsUnavailable.
    """
    if Path(wanted.model).is_dir():
        return wanted
    options = ["--download"] if wanted.allow_download else []
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", PROGRAM, wanted.model, *options),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        folder, errors = await process.communicate()
    finally:
        with suppress(ProcessLookupError):
            process.kill()
    if process.returncode != 0:
        raise not_here(wanted.model, errors.decode(errors="replace").strip().rpartition("\n")[2])
    return wanted.model_copy(update={"model": folder.decode()})


def not_here(model: str, why: str) -> CaptionsUnavailable:
    """The name as it is set, which may be a path of the operator's machine, is for the log."""
    return CaptionsUnavailable(
        "The speech model of this server is not there; see captions.model and captions.allow_download.",
        debug=f"{model}: {why}",
    )
