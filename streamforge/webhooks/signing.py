"""Signatures of Standard Webhooks: HMAC-SHA256 over id, time and body, with a secret that is stored nowhere.

The secret of an endpoint is derived from `keys.secret`, its id and a version. A dump of the database holds the version, and so
nothing that signs; a rotation is the next version, and for a while both sign.
"""

import base64
import hashlib
import hmac
from datetime import datetime

PREFIX = "whsec_"


def shown(secret: bytes) -> str:
    return PREFIX + base64.b64encode(secret).decode()


def versions_that_sign(version: int, previous_until: datetime | None, now: datetime) -> list[int]:
    """The newest first."""
    return [version, version - 1] if previous_until is not None and previous_until > now else [version]


def headers(message_id: str, at: datetime, body: bytes, secrets: list[bytes]) -> dict[str, str]:
    """The time goes into the signature: who records a request cannot send it again later."""
    seconds = str(int(at.timestamp()))
    signed = b".".join([message_id.encode(), seconds.encode(), body])
    return {
        "webhook-id": message_id,
        "webhook-timestamp": seconds,
        "webhook-signature": " ".join(_signature(secret, signed) for secret in secrets),
    }


def _signature(secret: bytes, signed: bytes) -> str:
    return "v1," + base64.b64encode(hmac.new(secret, signed, hashlib.sha256).digest()).decode()
