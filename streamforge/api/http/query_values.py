"""Numbers and moments in a query."""

from datetime import UTC, datetime

from starlette.datastructures import QueryParams

from streamforge.errors import InvalidField


def number(query: QueryParams, name: str, *, default: int, lowest: int, highest: int) -> int:
    """Raises InvalidField."""
    text = query.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) <= 19 and lowest <= int(text) <= highest):
        raise InvalidField(f"`{name}` is a number from {lowest} to {highest}.")
    return int(text)


def moment(query: QueryParams, name: str) -> datetime | None:
    """In UTC, also where no zone is named. Raises InvalidField."""
    text = query.get(name)
    if text is None:
        return None
    try:
        # A plus sign that was not escaped arrives as a space.
        found = datetime.fromisoformat(text.replace(" ", "+"))
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise InvalidField(f"`{name}` is a time like 2026-01-31T12:00:00Z.") from error
