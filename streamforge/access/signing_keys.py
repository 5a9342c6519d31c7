"""The keys that an OpenID provider signs with (JWK Set, RFC 7517), fetched when they are needed and kept for a while.

Providers change their keys: a token that names one we do not know has the set fetched again, but not more often than once in
COOL_DOWN_SECONDS: anybody can send tokens that name keys which never were. While the provider is away, what it said last holds.
"""

import asyncio
import json
import time
import warnings
from collections.abc import Sequence
from typing import Any

import httpx
import structlog
from joserfc.errors import SecurityWarning
from joserfc.jwk import Key, import_key

from streamforge.errors import ProviderUnavailable
from streamforge.settings import OidcSettings, require_address

KEEP_SECONDS = 600.0
"""A key that the provider has withdrawn is believed for so long at most, while it answers."""
KEEP_WHILE_AWAY_SECONDS = 24 * 3600.0
COOL_DOWN_SECONDS = 30.0
TIMEOUT_SECONDS = 10.0
"""In all: what comes byte by byte is never silent for long."""
MAX_BYTES = 1024 * 1024
DISCOVERY = "/.well-known/openid-configuration"
SIGNING = frozenset({"RSA", "EC", "OKP"})
"""Kinds of keys. Of symmetric ones (`oct`) everybody who checks could sign, too."""

log = structlog.stdlib.get_logger(__name__)


class SigningKeys:
    def __init__(self, settings: OidcSettings) -> None:
        self._settings = settings
        self._keys: list[Key] = []
        self._fetched_at: float | None = None
        self._tried_at: float | None = None
        self._is_away = False
        self._fetching: asyncio.Task[None] | None = None

    async def named(self, kid: str | None) -> Sequence[Key]:
        """Those of that id; all of them for a token that names none. Raises ProviderUnavailable."""
        if not _within(self._fetched_at, KEEP_SECONDS):
            await self._fetched()
        if found := self._known(kid):
            return found
        await self._fetched(in_any_case=True)
        return self._known(kid)

    def _known(self, kid: str | None) -> list[Key]:
        return [key for key in self._keys if kid is None or key.kid == kid]

    async def _fetched(self, *, in_any_case: bool = False) -> None:
        """Again, unless somebody has just tried. While the provider is away nobody waits for it whose key is known. Raises
        ProviderUnavailable when nothing is known."""
        fetching = self._begin()
        is_known = _within(self._fetched_at, KEEP_WHILE_AWAY_SECONDS)
        if fetching is not None and (in_any_case or not (self._is_away and is_known)):
            await asyncio.shield(fetching)
        if not _within(self._fetched_at, KEEP_WHILE_AWAY_SECONDS):
            raise ProviderUnavailable(
                "The provider of tokens does not answer, so none can be checked; try again later."
            )

    def _begin(self) -> "asyncio.Task[None] | None":
        """What is under way, or None where it is too early to try again. A task of its own: it must not end with the first who
        asked, or whoever asks and hangs up keeps everybody from ever hearing of a new key."""
        if self._fetching is not None and not self._fetching.done():
            return self._fetching
        if _within(self._tried_at, COOL_DOWN_SECONDS):
            return None
        self._tried_at = time.monotonic()
        self._fetching = asyncio.create_task(self._fetch(), name="keys of the provider")
        return self._fetching

    async def _fetch(self) -> None:
        """Whatever a provider sends is no reason to fail otherwise than by knowing nothing new."""
        try:
            async with (
                asyncio.timeout(TIMEOUT_SECONDS),
                httpx.AsyncClient(timeout=TIMEOUT_SECONDS, follow_redirects=False) as http,
            ):
                self._keys = _usable(await _json(http, await self._jwks_url(http)))
            self._fetched_at, self._is_away = time.monotonic(), False
        except Exception as error:
            self._is_away = True
            log.warning("keys of the provider could not be fetched", issuer=self._settings.issuer, reason=repr(error))

    async def _jwks_url(self, http: httpx.AsyncClient) -> str:
        """Raises ValueError."""
        if self._settings.jwks_url is not None:
            return self._settings.jwks_url
        assert self._settings.issuer is not None
        told = await _json(http, self._settings.issuer.rstrip("/") + DISCOVERY)
        if told.get("issuer") != self._settings.issuer:
            raise ValueError(f"it calls itself {told.get('issuer')!r}")
        return require_address(str(told.get("jwks_uri")))


async def _json(http: httpx.AsyncClient, url: str) -> dict[str, Any]:
    """Raises httpx.HTTPError, ValueError."""
    content = b""
    async with http.stream("GET", url) as response:
        response.raise_for_status()
        async for piece in response.aiter_bytes():
            content += piece
            if len(content) > MAX_BYTES:
                raise ValueError(f"{url} sends more than {MAX_BYTES} bytes")
    told = json.loads(content)
    if not isinstance(told, dict):
        raise ValueError(f"{url} sends no JSON object")
    return told


def _usable(jwks: dict[str, Any]) -> list[Key]:
    """Those that can check a signature. One of a kind that nobody knows here is no reason to forget the others."""
    return [key for each in jwks.get("keys", []) if (key := _imported(each)) is not None]


def _imported(jwk: object) -> Key | None:
    if not isinstance(jwk, dict) or str(jwk.get("kty")) not in SIGNING or jwk.get("use", "sig") != "sig":
        return None
    try:
        with warnings.catch_warnings():
            # Such as RSA of 1,024 bits.
            warnings.simplefilter("error", SecurityWarning)
            return import_key({name: value for name, value in jwk.items() if name != "key_ops"})
    except Exception as error:  # What is missing in a key, or of no type that it should have, is found in many ways.
        log.warning("a key of the provider cannot be used", kid=jwk.get("kid"), reason=repr(error))
        return None


def _within(moment: float | None, seconds: float) -> bool:
    return moment is not None and time.monotonic() - moment < seconds
