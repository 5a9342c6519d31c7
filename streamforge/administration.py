"""What an administrator does with API keys, from the command line."""

import re
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

from streamforge.access.api_keys import ApiKeys
from streamforge.access.caller import Scope
from streamforge.access.secret import InstallationSecret
from streamforge.access.standing import Standing
from streamforge.db.credentials import Credentials, KeyRow
from streamforge.db.migrations import apply_migrations
from streamforge.db.pool import Database
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
    async with _credentials(settings) as rows:
        keys = ApiKeys(rows, Standing(rows), InstallationSecret(settings))
        return await keys.create(owner, scopes, datetime.now(UTC) + lasts if lasts else None)


async def list_keys(settings: Settings) -> list[KeyRow]:
    """Oldest first, also those that are revoked or have expired."""
    async with _credentials(settings) as rows:
        return await rows.keys()


async def revoke_key(settings: Settings, key: str) -> str:
    """By its prefix, or by all of it, as it is found where it should not be. Its prefix. Raises ApiKeyNotFound."""
    named = _PREFIX.match(key)
    async with _credentials(settings) as rows:
        if named is None or not await rows.revoke_key(named[0]):
            raise ApiKeyNotFound(
                "There is no such key; `streamforge api-keys list` shows how those begin that there are."
            )
        return named[0]


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
    """One that was made on this machine would hash the key so that no API elsewhere knows it."""
    if settings.database.dsn is not None and not settings.auth.has_secret:
        raise InvalidSettings(
            "Set auth.secret (STREAMFORGE_AUTH__SECRET) or auth.secret_file first, the same as for every API: keys are "
            "hashed with it."
        )


@asynccontextmanager
async def _credentials(settings: Settings) -> AsyncIterator[Credentials]:
    async with database_of(settings) as dsn:
        await apply_migrations(dsn)
        database = await Database.open(dsn, size=1)
        try:
            yield Credentials(database)
        finally:
            await database.close()
