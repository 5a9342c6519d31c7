"""API keys: `sf_` and eight characters that name the key, then the secret. Only a keyed hash of the whole is kept."""

import hmac
import re
import secrets
from collections.abc import Iterable
from datetime import datetime
from functools import cached_property, lru_cache
from hashlib import sha256

from streamforge.access.caller import Caller, Scope, key_of, scopes_named
from streamforge.access.secret import InstallationSecret, Purpose
from streamforge.access.standing import Standing, require_key
from streamforge.db.credentials import Credentials
from streamforge.errors import CredentialInvalid, InvalidField

LETTERS_OF_PREFIX = "abcdefghijklmnopqrstuvwxyz234567"
LETTERS_BEHIND = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
"""No dashes and the like: a double click takes the whole key."""
LENGTH_OF_PREFIX = 8
LENGTH_BEHIND = 43
"""256 bits."""
OWNER = re.compile(r"[A-Za-z0-9_.@+-]{1,128}")

_FORM = re.compile(rf"(sf_[a-z2-7]{{{LENGTH_OF_PREFIX}}})_[A-Za-z0-9]{{{LENGTH_BEHIND}}}")
_NO_HASH = bytes(32)


def looks_like_one(text: str) -> bool:
    return text.startswith("sf_")


class ApiKeys:
    def __init__(self, rows: Credentials, standing: Standing, secret: InstallationSecret) -> None:
        self._rows = rows
        self._standing = standing
        self._secret = secret

    async def create(self, owner: str, scopes: Iterable[Scope], expires_at: datetime | None = None) -> str:
        """The key, which is nowhere else from then on. Raises InvalidField for an owner that cannot be one."""
        if OWNER.fullmatch(owner) is None:
            raise InvalidField("An owner has letters, digits and _.@+- in its name, at most 128.")
        prefix, key = _fresh()
        await self._rows.create_key(prefix, self._hash(key), owner, sorted(set(scopes)), expires_at)
        return key

    async def caller(self, key: str) -> Caller:
        """Raises CredentialInvalid. The work is the same whatever is wrong with the key, so that its time says nothing;
        only who has the right one is told that it has expired or was revoked."""
        match = _FORM.fullmatch(key)
        row = await self._standing.key(match[1]) if match else None
        is_right = hmac.compare_digest(self._hash(key), row.hash if row else _NO_HASH)
        if row is None or not is_right:
            raise CredentialInvalid("This API key is not known here.")
        require_key(row)
        self._standing.used(row.prefix)
        return _caller(row.prefix, row.owner, tuple(row.scopes), row.expires_at)

    @cached_property
    def _hash_key(self) -> bytes:
        # Where nobody has to say who they are, no secret is made.
        return self._secret.key(Purpose.API_KEYS)

    def _hash(self, key: str) -> bytes:
        return hmac.digest(self._hash_key, key.encode(errors="replace"), sha256)


@lru_cache(maxsize=1024)
def _caller(prefix: str, owner: str, scopes: tuple[str, ...], expires_at: datetime | None) -> Caller:
    """Remembered: to make one for each request takes longer than to check its key."""
    name = key_of(prefix)
    return Caller(owner, scopes_named(scopes), name, expires_at, frozenset([name]))


def _fresh() -> tuple[str, str]:
    prefix = "sf_" + "".join(secrets.choice(LETTERS_OF_PREFIX) for _ in range(LENGTH_OF_PREFIX))
    return prefix, f"{prefix}_{''.join(secrets.choice(LETTERS_BEHIND) for _ in range(LENGTH_BEHIND))}"
