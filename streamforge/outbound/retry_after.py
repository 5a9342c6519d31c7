"""What another server asks for in `Retry-After` (RFC 9110 §10.2.3)."""

from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MOST_DIGITS = 9
"""A stranger may send a number of thousands of digits, which Python refuses to read."""


def seconds_to_wait(text: str | None, now: datetime) -> float | None:
    """From `now` on, at least 0, of seconds or a date. None for what is neither. A date without a zone is UTC, as all dates of
    HTTP are."""
    if text is None:
        return None
    if text.isascii() and text.isdigit():
        return float(text[:MOST_DIGITS])
    try:
        moment = parsedate_to_datetime(text)
    except (ValueError, TypeError):
        return None
    return max(0.0, (moment.replace(tzinfo=moment.tzinfo or UTC) - now).total_seconds())
