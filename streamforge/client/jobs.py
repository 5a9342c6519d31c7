"""Looking at jobs, and changing them."""

from collections.abc import AsyncGenerator, Sequence
from typing import Any
from uuid import UUID

from streamforge.client.answers import ChangedJobs, FoundJobs
from streamforge.client.methods import Methods
from streamforge.client.transport import UPLOAD_TIMEOUT, present
from streamforge.contracts.batch import BatchView
from streamforge.contracts.chunks import ChunkPage
from streamforge.contracts.events import EventPage
from streamforge.contracts.job import Stage
from streamforge.contracts.job_view import JobView

MAX_IDS_PER_REQUEST = 100


class JobMethods(Methods):
    async def job(self, job_id: UUID) -> JobView:
        return await self._job("GET", f"/jobs/{job_id}")

    async def jobs(self, ids: Sequence[UUID]) -> list[JobView]:
        """These jobs, in this order; unknown ones are left out."""
        found: list[JobView] = []
        for some in (ids[begin : begin + MAX_IDS_PER_REQUEST] for begin in range(0, len(ids), MAX_IDS_PER_REQUEST)):
            answer = await self._ask("GET", "/jobs", params={"ids": ",".join(map(str, some))})
            found += [JobView.model_validate(job) for job in answer.json()["jobs"]]
        return found

    async def find(self, /, *, cursor: str | None = None, limit: int = 20, **filters: str) -> FoundJobs:
        """A page of jobs, the newest first. `filters` are the parameters of `GET /jobs`."""
        params = present(limit=limit, cursor=cursor, **filters)
        return FoundJobs.model_validate_json((await self._ask("GET", "/jobs", params=params)).content)

    async def find_all(self, /, **filters: str) -> AsyncGenerator[JobView]:
        """Every job that `filters` find, the newest first, page by page as they are asked for."""
        cursor: str | None = None
        while True:
            page = await self.find(cursor=cursor, limit=100, **filters)
            for job in page.jobs:
                yield job
            if (cursor := page.next_cursor) is None:
                return

    async def events(self, job_id: UUID, *, after: int = 0, since: str | None = None, limit: int = 100) -> EventPage:
        """A page of the job's log. `since` is a time in ISO 8601; `next` of a page is the `after` of the next one."""
        params = present(after=after, since=since, limit=limit)
        return EventPage.model_validate_json((await self._ask("GET", f"/jobs/{job_id}/events", params=params)).content)

    async def chunks(self, job_id: UUID, *, after: int = 0, limit: int = 100) -> ChunkPage:
        return await self._chunks("GET", f"/jobs/{job_id}/chunks", after, limit)

    async def refresh_chunks(self, job_id: UUID, *, after: int = 0, limit: int = 100) -> ChunkPage:
        """The same, with addresses that are valid for the whole time again."""
        return await self._chunks("POST", f"/jobs/{job_id}/chunks/refresh", after, limit)

    async def logs(self, /, job_id: UUID, **filters: str) -> list[dict[str, Any]]:
        """What was said of it on the machine of the API; `filters` are the parameters of `GET /jobs/<id>/logs`."""
        answer = await self._ask("GET", f"/jobs/{job_id}/logs", params=filters)
        return list(answer.json()["lines"])

    async def cancel(self, job_id: UUID) -> JobView:
        """The job, which ends as soon as its workers have heard."""
        return await self._job("DELETE", f"/jobs/{job_id}")

    async def purge(self, job_id: UUID) -> None:
        """Remove the job with its media: at once when it is over, else as soon as it is cancelled."""
        await self._ask("DELETE", f"/jobs/{job_id}", params={"purge": "true"})

    async def change(self, /, job_id: UUID, **changes: Any) -> JobView:
        """Of `priority`, `metadata`, `retain_until` (ISO 8601), `legal_hold`; None takes away."""
        return await self._job("PATCH", f"/jobs/{job_id}", json=changes)

    async def pause(self, job_id: UUID) -> JobView:
        return await self._job("POST", f"/jobs/{job_id}/pause")

    async def resume(self, job_id: UUID) -> JobView:
        return await self._job("POST", f"/jobs/{job_id}/resume")

    async def retry(self, job_id: UUID, *, first: Stage | None = None) -> JobView:
        """Begin a failed job again: from `first` on all is done again, else only what is missing."""
        body = {} if first is None else {"from": first}
        return await self._job("POST", f"/jobs/{job_id}/retry", json=body)

    async def reprocess(self, /, job_id: UUID, **options: Any) -> UUID:
        """Make another job of the same video, with other options; its id."""
        answer = await self._ask("POST", f"/jobs/{job_id}/reprocess", json=options, timeout=UPLOAD_TIMEOUT)
        return UUID(answer.json()["job_id"])

    async def change_many(
        self, /, action: str, *, ids: Sequence[UUID] | None = None, filter: dict[str, Any] | None = None, **more: Any
    ) -> ChangedJobs:
        """`cancel`, `purge`, `pause`, `resume`, `retry`, `reprocess` or `change` up to a hundred jobs: these, or the newest that
        `filter` finds. `more`: `change={…}`, `options={…}` of the action that needs them."""
        which = {"ids": [str(job_id) for job_id in ids]} if ids is not None else {"filter": filter}
        body = {"action": action, **which, **more}
        answer = await self._ask("POST", "/jobs/bulk", json=body, timeout=UPLOAD_TIMEOUT)
        return ChangedJobs.model_validate_json(answer.content)

    async def batch(self, batch_id: UUID) -> BatchView:
        return BatchView.model_validate_json((await self._ask("GET", f"/batches/{batch_id}")).content)

    async def _job(self, method: str, path: str, **options: Any) -> JobView:
        return JobView.model_validate_json((await self._ask(method, path, **options)).content)

    async def _chunks(self, method: str, path: str, after: int, limit: int) -> ChunkPage:
        answer = await self._ask(method, path, params={"after": str(after), "limit": str(limit)})
        return ChunkPage.model_validate_json(answer.content)
