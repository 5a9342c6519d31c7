"""One job on two workers of one core each, against the same job on one of them."""

import asyncio
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import clips, report
from bench.cpu import Cost, tree_cpu
from bench.system import ANY_PORTS, NO_WORKER, one_core_worker, process, running

BAR = 1.8
FILM_SECONDS = 180


def main() -> None:
    film = clips.looped(clips.BUNNY, FILM_SECONDS)
    report.note(
        f"{FILM_SECONDS} s of 720p25 with sound; API, PostgreSQL and Temporal run on any core, beside the workers"
    )
    one, two = measured(film, [0]), measured(film, [0, 1])
    report.at_least("one worker ÷ two workers, 202 → done", one.wall / two.wall, bar=BAR)


def measured(film: Path, cores: Sequence[int]) -> Cost:
    """CPU of the workers, and the wait of a viewer. Workers, and all that they start, are pinned to a core each."""
    report.machine()
    with running(arguments=[*ANY_PORTS, NO_WORKER]) as system, ExitStack() as stack:
        workers = [stack.enter_context(one_core_worker(system, core)) for core in cores]
        before, others = _cpu(workers), tree_cpu(system.process.pid)
        watched = asyncio.run(process(system.url, film))
        assert watched.job.status == "completed", watched.job.error_message
        cost = Cost(_cpu(workers) - before, watched.seconds - watched.upload_seconds)
        name = f"{len(cores)} × one core"
        report.number(f"{name}: 202 → done", cost.wall, "s")
        report.number(f"{name}: workers and their children", cost.cpu, "CPU s")
        report.number(f"{name}: API, PostgreSQL and Temporal", tree_cpu(system.process.pid) - others, "CPU s")
    return cost


def _cpu(workers: Sequence[int]) -> float:
    return sum(tree_cpu(pid) for pid in workers)
