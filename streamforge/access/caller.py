"""Who asks, and what they may do."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from streamforge.db.jobs import EVERYONE


class Scope(StrEnum):
    """What a credential is good for. `admin` includes the others, `submit` includes `report`."""

    SUBMIT = "submit"
    REPORT = "report"
    READ = "read"
    ADMIN = "admin"


INCLUDED_IN = {Scope.REPORT: (Scope.SUBMIT,)}
"""Whoever may make jobs may report on them."""


class Need(StrEnum):
    """What a route asks of its caller: a scope, nothing at all, or the right to watch one job (`playback`)."""

    PUBLIC = "public"
    READ = "read"
    SUBMIT = "submit"
    REPORT = "report"
    ADMIN = "admin"
    PLAYBACK = "playback"


KEY, SESSION, TOKEN, TICKET = "key", "session", "jwt", "ticket"


@dataclass(frozen=True)
class Caller:
    """Somebody who has shown what they are. `credential` says by what, without giving it away: `anonymous`, `key:PREFIX`,
    `jwt:SUBJECT`, and in front of these `session:` or `ticket:` where one was made of it. `expires_at`: when that ends.
    `stands_on`: names of what may be revoked before, `key:PREFIX` and `session:ID`; see streamforge.access.standing."""

    owner: str
    scopes: frozenset[Scope]
    credential: str
    expires_at: datetime | None = None
    stands_on: frozenset[str] = frozenset()

    def may(self, scope: Scope) -> bool:
        return not self.scopes.isdisjoint({scope, Scope.ADMIN, *INCLUDED_IN.get(scope, ())})


ANYBODY = Caller(EVERYONE, frozenset(Scope), "anonymous")
"""Everybody, as long as nobody has to say who they are."""


def scopes_named(names: Iterable[str]) -> frozenset[Scope]:
    """Those that are ours: others, such as `openid`, are for other servers."""
    return frozenset(Scope(name) for name in names if name in list(Scope))


def key_of(prefix: str) -> str:
    return f"{KEY}:{prefix}"


def session_of(session_id: str) -> str:
    return f"{SESSION}:{session_id}"
