"""Parameters of a query: each says what may be in it, and reads it. All `of` raise InvalidField."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.datastructures import QueryParams

from streamforge.errors import InvalidField


@dataclass(frozen=True)
class Text:
    name: str
    says: str
    format: str | None = None

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "string"} | ({"format": self.format} if self.format else {})

    def of(self, query: QueryParams) -> str | None:
        return query.get(self.name)


@dataclass(frozen=True)
class Number:
    name: str
    says: str
    lowest: int
    highest: int
    default: int

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "integer", "minimum": self.lowest, "maximum": self.highest, "default": self.default}

    def of(self, query: QueryParams) -> int:
        text = query.get(self.name)
        if text is None:
            return self.default
        if not (text.isascii() and text.isdigit() and len(text) <= 19 and self.lowest <= int(text) <= self.highest):
            raise InvalidField(f"`{self.name}` is a number from {self.lowest} to {self.highest}.")
        return int(text)


@dataclass(frozen=True)
class Moment:
    """In UTC, also where no zone is named."""

    name: str
    says: str

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "string", "format": "date-time"}

    def of(self, query: QueryParams) -> datetime | None:
        text = query.get(self.name)
        if text is None:
            return None
        try:
            # A plus sign that was not escaped arrives as a space.
            found = datetime.fromisoformat(text.replace(" ", "+"))
            return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
        except (ValueError, OverflowError) as error:
            raise InvalidField(f"`{self.name}` is a time like 2026-01-31T12:00:00Z.") from error


@dataclass(frozen=True)
class Choice:
    name: str
    says: str
    words: tuple[str, ...]

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "string", "enum": list(self.words)}

    def of(self, query: QueryParams) -> str | None:
        text = query.get(self.name)
        if text is not None and text not in self.words:
            raise InvalidField(f"`{self.name}` is one of {', '.join(self.words)}.")
        return text


@dataclass(frozen=True)
class Flag:
    """False where it is left out, or empty."""

    name: str
    says: str

    @property
    def schema(self) -> dict[str, Any]:
        return {"type": "boolean", "default": False}

    def of(self, query: QueryParams) -> bool:
        asked = query.get(self.name, "false").lower()
        if asked not in {"true", "1", "false", "0", ""}:
            raise InvalidField(f"`{self.name}` is neither true nor false.")
        return asked in {"true", "1"}
