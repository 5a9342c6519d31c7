"""The fields of `POST /process` beside the video: each is checked as soon as it has arrived."""

import json
import re
import unicodedata
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal
from typing import Any, get_args
from urllib.parse import urlsplit

from streamforge.contracts.ids import clean_key
from streamforge.contracts.job import OnDamage
from streamforge.contracts.stored import MAX_DEPTH, is_deeper_than
from streamforge.errors import InvalidField

MAX_METADATA_BYTES = 16 * 1024
MAX_EXTERNAL_ID = 255
MAX_URL = 2048

# Language, script, region, variants: RFC 5646 without its extensions.
_LANGUAGE_TAG = re.compile(r"[a-z]{2,3}(-[a-z]{4})?(-([a-z]{2}|\d{3}))?(-([a-z\d]{5,8}|\d[a-z\d]{3}))*", re.I | re.A)
# PostgreSQL's text cannot hold NUL, and JSON can write it.
_NUL_IN_JSON = re.compile(r"(?<!\\)(\\\\)*\\u0000")


def parse_field(name: str, text: str, profiles: Iterable[str]) -> Any:
    """The value of one field, None where an empty field means the same as none. Raises InvalidField, InvalidKey."""
    if name != "key" and not text.strip():
        return None
    if name == "profile" and text not in profiles:
        raise InvalidField(f"`profile` names no profile of this server; it has {', '.join(sorted(profiles))}.")
    return PARSERS[name](text)


def _priority(text: str) -> int:
    if text.strip() not in {"1", "2", "3", "4", "5"}:
        raise InvalidField("`priority` is a number from 1 (first) to 5 (last).")
    return int(text)


def _metadata(text: str) -> dict[str, Any]:
    if len(text.encode()) > MAX_METADATA_BYTES:
        raise InvalidField(f"`metadata` is longer than {MAX_METADATA_BYTES} bytes.")
    zeros = 0

    def number(digits: str) -> float:
        nonlocal zeros
        zeros += abs(Decimal(digits).adjusted())
        return float(digits)

    too_deep = InvalidField(f"`metadata` is nested more than {MAX_DEPTH} levels deep.")
    try:
        value = json.loads(text, parse_float=number)
        again = json.dumps(value, allow_nan=False, ensure_ascii=False)
        again.encode()
    except RecursionError as error:
        raise too_deep from error
    except ValueError as error:  # No JSON, NaN, a number without end, half a surrogate pair.
        raise InvalidField("`metadata` is not JSON that can be kept.") from error
    if not isinstance(value, dict) or _NUL_IN_JSON.search(again):
        raise InvalidField("`metadata` must be a JSON object without NUL characters.")
    if is_deeper_than(MAX_DEPTH, value):
        raise too_deep
    # PostgreSQL writes numbers out: 1e308 comes back with all its zeros, to everybody who lists jobs.
    if len(text.encode()) + zeros > MAX_METADATA_BYTES:
        raise InvalidField(f"`metadata` is longer than {MAX_METADATA_BYTES} bytes, with its numbers written out.")
    return value


def _external_id(text: str) -> str:
    if len(text) > MAX_EXTERNAL_ID or _has_control_characters(text):
        raise InvalidField(f"`external_id` is text of at most {MAX_EXTERNAL_ID} printable characters.")
    return text


def _webhook_url(text: str) -> str:
    try:
        url = urlsplit(text)
        valid = url.scheme in {"http", "https"} and bool(url.hostname) and url.port != 0
    except ValueError:
        valid = False
    if not valid or len(text) > MAX_URL or _has_control_characters(text) or " " in text:
        raise InvalidField("`webhook_url` must be an address like https://example.org/hooks/streamforge.")
    return text


def _captions(text: str) -> str:
    if text not in {"auto", "none"} and not _LANGUAGE_TAG.fullmatch(text):
        raise InvalidField("`captions` is `auto`, `none`, or a language tag like `en` or `pt-BR`.")
    return text


def _on_damage(text: str) -> str:
    if text not in get_args(OnDamage):
        raise InvalidField("`on_damage` is `fail`, or `keep`: what decodes of a cut or broken video becomes a stream.")
    return text


def _has_control_characters(text: str) -> bool:
    return any(unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} for char in text)


PARSERS: Mapping[str, Callable[[str], Any]] = {
    "key": clean_key,
    "priority": _priority,
    "profile": str,
    "metadata": _metadata,
    "external_id": _external_id,
    "webhook_url": _webhook_url,
    "captions": _captions,
    "on_damage": _on_damage,
}
