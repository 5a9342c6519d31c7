"""Webhooks: who is told of what, and what was said of it."""

import re
from datetime import datetime
from typing import Annotated, Final, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from streamforge.contracts.job_options import web_address
from streamforge.contracts.stored import JsonObject, Word

OF_JOBS: Final = UUID(int=0)
"""In the place of an endpoint: the addresses that jobs bring with them, as `webhook_url`."""
JOBS: Final = "jobs"
"""The same in an address of ours."""

EVERYTHING: Final = "*"
TEST: Final = "webhook.test"
MAX_ENDPOINTS = 32
MAX_EVENTS = 64
MAX_DESCRIPTION = 500
MAX_ATTEMPTS_KEPT = 40
_TYPE = re.compile(r"\*|job\.[a-z][a-z_]{0,63}")


def _type(text: str) -> str:
    if _TYPE.fullmatch(text) is None:
        raise ValueError("a type is written like job.completed; * is all of them")
    return text


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("it has control characters")
    return text


WebhookFormat = Literal["standard", "cloudevents"]
Address = Annotated[str, AfterValidator(web_address)]
EventTypes = Annotated[
    list[Annotated[str, AfterValidator(_type)]],
    Field(
        min_length=1,
        max_length=MAX_EVENTS,
        description="like job.completed, job.failed, job.cancelled, job.playable, job.asset_expiring, job.progress; * = all; "
        "null = all but job.progress",
    ),
]
Description = Annotated[str, AfterValidator(_printable), Field(max_length=MAX_DESCRIPTION)]


class WebhookRequest(BaseModel):
    """An address that is to be told."""

    model_config = ConfigDict(extra="forbid")

    url: Address
    description: Description = ""
    events: EventTypes | None = None
    format: WebhookFormat = "standard"
    enabled: bool = True


class WebhookPatch(BaseModel):
    """What is named is changed."""

    model_config = ConfigDict(extra="forbid")

    url: Address | None = None
    description: Description | None = None
    events: EventTypes | None = None
    format: WebhookFormat | None = None
    enabled: bool | None = None


class Webhook(BaseModel):
    """An endpoint. `disabled_reason` is null where its owner switched it off."""

    id: UUID
    url: str
    description: str
    events: list[str] | None = Field(description="null = all but job.progress")
    format: str
    enabled: bool
    disabled_reason: str | None
    created_at: datetime
    updated_at: datetime


class WebhookList(BaseModel):
    webhooks: list[Webhook]


class WebhookSecret(BaseModel):
    """What signatures are verified with. After a rotation both sign until `previous_until`."""

    secret: str = Field(description="whsec_…")
    previous: str | None = None
    previous_until: datetime | None = None


class DeliveryStatus(Word):
    PENDING = "pending"
    DELIVERED = "delivered"
    FAILED = "failed"


class Attempt(BaseModel):
    """One request of ours. `status_code` is null where no answer came; `failure` says why it does not count."""

    at: datetime
    milliseconds: int
    status_code: int | None = None
    failure: str | None = None


class Delivery(BaseModel):
    """Of one event to one address. `webhook_id` is what the receiver tells repetitions by."""

    id: UUID
    webhook_id: str
    job_id: UUID | None = Field(description="null for a test")
    type: str
    url: str
    status: DeliveryStatus
    attempts: list[Attempt] = Field(description=f"the latest {MAX_ATTEMPTS_KEPT}, the oldest first")
    next_try_at: datetime | None = Field(description="null when nothing more is tried")
    created_at: datetime
    completed_at: datetime | None


class DeliveryPage(BaseModel):
    deliveries: list[Delivery]
    next_cursor: str | None = Field(description="null on the last page")


class OwedDelivery(BaseModel):
    """All that a request is made of. `event` is a row of the log; null for a test."""

    id: UUID
    owner: str
    endpoint_id: UUID
    url: str | None = Field(description="null when its endpoint is gone")
    enabled: bool
    format: str
    job_id: UUID | None
    type: str
    event: JsonObject | None
    tries: int
    created_at: datetime
    version: int
    previous_until: datetime | None
    fingerprint: str | None


class DeliverWebhook(BaseModel):
    """Input of the workflow and its one step."""

    delivery_id: UUID


class TriedWebhook(BaseModel):
    """`seconds` until it is tried again; null when it is over."""

    seconds: float | None = None
