"""Can this be the beginning of a video? Said no to only where no more bytes could make it one."""

from pathlib import Path

from streamforge.contracts.tasks import IDENTIFY, IdentifyTask, Nothing
from streamforge.errors import NotAVideo, SourceError
from streamforge.media.container.opening import open_source
from streamforge.media.process.performing import Tell, performs

QUICKTIME = {b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot", b"ftyp", b"styp"}
"""Kinds of boxes that a film may begin with; without its index, which may come last, FFmpeg makes nothing of most of them."""


@performs(IDENTIFY)
def run(task: IdentifyTask, on_progress: Tell[Nothing]) -> Nothing:
    """Raises NotAVideo. What is damaged, or lacks its end, is for the probe of the whole to judge."""
    if not _begins_as_quicktime(task.path):
        try:
            with open_source(task.path):
                pass
        except NotAVideo:
            raise
        except SourceError:
            pass
    return Nothing()


def _begins_as_quicktime(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(8)[4:] in QUICKTIME
