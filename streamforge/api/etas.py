"""What jobs took on these machines, learnt again now and then from those that completed last."""

import asyncio

import structlog

from streamforge.db.jobs import Jobs
from streamforge.errors import DatabaseUnavailable
from streamforge.progress.eta import EtaModel

PAST_JOBS = 30
LEARN_EVERY_SECONDS = 10.0

log = structlog.stdlib.get_logger(__name__)


class Etas:
    def __init__(self, jobs: Jobs) -> None:
        self._jobs = jobs
        self._model = EtaModel.of([])
        self._learn_again_at = 0.0

    async def model(self) -> EtaModel:
        """Whoever finds it old learns it again; others, meanwhile and in an outage, go on with the one there is."""
        now = asyncio.get_running_loop().time()
        if now >= self._learn_again_at:
            self._learn_again_at = now + LEARN_EVERY_SECONDS
            try:
                self._model = EtaModel.of(await self._jobs.past(PAST_JOBS))
            except DatabaseUnavailable as error:
                log.warning("estimates were not learnt again", reason=error.debug)
        return self._model
