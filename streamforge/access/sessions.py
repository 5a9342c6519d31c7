"""Sessions: what a browser shows in a cookie that no script can read. They are kept, so that they can be ended."""

import hmac
import secrets
from datetime import UTC, datetime, timedelta
from functools import cached_property
from hashlib import sha256

from streamforge.access.caller import KEY, SESSION, TICKET, Caller, key_of, scopes_named, session_of
from streamforge.access.secret import InstallationSecret, Purpose
from streamforge.access.standing import Standing
from streamforge.db.credentials import Credentials, SessionRow
from streamforge.errors import CredentialInvalid

TOKEN_BYTES = 32


class Sessions:
    def __init__(self, rows: Credentials, secret: InstallationSecret, standing: Standing, lasts_seconds: float) -> None:
        self._rows = rows
        self._secret = secret
        self._standing = standing
        self._lasts = timedelta(seconds=lasts_seconds)

    async def create(self, caller: Caller) -> tuple[str, datetime]:
        """What the cookie holds, and until when: never longer than what it is made of. Raises CredentialInvalid where that
        is a session or a ticket: it would last for ever, renewing itself."""
        kind, _, name = caller.credential.partition(":")
        if kind in {SESSION, TICKET}:
            raise CredentialInvalid("A session is made with a key or a token, not with another session.")
        token = secrets.token_urlsafe(TOKEN_BYTES)
        ends = datetime.now(UTC) + self._lasts
        expires_at = ends if caller.expires_at is None else min(ends, caller.expires_at)
        await self._rows.create_session(
            SessionRow(
                id=self._id(token),
                owner=caller.owner,
                scopes=sorted(caller.scopes),
                credential=caller.credential,
                prefix=name if kind == KEY else None,
                expires_at=expires_at,
            )
        )
        return token, expires_at

    async def caller(self, token: str) -> Caller:
        """Raises CredentialInvalid, DatabaseUnavailable."""
        session_id = self._id(token)
        stands_on = {session_of(session_id)}
        await self._standing.require(stands_on)
        if (row := await self._standing.session(session_id)) is None:
            raise CredentialInvalid("This session is over.")
        if row.prefix is not None:
            stands_on.add(key_of(row.prefix))
            await self._standing.require(stands_on)
        credential = f"{SESSION}:{row.credential}"
        return Caller(row.owner, scopes_named(row.scopes), credential, row.expires_at, frozenset(stands_on))

    async def end(self, token: str) -> None:
        """Also of a cookie that is out, or that nobody knows."""
        await self._rows.end_session(self._id(token))

    @cached_property
    def _key(self) -> bytes:
        return self._secret.key(Purpose.SESSIONS)

    def _id(self, token: str) -> str:
        return hmac.digest(self._key, token.encode(errors="replace"), sha256).hex()
