"""Which jobs a list is to have: what they are found by, all of it together."""

from datetime import datetime
from typing import Any

from pydantic import BaseModel

from streamforge.contracts.job import JobStatus, Stage


class JobFilter(BaseModel):
    """None: it does not matter. `key` is the whole of it and `q` are words that are in it; `metadata` holds pairs of a name
    and a plain value that are all among the job's; `since` and `until` are about when the job came."""

    status: JobStatus | None = None
    stage: Stage | None = None
    key: str | None = None
    q: str | None = None
    external_id: str | None = None
    metadata: dict[str, Any] | None = None
    since: datetime | None = None
    until: datetime | None = None
