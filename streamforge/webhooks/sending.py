"""One try of one delivery: a POST, and what its answer means."""

import asyncio
import time
from dataclasses import dataclass
from datetime import UTC, datetime

import httpx

from streamforge.contracts.webhooks import Attempt, OwedDelivery
from streamforge.errors import AddressRefused
from streamforge.keys import Keys
from streamforge.outbound.retry_after import seconds_to_wait
from streamforge.webhooks import signing
from streamforge.webhooks.messages import message, message_id

GONE = 410
MAX_WAIT_SECONDS = 24 * 3600.0
"""However long a receiver asks us to wait."""


@dataclass(frozen=True)
class Answer:
    """`wait_seconds` is what the receiver asked for, `Retry-After`."""

    attempt: Attempt
    wait_seconds: float | None = None

    @property
    def is_taken(self) -> bool:
        return self.attempt.failure is None

    @property
    def is_gone(self) -> bool:
        return self.attempt.status_code == GONE


async def send(http: httpx.AsyncClient, delivery: OwedDelivery, keys: Keys, timeout_seconds: float) -> Answer:
    """Whatever comes of it is an answer."""
    at, began = datetime.now(UTC), time.monotonic()
    status, failure, wait = None, None, None
    try:
        response = await _post(http, delivery, keys, at, timeout_seconds)
        status, failure = response.status_code, _failure(response)
        wait = seconds_to_wait(response.headers.get("retry-after"), at)
    except AddressRefused as error:
        failure = error.message
    except (TimeoutError, httpx.TimeoutException):
        failure = f"No answer came within {timeout_seconds:g} seconds."
    except (httpx.HTTPError, httpx.InvalidURL, ValueError) as error:
        failure = f"It cannot be reached: {_reason(error)}."
    milliseconds = round(1000 * (time.monotonic() - began))
    return Answer(Attempt(at=at, milliseconds=milliseconds, status_code=status, failure=failure), _at_most(wait))


async def _post(
    http: httpx.AsyncClient, delivery: OwedDelivery, keys: Keys, at: datetime, seconds: float
) -> httpx.Response:
    """What it answers beside its head is not read: it could be without end. The limit is for all of it: one that sends a byte
    now and then would otherwise keep us for ever."""
    said = message(delivery)
    versions = signing.versions_that_sign(delivery.version, delivery.previous_until, at)
    secrets = [keys.of_webhook(delivery.owner, delivery.endpoint_id, version) for version in versions]
    signed = signing.headers(message_id(delivery.id, delivery.event), at, said.body, secrets)
    headers = {"Content-Type": said.content_type, **signed}
    # asyncio's, around everything: httpx counts from byte to byte.
    async with (
        asyncio.timeout(seconds),
        http.stream("POST", str(delivery.url), content=said.body, headers=headers) as response,
    ):
        return response


def _failure(response: httpx.Response) -> str | None:
    if response.is_success:
        return None
    if response.is_redirect:
        return "It was redirected, which is not followed."
    return f"It answered {response.status_code}."


def _at_most(wait: float | None) -> float | None:
    return None if wait is None else min(wait, MAX_WAIT_SECONDS)


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).rstrip(".")
