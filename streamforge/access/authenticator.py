"""From what a request shows to the caller it proves."""

from dataclasses import dataclass

from streamforge.access.api_keys import ApiKeys, looks_like_one
from streamforge.access.caller import ANYBODY, Caller
from streamforge.access.sessions import Sessions
from streamforge.access.tickets import Tickets
from streamforge.access.tokens import Tokens
from streamforge.errors import CredentialMissing
from streamforge.settings import Settings


@dataclass(frozen=True)
class Shown:
    """What a request shows of its caller, and does not prove yet. `address`: what the ticket is shown for."""

    bearer: str | None = None
    ticket: str | None = None
    address: str = ""
    cookie: str | None = None


class Authenticator:
    def __init__(self, settings: Settings, keys: ApiKeys, tickets: Tickets, sessions: Sessions) -> None:
        self._required = settings.auth.required
        self._keys = keys
        self._tickets = tickets
        self._sessions = sessions
        self._tokens = Tokens(settings.auth.oidc) if settings.auth.oidc.issuer is not None else None

    async def caller(self, shown: Shown) -> Caller:
        """Raises CredentialMissing, CredentialInvalid, DatabaseUnavailable, ProviderUnavailable."""
        if not self._required:
            return ANYBODY
        if shown.bearer is not None:
            return await self._of_bearer(shown.bearer)
        if shown.ticket is not None:
            return await self._tickets.caller(shown.ticket, shown.address)
        if shown.cookie is not None:
            return await self._sessions.caller(shown.cookie)
        raise CredentialMissing("Say who you are: send an API key as `Authorization: Bearer sf_…`.")

    async def _of_bearer(self, bearer: str) -> Caller:
        if self._tokens is not None and not looks_like_one(bearer):
            return await self._tokens.caller(bearer)
        return await self._keys.caller(bearer)
