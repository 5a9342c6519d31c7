"""What only somebody who asks knows: how many jobs are where, how long the queue is, who works, what is well. Asked every few
seconds at most, however often Prometheus comes; and only where somebody may come."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime

import structlog

from streamforge.api.readiness import Readiness
from streamforge.api.workflows import Workflows
from streamforge.background import beside
from streamforge.contracts import names
from streamforge.db.jobs import Jobs
from streamforge.errors import DatabaseUnavailable, TemporalUnavailable
from streamforge.observability import metrics

LOOK_EVERY_SECONDS = 10.0

log = structlog.stdlib.get_logger(__name__)


class ServiceGauges:
    """What cannot be had is not there: a number of a minute ago would look like one of now."""

    def __init__(self, jobs: Jobs, workflows: Workflows, readiness: Readiness) -> None:
        self._jobs = jobs
        self._workflows = workflows
        self._readiness = readiness
        self._looking = asyncio.Lock()
        self._looked_at = -LOOK_EVERY_SECONDS

    @asynccontextmanager
    async def kept_fresh(self) -> AsyncIterator[None]:
        """While the block runs."""
        async with beside({"service gauges": self._keep_looking()}):
            yield

    async def look(self) -> None:
        """Unless somebody did a moment ago."""
        async with self._looking:
            if time.monotonic() - self._looked_at >= LOOK_EVERY_SECONDS:
                await asyncio.gather(self._count_jobs(), self._count_workers(), self._check())
                self._looked_at = time.monotonic()

    async def _keep_looking(self) -> None:
        while True:
            try:
                await self.look()
            except Exception:
                log.exception("metrics could not be asked for")
            await asyncio.sleep(LOOK_EVERY_SECONDS)

    async def _count_jobs(self) -> None:
        try:
            unfinished, (waiting, oldest) = await self._jobs.unfinished(), await self._jobs.queue()
        except DatabaseUnavailable:
            metrics.JOBS.clear()
            return
        metrics.JOBS.clear()
        for (status, stage), number in unfinished.items():
            metrics.JOBS.labels(status.value, stage.value).set(number)
        metrics.QUEUE_LENGTH.set(waiting)
        metrics.QUEUE_AGE.set_function(lambda: _age(oldest))

    async def _count_workers(self) -> None:
        for queue in names.TASK_QUEUES:
            try:
                metrics.POLLERS.labels(queue).set(await self._workflows.pollers(queue))
            except TemporalUnavailable:
                metrics.POLLERS.clear()
                return

    async def _check(self) -> None:
        for name, problem in (await self._readiness.problems()).items():
            metrics.DEPENDENCY_UP.labels(name).set(problem is None)


def _age(oldest: datetime | None) -> float:
    return 0.0 if oldest is None else max(0.0, time.time() - oldest.timestamp())
