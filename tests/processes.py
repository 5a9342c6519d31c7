"""Other processes as they are looked at here: each may end between two looks, and has then no command line."""

import psutil

from streamforge.embedded import leftovers

ZYGOTE = "streamforge.media.process.zygote"


def runs(process: psutil.Process, argument: str) -> bool:
    """Whether `argument` stands on its command line; never true of one that has just ended."""
    try:
        return argument in process.cmdline()
    except psutil.Error:
        return False


def zygotes() -> list[psutil.Process]:
    """Those of this process."""
    return [process for process in psutil.Process().children() if runs(process, ZYGOTE)]


def media_children() -> list[psutil.Process]:
    """What works at a task: the living children of the zygotes of this process."""
    return [child for zygote in zygotes() for child in living_children(zygote)]


def living_children(process: psutil.Process) -> list[psutil.Process]:
    try:
        return [child for child in process.children() if leftovers.is_alive(child)]
    except psutil.NoSuchProcess:
        return []
