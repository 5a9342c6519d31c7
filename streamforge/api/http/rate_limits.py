"""How often somebody may ask. Told in the fields of draft-ietf-httpapi-ratelimit-headers: `RateLimit-Policy`, `RateLimit`."""

from starlette.requests import HTTPConnection
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from streamforge.access.caller import ANYBODY, Caller
from streamforge.access.rates import Rate, Rates
from streamforge.api.http.hardening import is_for_players
from streamforge.api.http.middleware import CONNECTIONS, HEADS, address_of
from streamforge.api.http.problems import problem_of
from streamforge.errors import CredentialInvalid, TooManyAttempts, TooManyRequests
from streamforge.settings import Settings

NOT_COUNTED = frozenset({"/health", "/ready"})
"""Asked for by whatever watches over the service."""


class RateLimits:
    """Behind Authentication: a key, session or token is counted by itself, wherever it is shown; who shows none by the address.
    Not media and keys, of which one player asks for hundreds, and a whole office from one address."""

    def __init__(self, app: ASGIApp, settings: Settings) -> None:
        self.app = app
        self._of_callers = settings.limit("requests_per_minute")
        self._of_addresses = settings.limit("requests_per_minute_without_caller")
        self._failed = settings.limit("failed_attempts_per_minute")

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] not in CONNECTIONS or scope["path"] in NOT_COUNTED or is_for_players(scope["path"]):
            await self.app(scope, receive, send)
            return
        rate = await self._counted(scope)
        answer = self.app
        if rate is not None and not rate.is_within:
            answer = problem_of(HTTPConnection(scope), _refusal(rate))
        await answer(scope, receive, send if rate is None else _telling(rate, send))

    async def _counted(self, scope: Scope) -> Rate | None:
        rates: Rates = scope["state"]["services"].rates
        caller = scope["state"]["caller"]
        address = address_of(scope)
        if isinstance(caller, CredentialInvalid) and self._failed is not None:
            rate = await rates.hit("attempts", address, self._failed)
            if not rate.is_within:
                return rate
        is_known = isinstance(caller, Caller) and caller != ANYBODY
        limit = self._of_callers if is_known else self._of_addresses
        return None if limit is None else await rates.hit("requests", _name(caller) if is_known else address, limit)


def _name(caller: Caller) -> str:
    """Tickets and sessions count for what they were made of: to make many of them gains nothing."""
    return f"{caller.owner} {caller.credential.removeprefix('ticket:').removeprefix('session:')}"


def _refusal(rate: Rate) -> TooManyRequests | TooManyAttempts:
    if rate.name == "attempts":
        return TooManyAttempts("Too many credentials that are none came from your address.", retry_after=rate.reset)
    return TooManyRequests(f"More than {rate.limit} requests in a minute.", retry_after=rate.reset)


def _telling(rate: Rate, send: Send) -> Send:
    fields = [
        (b"ratelimit-policy", f'"{rate.name}";q={rate.limit};w={rate.window}'.encode()),
        (b"ratelimit", f'"{rate.name}";r={rate.left};t={rate.reset}'.encode()),
    ]

    async def told(message: Message) -> None:
        if message["type"] in HEADS:
            message["headers"] = [*message.get("headers", ()), *fields]
        await send(message)

    return told
