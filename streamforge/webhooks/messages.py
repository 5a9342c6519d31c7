"""What an endpoint is sent: the event as every other exit of the log tells it, with the fields of Standard Webhooks or of
CloudEvents 1.0 around it. The same each time it is sent."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC
from typing import Any
from uuid import UUID

from streamforge.contracts.events import LoggedEvent
from streamforge.contracts.stored import read_as_far_as_possible
from streamforge.contracts.webhooks import OwedDelivery
from streamforge.events import frames

CLOUDEVENTS_TYPE_PREFIX = "streamforge."


@dataclass(frozen=True)
class Message:
    content_type: str
    body: bytes


def message_id(delivery_id: UUID, event: Mapping[str, Any] | None) -> str:
    """Of an event the same for all who are told of it, at each try; of a test, the delivery's own. Without a dot: one stands
    between what is signed."""
    return f"evt_{delivery_id.hex}" if event is None else f"evt_{UUID(event['job_id']).hex}_{event['seq']}"


def message(delivery: OwedDelivery) -> Message:
    event = _event(delivery)
    if delivery.format == "cloudevents":
        return Message("application/cloudevents+json", _encoded(_cloud_event(delivery, event)))
    return Message("application/json", _encoded({"type": delivery.type, "timestamp": event["created_at"], **event}))


def _event(delivery: OwedDelivery) -> dict[str, Any]:
    """As `GET /jobs/<id>/events` and streams of all jobs have it."""
    if delivery.event is None:
        moment = delivery.created_at.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
        said = {"message": "This is a test. Nothing has happened.", "timestamp": moment}
        return {"id": None, "event": "test", "data": said, "created_at": moment}
    logged, _ = read_as_far_as_possible(LoggedEvent, dict(delivery.event))
    told: dict[str, Any] = json.loads(frames.of_owner(logged).object)
    return told


def _cloud_event(delivery: OwedDelivery, event: dict[str, Any]) -> dict[str, Any]:
    """Source and id together are unique, as the specification asks. `sequence` is its extension of that name."""
    about = {} if delivery.job_id is None else {"subject": str(delivery.job_id)}
    number = {} if event["id"] is None else {"sequence": f"{event['id']:020}"}
    return {
        "specversion": "1.0",
        "id": message_id(delivery.id, delivery.event),
        "source": "/webhooks" if delivery.job_id is None else f"/jobs/{delivery.job_id}",
        "type": CLOUDEVENTS_TYPE_PREFIX + delivery.type,
        "time": event["created_at"],
        "datacontenttype": "application/json",
        **about,
        **number,
        "data": event["data"],
    }


def _encoded(content: dict[str, Any]) -> bytes:
    return frames.encode(content).encode()
