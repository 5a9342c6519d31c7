"""Jobs that go before their time, with their media."""

import structlog

from streamforge.db.jobs import JobRow, Jobs
from streamforge.errors import ServiceError
from streamforge.storage import Storage, layout

PAGE = 100

log = structlog.stdlib.get_logger(__name__)


class Purges:
    """A job that was promised to go goes: at once when it is over, else as soon as it is. The mark in its row survives this
    process. Files go before rows, so that nothing is forgotten."""

    def __init__(self, jobs: Jobs, storage: Storage) -> None:
        self._jobs = jobs
        self._storage = storage

    async def do(self, job: JobRow) -> bool:
        """Whether it is gone, by whomever: the launcher and a request may do it at the same moment. Raises
        StorageUnavailable, DatabaseUnavailable."""
        if not job.status.is_over:
            return False
        async with self._jobs.removal():
            for folder in layout.job_folders(job.id):
                await self._storage.delete(folder)
        return job.id in await self._jobs.delete([job.id]) or await self._jobs.status(job.id) is None

    async def do_all(self) -> bool:
        """Whether nothing is left to do: then it need not be asked again. Raises DatabaseUnavailable."""
        return all([await self._done(job) for job in await self._jobs.to_purge(PAGE)])

    async def _done(self, job: JobRow) -> bool:
        try:
            return await self.do(job)
        except ServiceError as error:
            log.warning("a job that is to go waits", job_id=str(job.id), reason=error.message)
            return False
