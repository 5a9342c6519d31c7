"""Secrets never stand in a log: neither those that this process knows, nor what looks like one of a caller's.

A log is copied to places that nobody thinks of: collectors, tickets, chats. What is taken out is the secret, not the line: whose
key it was, and which host a webhook had, stay.
"""

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, SecretStr

from streamforge.settings import Settings

GONE = "***"
SHORTEST_KNOWN = 6
"""Characters: to take out shorter ones would make holes in words, and no secret is that short."""

FROM_THE_ENVIRONMENT = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "OTEL_EXPORTER_OTLP_HEADERS", "PGPASSWORD")

_WORDS = r"(?:secret|passwords?|passwd|token|authorization|cookie|api[_-]?key|ticket|signature|credentials?)"

_OURS = frozenset({"timestamp", "level", "logger", "process", "job_id", "run_id", "trace_id"})
"""What no caller has a hand in, and every line has."""

_SECRET_FIELD = re.compile(rf"(?:.*[_.-])?{_WORDS}", re.IGNORECASE)
_WEBHOOK_FIELD = re.compile(r"(?:.*_)?webhook(?:_url)?", re.IGNORECASE)


@dataclass(frozen=True)
class _Rule:
    """What `pattern` finds becomes `instead`. It is only looked for where one of `signs`, in lower case, stands in the text: of
    a thousand values in a log hardly one has any, and regular expressions cost more than the rest of a line."""

    signs: tuple[str, ...]
    pattern: re.Pattern[str]
    instead: str


def _rule(signs: str, pattern: str, instead: str) -> _Rule:
    return _Rule(tuple(signs.split()), re.compile(pattern, re.IGNORECASE), instead)


_SIGNS = "secret passw token authorization cookie api_key api-key apikey ticket signature credential"

_RULES = (
    # Authorization, whatever the scheme says.
    _rule("bearer basic", r"\b(bearer|basic)\s+[^\s,;\"'\\]+", rf"\1 {GONE}"),
    # JSON Web Tokens: `{"` in base64.
    _rule("eyj", r"(?<![\w-])eyJ[\w-]{4,}\.[\w-]+(?:\.[\w-]*)*", GONE),
    # API keys: their first part is a name that may be told.
    _rule("sf_", r"\b(sf_[a-z0-9]{4,16})_[a-z0-9]{8,}", rf"\1_{GONE}"),
    # user:password@ of a DSN, a bucket, a webhook.
    _rule("@", r"(?<=://)[^\s/?#\"'\\]*@", rf"{GONE}@"),
    # The signature in the path of a signed address.
    _rule("/~ /%7e", r"/(?:~|%7e)[^/\s?#\"'\\]+", f"/~{GONE}"),
    # Webhooks: the rest of the address is often the password.
    _rule("webhook", r"(webhook(?:_url)?[\"']?\s*[:=]\s*[\"']?\w+://[^\s\"'/?#\\]+)[^\s\"'\\]*", r"\1/…"),
    # Of a query: ours, and those of presigned addresses of a bucket.
    _rule(
        "? & ;",
        r"([?&;](?=[\w.%-]*(?:token|ticket|secret|sig|password|key|session|credential|auth))[\w.%-]+=)[^&;\s\"'#\\]+",
        rf"\1{GONE}",
    ),
    # `password=…`, `"token": "…"` in somebody's words, whatever the name begins with.
    _rule(
        _SIGNS,
        rf"({_WORDS}[\"']?\s*[:=]\s*[\"']?)(?!\*\*\*|bearer|basic)[^\s\"',;&}})\\]+",
        rf"\1{GONE}",
    ),
    # Ids of keys of S3: half of a pair.
    _rule("akia asia", r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b", GONE),
)
"""None begins with as much as there is of something: a text of secret-secret-… would take seconds, in which nobody is served.
What a file says of itself, or a path, comes from strangers, and this runs in the event loop."""


class Redactor:
    """A structlog processor: behind all that add to a line, before the one that renders it."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        """`known` are secrets of this installation, taken out wherever they stand."""
        forms = {form for secret in known for form in (secret, quote(secret, safe=""), unquote(secret))}
        self._known = sorted((form for form in forms if len(form) >= SHORTEST_KNOWN), key=len, reverse=True)

    def __call__(self, _logger: Any, _method: str, line: Any) -> Any:
        return {name: self._of_field(str(name), value) for name, value in line.items()}

    def text(self, text: str) -> str:
        for secret in self._known:
            if secret in text:
                text = text.replace(secret, GONE)
        lowered = text.lower()
        for rule in _RULES:
            if any(sign in lowered for sign in rule.signs):
                text = rule.pattern.sub(rule.instead, text)
        return text

    def _of_field(self, name: str, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        match _kind_of(name):
            case "secret":
                return GONE
            case "webhook":
                return _host_only(str(value))
            case "ours":
                return value
        return self._value(value)

    def _value(self, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if isinstance(value, Mapping):
            return {self.text(str(name)): self._of_field(str(name), each) for name, each in value.items()}
        if isinstance(value, list | tuple | set | frozenset):
            return [self._value(each) for each in value]
        # What else there is would be written as its repr, secrets and all.
        return self.text(value if isinstance(value, str) else str(value))


@lru_cache(maxsize=2048)
def _kind_of(field: str) -> str:
    if _SECRET_FIELD.fullmatch(field):
        return "secret"
    if field in _OURS:
        return "ours"
    return "webhook" if _WEBHOOK_FIELD.fullmatch(field) else "other"


def secrets_of(settings: Settings) -> set[str]:
    """What the settings and the environment hold that nobody else should know."""
    dsn = urlsplit(settings.database.dsn or "").password if settings.database.dsn else None
    environment = [os.environ.get(name, "") for name in FROM_THE_ENVIRONMENT]
    return {secret for secret in [*_secret_values(settings), dsn or "", *environment] if secret}


def _secret_values(section: BaseModel) -> Iterable[str]:
    for _, value in section:
        if isinstance(value, SecretStr):
            yield value.get_secret_value()
        elif isinstance(value, BaseModel):
            yield from _secret_values(value)


def _host_only(url: str) -> str:
    try:
        parts = urlsplit(url)
    except ValueError:
        return GONE
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}/…" if parts.netloc else GONE
