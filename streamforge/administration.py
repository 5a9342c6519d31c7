"""What an administrator does with API keys, from the command line."""

import os
import re
import socket
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from streamforge.access.api_keys import ApiKeys
from streamforge.access.audit import ALLOWED
from streamforge.access.caller import Scope
from streamforge.access.secret import InstallationSecret
from streamforge.access.standing import Standing
from streamforge.db.audit import AuditLog, NewAuditEntry
from streamforge.db.credentials import Credentials, KeyRow
from streamforge.db.migrations import apply_migrations
from streamforge.db.pool import Database
from streamforge.db.roles import Roles
from streamforge.embedded.agreement import require_same_secret
from streamforge.embedded.database import database_of
from streamforge.errors import ApiKeyNotFound, InvalidSettings
from streamforge.settings import Settings

UNITS = {"m": timedelta(minutes=1), "h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
_PERIOD = re.compile(r"([1-9]\d{0,5})([mhdw])")
_PREFIX = re.compile(r"sf_[a-z2-7]{8}")


async def create_key(settings: Settings, owner: str, scopes: Iterable[Scope], lasts: timedelta | None) -> str:
    """The key, which is shown this once. Raises InvalidField for an owner that cannot be one, InvalidSettings, MissingPart,
    DatabaseUnavailable."""
    _require_shared_secret(settings)
    async with _rows(settings) as (rows, audit_log):
        keys = ApiKeys(rows, Standing(rows), InstallationSecret(settings))
        key = await keys.create(owner, scopes, datetime.now(UTC) + lasts if lasts else None)
        # Before it is shown: one that nobody wrote down is nobody's.
        await _record(audit_log, "api-keys create", await _named(rows, key))
        return key


async def list_keys(settings: Settings) -> list[KeyRow]:
    """Oldest first, also those that are revoked or have expired."""
    async with _rows(settings) as (rows, _):
        return await rows.keys()


async def revoke_key(settings: Settings, key: str) -> str:
    """By its prefix, or by all of it, as it is found where it should not be. Its prefix. Raises ApiKeyNotFound."""
    async with _rows(settings) as (rows, audit_log):
        found = await _named(rows, key)
        await rows.revoke_key(found.prefix)
        await _record(audit_log, "api-keys revoke", found)
        return found.prefix


async def _named(rows: Credentials, key: str) -> KeyRow:
    """Raises ApiKeyNotFound."""
    named = _PREFIX.match(key)
    found = await rows.keys_named([named[0]]) if named else {}
    if named is None or named[0] not in found:
        raise ApiKeyNotFound("There is no such key; `streamforge api-keys list` shows how those begin that there are.")
    return found[named[0]]


async def _record(audit_log: AuditLog, action: str, key: KeyRow) -> None:
    """Who it was only this machine knows."""
    now = datetime.now(UTC)
    entry = NewAuditEntry(
        first_at=now,
        last_at=now,
        owner=None,
        credential=f"command:{os.geteuid()}@{socket.gethostname()}",
        action=action,
        target=f"api-key:{key.prefix}",
        target_owner=key.owner,
        outcome=ALLOWED,
    )
    await audit_log.record([entry])


def period(text: str) -> timedelta:
    """A time like 90d, 12h or 30m. Raises ValueError."""
    match = _PERIOD.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no period; one is written like 90d, 12h or 30m")
    return int(match[1]) * UNITS[match[2]]


def scopes_of(text: str) -> list[Scope]:
    """Raises ValueError."""
    try:
        return [Scope(name.strip()) for name in text.split(",")]
    except ValueError as error:
        raise ValueError(f"{text!r} names no scopes; there are {', '.join(Scope)}") from error


def _require_shared_secret(settings: Settings) -> None:
    """With another one the key would be hashed so that no API knows it. None is made for that: a later `up` would take it."""
    if settings.database.dsn is not None and not settings.auth.has_secret:
        raise InvalidSettings(
            "Set auth.secret (STREAMFORGE_AUTH__SECRET) or auth.secret_file first, the same as for every API: keys are "
            "hashed with it."
        )
    require_same_secret(settings)


@asynccontextmanager
async def _rows(settings: Settings) -> AsyncIterator[tuple[Credentials, AuditLog]]:
    roles = Roles(settings.database.roles)
    async with database_of(settings) as dsn:
        await apply_migrations(dsn, roles)
        database = await Database.open(dsn, size=1, roles=roles)
        try:
            yield Credentials(database), AuditLog(database)
        finally:
            await database.close()
