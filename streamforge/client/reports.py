"""Jobs that others work on, and reports about them."""

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from streamforge.client.answers import RecordedReport, ReportedStatus, StatusHistory
from streamforge.client.methods import Methods
from streamforge.client.transport import present
from streamforge.contracts.job_view import JobView


class ReportMethods(Methods):
    async def create_external(self, key: str, /, **fields: Any) -> JobView:
        """A job that nobody works on here. `fields` are `external_id`, `metadata`, `webhook_url` and `silence_seconds`."""
        body = {"kind": "external", "key": key, **fields}
        return JobView.model_validate_json((await self._ask("POST", "/jobs", json=body)).content)

    async def report(
        self,
        job_id: UUID,
        *,
        video_id: str,
        status: str,
        progress: float | None = None,
        stage: str | None = None,
        error: str | None = None,
        timestamp: datetime | None = None,
        metadata: dict[str, Any] | None = None,
    ) -> RecordedReport:
        """Tell how far it is: `status` is `started`, `processing`, `completed` or `failed`, `progress` in percent of the whole,
        `timestamp` now if it is not given. Said again, it counts once."""
        body = {
            "videoId": video_id,
            "jobId": str(job_id),
            "status": status,
            "progress": progress,
            "stage": stage,
            "error": error,
            "timestamp": (timestamp or datetime.now(UTC)).isoformat(),
            "metadata": metadata or {},
        }
        return RecordedReport.model_validate_json(
            (await self._ask("POST", f"/jobs/{job_id}/events", json=body)).content
        )

    async def status_detailed(self, job_id: UUID) -> ReportedStatus:
        """How any job is, in the words of such reports."""
        return ReportedStatus.model_validate_json((await self._ask("GET", f"/jobs/{job_id}/status-detailed")).content)

    async def progress_history(
        self, job_id: UUID, *, since: str | None = None, after: int = 0, limit: int = 100
    ) -> StatusHistory:
        """How it came to that, the oldest first. `next` of a page is the `after` of the next one."""
        params = present(since=since, after=after, limit=limit)
        answer = await self._ask("GET", f"/jobs/{job_id}/progress-history", params=params)
        return StatusHistory.model_validate_json(answer.content)
