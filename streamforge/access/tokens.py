"""Access tokens of an OpenID provider: signed JWTs (RFC 9068), checked here without asking it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from joserfc import jws, jwt
from joserfc.errors import ExpiredTokenError, JoseError
from joserfc.jwk import Key
from joserfc.jwt import JWTClaimsRegistry

from streamforge.access.caller import TOKEN, Caller, Scope, scopes_named
from streamforge.access.signing_keys import SigningKeys
from streamforge.db.jobs import EVERYONE
from streamforge.errors import CredentialInvalid
from streamforge.settings import OidcSettings

MAX_LENGTH = 16 * 1024
MAX_KEYS_TRIED = 8
"""Of a token that does not name its key."""
TYPES = frozenset({"jwt", "at+jwt", "application/at+jwt"})
"""In `typ`. Others are for other uses, such as the logout tokens of OpenID Connect."""
PLAIN = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.@-")
MAX_OWNER_LENGTH = 128


class Tokens:
    def __init__(self, settings: OidcSettings) -> None:
        self._settings = settings
        self._keys = SigningKeys(settings)
        self._claims = JWTClaimsRegistry(
            leeway=settings.clock_skew_seconds,
            iss={"essential": True, "value": settings.issuer or ""},
            aud={"essential": True, "value": settings.audience or ""},
            exp={"essential": True},
        )

    async def caller(self, token: str) -> Caller:
        """Raises CredentialInvalid, ProviderUnavailable."""
        claims = await self._verified(token)
        owner = owner_of_claim(claims.get(self._settings.owner_claim))
        return Caller(owner, self._scopes(claims), f"{TOKEN}:{owner}", self._end(claims))

    async def _verified(self, token: str) -> dict[str, Any]:
        """What the token claims. Raises CredentialInvalid, ProviderUnavailable."""
        kid = self._key_named(token)
        claims = _signed(token, await self._keys.named(kid), self._settings.algorithms)
        try:
            self._claims.validate(claims)
        except ExpiredTokenError as error:
            raise CredentialInvalid("This token has expired.") from error
        except JoseError as error:
            raise CredentialInvalid("This token is not meant for this server.", debug=str(error)) from error
        return claims

    def _key_named(self, token: str) -> str | None:
        """Looked at before anything is fetched: what nobody here would accept fetches nothing."""
        try:
            header = jws.extract_compact(token[: MAX_LENGTH + 1].encode("ascii")).headers()
            kid, is_token = header.get("kid"), str(header.get("typ", "jwt")).lower() in TYPES
        except (JoseError, ValueError, TypeError, AttributeError) as error:
            raise _unknown() from error
        acceptable = is_token and header.get("alg") in self._settings.algorithms
        if len(token) > MAX_LENGTH or not acceptable or not isinstance(kid, str | None):
            raise _unknown()
        return kid

    def _scopes(self, claims: dict[str, Any]) -> frozenset[Scope]:
        """Words in one text (RFC 9068), or a list, as some providers have it."""
        claim, prefix = claims.get(self._settings.scope_claim, ""), self._settings.scope_prefix
        names = claim.split() if isinstance(claim, str) else claim if isinstance(claim, list) else []
        return scopes_named(str(name).removeprefix(prefix) for name in names if str(name).startswith(prefix))

    def _end(self, claims: dict[str, Any]) -> datetime:
        try:
            return datetime.fromtimestamp(claims["exp"] + self._settings.clock_skew_seconds, UTC)
        except (OverflowError, ValueError, OSError) as error:
            raise _unknown() from error


def owner_of_claim(claim: object) -> str:
    """An owner's name of what a token calls its subject. What cannot be in one is written as `+` and its bytes in hex, so
    that no two subjects are one owner: `auth0|7` is `auth0+7C7`. Raises CredentialInvalid."""
    if not isinstance(claim, str) or not claim:
        raise CredentialInvalid("This token does not say whose it is.")
    owner = "".join(each if each in PLAIN else _escaped(each) for each in claim)
    if len(owner) > MAX_OWNER_LENGTH or owner == EVERYONE:
        # Whoever could choose that name had all that was sent before anybody had to say who they are.
        raise CredentialInvalid("This token names a subject that cannot own anything here.")
    return owner


def _escaped(letter: str) -> str:
    """Also of half a surrogate pair, which JSON can hold: all of these would otherwise be one question mark."""
    return "".join(f"+{byte:02X}" for byte in letter.encode(errors="surrogatepass"))


def _signed(token: str, keys: Sequence[Key], algorithms: Sequence[str]) -> dict[str, Any]:
    """Raises CredentialInvalid."""
    for key in keys[:MAX_KEYS_TRIED]:
        try:
            return dict(jwt.decode(token, key, algorithms=algorithms).claims)
        except (JoseError, ValueError, TypeError):
            continue
    raise _unknown()


def _unknown() -> CredentialInvalid:
    return CredentialInvalid("This token is not known here.")
