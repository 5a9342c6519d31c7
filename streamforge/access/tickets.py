"""Tickets: what a request shows that can send no header. Each is good for one address, for a short time, and only to look.

A ticket is signed and kept nowhere: `base64url(JSON).base64url(HMAC-SHA256)`. It stands on the credential that it was made
with: when that is revoked or over, so is the ticket, and what was opened with it.
"""

import hmac
from base64 import urlsafe_b64decode, urlsafe_b64encode
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import sha256
from urllib.parse import parse_qsl, unquote, urlencode

from pydantic import BaseModel, ValidationError

from streamforge.access.caller import TICKET, Caller, Scope, scopes_named
from streamforge.access.secret import InstallationSecret, Purpose
from streamforge.access.standing import Standing
from streamforge.errors import CredentialInvalid

PARAMETER = "ticket"
NOT_OF_THE_ADDRESS = frozenset({PARAMETER, "last_event_id", "lastEventId"})
"""What a client adds to the address it was given: its place in a stream is no other stream."""
TO_LOOK = frozenset({Scope.READ, Scope.ADMIN})


class _Content(BaseModel):
    """`until`: when the ticket ends; `expires_at`: when what it was made with does."""

    address: str
    until: datetime
    owner: str
    scopes: list[str]
    credential: str
    expires_at: datetime | None
    stands_on: list[str]


class Tickets:
    def __init__(self, secret: InstallationSecret, standing: Standing, lasts_seconds: float) -> None:
        self._secret = secret
        self._standing = standing
        self._lasts = timedelta(seconds=lasts_seconds)

    def create(self, caller: Caller, address: str) -> tuple[str, datetime]:
        """For a path with its query, and until when."""
        until = datetime.now(UTC) + self._lasts
        content = _Content(
            address=normal(address),
            until=until,
            owner=caller.owner,
            scopes=sorted(caller.scopes & TO_LOOK),
            credential=f"{TICKET}:{caller.credential}",
            expires_at=caller.expires_at,
            stands_on=sorted(caller.stands_on),
        )
        payload = content.model_dump_json().encode()
        return f"{_encoded(payload)}.{_encoded(self._signature(payload))}", until

    async def caller(self, ticket: str, address: str) -> Caller:
        """Who made it, for this address. Raises CredentialInvalid, DatabaseUnavailable."""
        content = self._content(ticket)
        if content.address != normal(address):
            raise CredentialInvalid("This ticket is for another address.")
        if content.until <= datetime.now(UTC):
            raise CredentialInvalid("This ticket has expired; ask for another one.")
        if content.expires_at is not None and content.expires_at <= datetime.now(UTC):
            raise CredentialInvalid("What this ticket was made with has expired.")
        await self._standing.require(content.stands_on)
        return Caller(
            content.owner,
            scopes_named(content.scopes),
            content.credential,
            content.expires_at,
            frozenset(content.stands_on),
        )

    def _content(self, ticket: str) -> _Content:
        try:
            payload, signature = map(_decoded, ticket.split("."))
            if not hmac.compare_digest(signature, self._signature(payload)):
                raise CredentialInvalid("This is no ticket of this server.")
            return _Content.model_validate_json(payload)
        except (ValueError, ValidationError) as error:
            raise CredentialInvalid("This is no ticket of this server.") from error

    @cached_property
    def _key(self) -> bytes:
        return self._secret.key(Purpose.TICKETS)

    def _signature(self, payload: bytes) -> bytes:
        return hmac.digest(self._key, payload, sha256)


def normal(address: str) -> str:
    """A path with its query, in one way of writing it: `/ws/progress?job_id=…` is one job's stream, without it all of them."""
    path, _, query = address.partition("?")
    pairs = sorted(pair for pair in parse_qsl(query, keep_blank_values=True) if pair[0] not in NOT_OF_THE_ADDRESS)
    return f"{unquote(path)}?{urlencode(pairs)}" if pairs else unquote(path)


def _encoded(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def _decoded(text: str) -> bytes:
    """Raises ValueError."""
    return urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
