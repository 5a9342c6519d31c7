"""What is changed of a job after it was sent."""

import json
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Self

from pydantic import AfterValidator, AwareDatetime, BaseModel, ConfigDict, Field, model_validator

from streamforge.contracts.job_options import JobOptions

LONGEST_RETENTION = timedelta(days=36_500)


class JobControl(BaseModel):
    """How its workflow is to go on. Of two the one with the higher number holds, whichever comes first."""

    number: int
    paused: bool
    priority: int


def _metadata(value: dict[str, Any] | None) -> Any:
    """As `POST /process` has it, which takes text. Raises InvalidField."""
    return value if value is None else JobOptions.parse("metadata", json.dumps(value), ())


class JobPatch(BaseModel):
    """What is left out stays as it is (RFC 7396); `null` takes `metadata` and `retain_until` away."""

    model_config = ConfigDict(extra="forbid")

    priority: Annotated[int, Field(strict=True, ge=1, le=5)] = Field(3, description="from 1 (first) to 5 (last)")
    metadata: Annotated[dict[str, Any] | None, AfterValidator(_metadata)] = Field(
        None, description="in the place of what was there"
    )
    retain_until: AwareDatetime | None = Field(None, description="in the future; null: as long as the settings say")
    legal_hold: bool = Field(False, strict=True, description="for administrators: nothing of it is removed")

    @model_validator(mode="after")
    def makes_sense(self) -> Self:
        now = datetime.now(UTC)
        if not self.model_fields_set:
            raise ValueError("nothing is to change")
        if self.retain_until is not None and not now < self.retain_until < now + LONGEST_RETENTION:
            raise ValueError("`retain_until` lies in the future, and less than a hundred years ahead")
        return self
