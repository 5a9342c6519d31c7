"""Secrets never stand in a log: neither those that this process knows, nor what looks like one of a caller's.

A log is copied to places that nobody thinks of: collectors, tickets, chats. What is taken out is the secret, not the line: whose
key it was, and which host a webhook had, stay.
"""

import os
import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from pydantic import BaseModel, SecretStr

from streamforge.settings import Settings

GONE = "***"
SHORTEST_KNOWN = 6
"""Characters: to take out shorter ones would make holes in words, and no secret is that short."""

FROM_THE_ENVIRONMENT = ("AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "OTEL_EXPORTER_OTLP_HEADERS", "PGPASSWORD")

_WORDS = r"(?:secret|passwords?|passwd|token|authorization|cookie|api[_-]?key|ticket|signature|credentials?)"

_SECRET_FIELD = re.compile(rf"(?:.*[_.-])?{_WORDS}", re.IGNORECASE)
_WEBHOOK_FIELD = re.compile(r"(?:.*_)?webhook(?:_url)?", re.IGNORECASE)

_RULES: tuple[tuple[re.Pattern[str], str], ...] = (
    # Authorization, whatever the scheme says.
    (re.compile(r"\b(bearer|basic)\s+[^\s,;\"'\\]+", re.IGNORECASE), rf"\1 {GONE}"),
    # JSON Web Tokens: `{"` in base64, twice.
    (re.compile(r"\beyJ[\w-]{4,}\.[\w-]+(?:\.[\w-]*)*"), GONE),
    # API keys: their first part is a name that may be told.
    (re.compile(r"\b(sf_[A-Za-z0-9]{4,16})_[A-Za-z0-9]{8,}"), rf"\1_{GONE}"),
    # Sessions and tickets, whatever they begin with.
    (re.compile(r"\b(sf(?:session|ticket|[st])_)[\w.~-]{8,}"), rf"\1{GONE}"),
    # user:password@ of a DSN, a bucket, a webhook.
    (re.compile(r"(\b[a-z][a-z0-9+.-]*://)[^\s/?#\"'\\]*@", re.IGNORECASE), rf"\1{GONE}@"),
    # The signature in the path of a signed address.
    (re.compile(r"/(?:~|%7e)[^/\s?#\"'\\]+", re.IGNORECASE), f"/~{GONE}"),
    # Webhooks: the rest of the address is often the password.
    (
        re.compile(r"(webhook(?:_url)?[\"']?\s*[:=]\s*[\"']?\w+://[^\s\"'/?#\\]+)[^\s\"'\\]*", re.IGNORECASE),
        r"\1/…",
    ),
    # Of a query: ours, and those of presigned addresses of a bucket.
    (
        re.compile(
            r"([?&;][\w.%-]*(?:token|ticket|secret|sig|password|key|session|credential|auth)[\w.%-]*=)[^&;\s\"'#\\]+",
            re.I,
        ),
        rf"\1{GONE}",
    ),
    # `password=…`, `"token": "…"` in somebody's words.
    (
        re.compile(rf"(\b[\w.-]*{_WORDS}[\"']?\s*[:=]\s*[\"']?)(?!\*\*\*|bearer|basic)[^\s\"',;&}})\\]+", re.I),
        rf"\1{GONE}",
    ),
    # Ids of keys of S3: half of a pair.
    (re.compile(r"\b(?:AKIA|ASIA)[A-Z0-9]{12,}\b"), GONE),
)


class Redactor:
    """A structlog processor: behind all that add to a line, before the one that renders it."""

    def __init__(self, known: Iterable[str] = ()) -> None:
        """`known` are secrets of this installation, taken out wherever they stand."""
        forms = {form for secret in known for form in (secret, quote(secret, safe=""), unquote(secret))}
        longest_first = sorted((form for form in forms if len(form) >= SHORTEST_KNOWN), key=len, reverse=True)
        self._known = re.compile("|".join(map(re.escape, longest_first))) if longest_first else None

    def __call__(self, _logger: Any, _method: str, line: Any) -> Any:
        return {name: self._of_field(str(name), value) for name, value in line.items()}

    def text(self, text: str) -> str:
        if self._known is not None:
            text = self._known.sub(GONE, text)
        for pattern, instead in _RULES:
            text = pattern.sub(instead, text)
        return text

    def _of_field(self, name: str, value: Any) -> Any:
        if value is None or isinstance(value, bool | int | float):
            return value
        if _SECRET_FIELD.fullmatch(name):
            return GONE
        if _WEBHOOK_FIELD.fullmatch(name):
            return _host_only(str(value))
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
