"""What it costs a media child to be confined: the same task with the sandbox and without, in turn."""

import asyncio
import time
from statistics import median

from bench import report
from streamforge.contracts import tasks
from streamforge.contracts.tasks import LibrariesTask
from streamforge.media.worker.children import MediaChildren
from streamforge.settings import SandboxMode

RUNS = 200
BAR_MILLISECONDS = 20.0


def main() -> None:
    report.machine()
    confined, free = asyncio.run(_seconds())
    report.spread("a child that is confined", confined, bar=None)
    report.spread("a child that is not", free, bar=None)
    report.number(
        "the sandbox costs each child, medians", 1000 * (median(confined) - median(free)), "ms", bar=BAR_MILLISECONDS
    )


async def _seconds() -> tuple[list[float], list[float]]:
    """A task that takes next to no time, from asking to its answer."""
    modes: dict[SandboxMode, list[float]] = {"required": [], "off": []}
    children = {mode: MediaChildren(4 * 2**30, 60, sandbox=mode) for mode in modes}
    try:
        for _ in range(RUNS):
            for mode, seen in modes.items():
                began = time.perf_counter()
                await children[mode].run(tasks.LIBRARIES, LibrariesTask())
                seen.append(time.perf_counter() - began)
    finally:
        for each in children.values():
            await each.__aexit__()
    return modes["required"][1:], modes["off"][1:]
