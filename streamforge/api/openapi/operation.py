"""What one address does, in the words of OpenAPI. It stands beside its handler, and the document is made of nothing else."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeAlias, TypeVar

from pydantic import BaseModel

from streamforge.errors import StreamForgeError

Schema: TypeAlias = dict[str, Any]
"""JSON Schema, as OpenAPI 3.1 has it."""
Content: TypeAlias = type[BaseModel] | Schema

TEXT: Schema = {"type": "string"}
BYTES: Schema = {"type": "string", "format": "binary"}

H = TypeVar("H", bound=Callable[..., Any])


class Parameter(Protocol):
    """Of a query."""

    @property
    def name(self) -> str: ...
    @property
    def says(self) -> str: ...
    @property
    def schema(self) -> Schema: ...


@dataclass(frozen=True)
class Header:
    """Of a request."""

    name: str
    says: str
    schema: Schema = field(default_factory=lambda: TEXT)


@dataclass(frozen=True)
class Body:
    """What a request must hold. `encoding` is for parts of a form that are not plain text; `others` for what may come in its
    place, by media type."""

    media_type: str
    content: type[BaseModel]
    encoding: Mapping[str, str] = field(default_factory=dict)
    others: Mapping[str, type[BaseModel]] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """One that is no error. `headers` are names out of streamforge.api.openapi.headers."""

    status: int
    says: str
    content: Mapping[str, Content] = field(default_factory=dict)
    headers: tuple[str, ...] = ()


def json_of(status: int, says: str, model: type[BaseModel], *headers: str) -> Answer:
    return Answer(status, says, {"application/json": model}, headers)


@dataclass(frozen=True)
class Operation:
    """`errors` are those of its own: what any request may be answered with, and what follows from its rule, is added.
    `extensions` are for what OpenAPI has no words for."""

    tag: str
    summary: str
    answers: tuple[Answer, ...]
    says: str = ""
    errors: tuple[type[StreamForgeError], ...] = ()
    parameters: tuple[Parameter, ...] = ()
    headers: tuple[Header, ...] = ()
    body: Body | None = None
    extensions: Mapping[str, Any] = field(default_factory=dict)


_ATTRIBUTE = "__operation__"


def describes(operation: Operation) -> Callable[[H], H]:
    """Says what a handler does."""

    def describe(handler: H) -> H:
        setattr(handler, _ATTRIBUTE, operation)
        return handler

    return describe


def operation_of(handler: Callable[..., Any]) -> Operation:
    """Raises TypeError for a handler that nothing describes: no route can be made with it."""
    operation = getattr(handler, _ATTRIBUTE, None)
    if not isinstance(operation, Operation):
        raise TypeError(f"{handler!r} is not described: see streamforge.api.openapi.operation.describes")
    return operation
