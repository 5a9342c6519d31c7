"""The OpenAPI 3.1 document of this API: its routes, their rules and their models, put together."""

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, TypeAlias

from pydantic import BaseModel
from pydantic.json_schema import JsonSchemaMode, models_json_schema

import streamforge
from streamforge.access.caller import Need
from streamforge.api.http.authentication import COOKIE, COOKIE_BEHIND_TLS
from streamforge.api.http.idempotency import HEADER
from streamforge.api.http.problems import MEDIA_TYPE, Problem, phrase_of
from streamforge.api.http.rules import SCOPES, GuardedRoute, GuardedWebSocketRoute
from streamforge.api.openapi.headers import ALWAYS, HEADERS, OF_STATUS
from streamforge.api.openapi.operation import TEXT, Answer, Content, Header, Operation, Schema
from streamforge.errors import (
    ControlCharacter,
    CredentialInvalid,
    CredentialMissing,
    DatabaseUnavailable,
    ForeignPage,
    HeadTimedOut,
    HeadTooLarge,
    IdempotencyInFlight,
    IdempotencyKeyReused,
    InvalidField,
    MalformedHttp,
    PlaybackExpired,
    PlaybackRefused,
    ProviderUnavailable,
    RequestTimedOut,
    ScopeMissing,
    ServerStopping,
    StreamForgeError,
    TooManyAttempts,
    TooManyRequests,
    UnknownHost,
)

GuardedRoutes: TypeAlias = Sequence[GuardedRoute | GuardedWebSocketRoute]
Errors: TypeAlias = tuple[type[StreamForgeError], ...]

SAYS = """\
A video comes in, a verified HLS + DASH stream comes out, and everybody who is interested watches it happen live.

Errors are `application/problem+json` (RFC 9457) with a stable `code`. Every GET can be asked with HEAD, too. An address that is
not here answers 404 `not_found`, a method that an address does not know 405 `method_not_allowed`. Vocabularies such as
stages grow with time; a field that a client does not know is for newer ones.

OpenAPI has no words for server-sent events and WebSockets: `x-events` and `x-websocket` say what is in them."""

TAGS = {
    "jobs": "Send videos, look at what becomes of them, cancel them.",
    "uploads": "Uploads that can be resumed, by the tus protocol 1.0.0: tus-js-client and Uppy speak it.",
    "events": "Every change of a job is an event in a log, which can be read in pages and followed live.",
    "reports": "Jobs that workers outside of this service report on, and any job in the words in which they do.",
    "playback": "What players ask for.",
    "webhooks": "Addresses of yours that are told of what happens, by requests as https://www.standardwebhooks.com has them.",
    "callers": "Who asks: keys and tokens in a header; sessions and tickets for browsers, which cannot always send one.",
    "operations": "For who runs this server.",
}

ANY: Errors = (
    MalformedHttp,
    ControlCharacter,
    HeadTimedOut,
    HeadTooLarge,
    UnknownHost,
    RequestTimedOut,
    ServerStopping,
    DatabaseUnavailable,
    TooManyRequests,
    TooManyAttempts,
)
"""What any request may be answered with."""
SOMEBODY: Errors = (CredentialMissing, CredentialInvalid, ScopeMissing, ProviderUnavailable)
"""Where somebody has to say who they are."""
PLAYBACK: Errors = (*SOMEBODY, PlaybackRefused, PlaybackExpired)

UUID_SCHEMA: Schema = {"type": "string", "format": "uuid"}
PATH: dict[str, tuple[str, Schema]] = {
    "job_id": ("Of the job: a UUID with its dashes.", UUID_SCHEMA),
    "batch_id": ("Of the batch: a UUID with its dashes.", UUID_SCHEMA),
    "upload_id": ("Of the upload: a UUID with its dashes.", UUID_SCHEMA),
    "webhook_id": (
        "Of the webhook: a UUID; `jobs` where addresses of jobs are meant.",
        {"type": "string", "pattern": "^(jobs|[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12})$"},
    ),
    "delivery_id": ("Of the delivery: a UUID.", UUID_SCHEMA),
    "worker_id": (
        "As `GET /workers` calls it, like `4711@encoder-3`.",
        {"type": "string", "pattern": "^[0-9]+@[A-Za-z0-9.-]+$"},
    ),
    "key_id": ("32 hex digits; the playlist has it.", {"type": "string", "pattern": "^[0-9a-fA-F]{32}$"}),
    "signature": ("As it stands in a signed address.", {"type": "string", "pattern": r"^~1-\d+-[A-Za-z0-9_-]+$"}),
    "path": ("Of a file in the stream's folder, like `master.m3u8` or `720p/0.m4s`.", TEXT),
}

SECURITY_SCHEMES: dict[str, Schema] = {
    "bearer": {
        "type": "http",
        "scheme": "bearer",
        "description": "An API key (`streamforge api-keys create`), or a token of an OpenID provider.",
    },
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": COOKIE,
        "description": f"Of `POST /session`; behind TLS it is called `{COOKIE_BEHIND_TLS}`.",
    },
    "ticket": {
        "type": "apiKey",
        "in": "query",
        "name": "ticket",
        "description": "Of `POST /tickets`: for one address, for a minute, and once.",
    },
}

_Used: TypeAlias = tuple[type[BaseModel], JsonSchemaMode]
_REF = "#/components/schemas/{model}"


def document(routes: GuardedRoutes, *, are_callers_known: bool) -> dict[str, Any]:
    """`are_callers_known`: whether somebody has to say who they are. Else they may, and need not."""
    models = _Models(routes)
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path_format, {})[method_of(route)] = _operation(route, models, are_callers_known)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "StreamForge",
            "version": streamforge.__version__,
            "description": SAYS,
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/", "description": "This server."}],
        "tags": [{"name": name, "description": says} for name, says in TAGS.items()],
        "paths": paths,
        "components": {
            "schemas": models.definitions,
            "headers": {name: {"description": says, "schema": schema} for name, (says, schema) in HEADERS.items()},
            "securitySchemes": SECURITY_SCHEMES,
        },
    }


def method_of(route: GuardedRoute | GuardedWebSocketRoute) -> str:
    """A handshake of a WebSocket is a GET."""
    (method,) = (getattr(route, "methods", None) or {"GET"}) - {"HEAD"}
    return str(method).lower()


class _Models:
    """All models that the routes speak of, as schemas under names that tell apart those of the same name."""

    def __init__(self, routes: GuardedRoutes) -> None:
        used = (each for route in routes for each in _models_of(route.operation))
        # In the order in which they are met, so that the document is the same each time.
        met: list[_Used] = list(dict.fromkeys([(Problem, "serialization"), *used]))
        self._names, schemas = models_json_schema(met, ref_template=_REF)
        self.definitions: dict[str, Any] = schemas.get("$defs", {})

    def schema(self, content: Content, mode: JsonSchemaMode = "serialization") -> Schema:
        if isinstance(content, type):
            return dict(self._names[content, mode])
        return {name: self._inside(value) for name, value in content.items()}

    def _inside(self, value: Any) -> Any:
        if isinstance(value, type):
            return self.schema(value)
        if isinstance(value, dict):
            return self.schema(value)
        return [self._inside(each) for each in value] if isinstance(value, list) else value


def _models_of(operation: Operation) -> Iterator[_Used]:
    for answer in operation.answers:
        for content in answer.content.values():
            yield from ((model, "serialization") for model in _types_in(content))
    yield from ((model, "serialization") for model in _types_in(dict(operation.extensions)))
    if operation.body is not None:
        yield from ((model, "validation") for model in (operation.body.content, *operation.body.others.values()))


def _types_in(value: Any) -> Iterator[type[BaseModel]]:
    if isinstance(value, type):
        yield value
    elif isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from _types_in(each)


def _operation(route: GuardedRoute | GuardedWebSocketRoute, models: _Models, are_callers_known: bool) -> dict[str, Any]:
    operation = route.operation
    described = {
        "operationId": _operation_id(route),
        "tags": [operation.tag],
        "summary": operation.summary,
        "description": "\n\n".join(part for part in (operation.says, _rule(route.needs)) if part),
        "parameters": [*_path_parameters(route), *_query_parameters(operation), *_header_parameters(route)],
        "requestBody": _body(operation, models),
        "responses": _responses(route, models),
        "security": _security(route, are_callers_known),
    }
    extensions = {name: models.schema(value) for name, value in operation.extensions.items()}
    return {name: value for name, value in described.items() if value is not None} | extensions


def _operation_id(route: GuardedRoute | GuardedWebSocketRoute) -> str:
    """After the handler, and what tells two routes with the same one apart."""
    return route.name + ("_signed" if "{signature}" in route.path_format else "")


def _rule(need: Need) -> str:
    if need is Need.PUBLIC:
        return ""
    if need is Need.PLAYBACK:
        return "For everybody who knows the id where the stream is public; else by a signed address, or for its owner."
    return f"Needs the scope `{SCOPES[need]}`, where somebody has to say who they are."


def _path_parameters(route: GuardedRoute | GuardedWebSocketRoute) -> Iterator[Schema]:
    for name in re.findall(r"{(\w+)}", route.path_format):
        says, schema = PATH[name]
        yield {"name": name, "in": "path", "required": True, "description": says, "schema": schema}


def _query_parameters(operation: Operation) -> Iterator[Schema]:
    for parameter in operation.parameters:
        yield {"name": parameter.name, "in": "query", "description": parameter.says, "schema": parameter.schema}


IDEMPOTENCY_KEY = Header(
    HEADER,
    "A name for this request, such as a new UUID: sent again within a day with the same body it is answered the same.",
    {"type": "string", "minLength": 1, "maxLength": 255, "pattern": "^[!-~]+$"},
)


def _header_parameters(route: GuardedRoute | GuardedWebSocketRoute) -> Iterator[Schema]:
    named = (IDEMPOTENCY_KEY,) if isinstance(route, GuardedRoute) and route.is_done_once else ()
    for header in (*named, *route.operation.headers):
        yield {"name": header.name, "in": "header", "description": header.says, "schema": header.schema}


def _body(operation: Operation, models: _Models) -> Schema | None:
    body = operation.body
    if body is None:
        return None
    content: Schema = {"schema": models.schema(body.content, "validation")}
    if body.encoding:
        content["encoding"] = {name: {"contentType": media_type} for name, media_type in body.encoding.items()}
    others = {media_type: {"schema": models.schema(model, "validation")} for media_type, model in body.others.items()}
    return {"required": True, "content": {body.media_type: content, **others}}


def _responses(route: GuardedRoute | GuardedWebSocketRoute, models: _Models) -> dict[str, Schema]:
    """Errors by their status; where an answer has the same one, an address has both."""
    responses: dict[str, Schema] = {}
    for status, codes in sorted(_codes(route).items()):
        responses[str(status)] = _problem(status, codes, models)
    for answer in route.operation.answers:
        described, refused = _answer(answer, models), responses.get(str(answer.status))
        if refused is not None:
            described["content"] |= refused["content"]
        responses[str(answer.status)] = described
    return dict(sorted(responses.items()))


def _codes(route: GuardedRoute | GuardedWebSocketRoute) -> dict[int, list[str]]:
    codes: dict[int, list[str]] = {500: ["internal"], 404: []}
    for error in dict.fromkeys((*ANY, *_of_rule(route), *route.operation.errors)):
        codes.setdefault(error.http_status, []).append(error.code)
    # An id may have a slash: then it is another address, or none.
    if "{" in route.path_format or isinstance(route, GuardedWebSocketRoute):
        codes[404].append("not_found")
    return {status: found for status, found in codes.items() if found}


def _of_rule(route: GuardedRoute | GuardedWebSocketRoute) -> Errors:
    changes: Errors = (ForeignPage,) if method_of(route) != "get" else ()
    if isinstance(route, GuardedRoute) and route.is_done_once:
        changes = (*changes, InvalidField, IdempotencyInFlight, IdempotencyKeyReused)
    if route.needs is Need.PUBLIC:
        return changes
    return (*changes, *(PLAYBACK if route.needs is Need.PLAYBACK else SOMEBODY))


def _problem(status: int, codes: Sequence[str], models: _Models) -> Schema:
    schema: Schema = models.schema(Problem)
    if status < 500:
        schema = {"allOf": [schema, {"type": "object", "properties": {"code": {"enum": list(codes)}}}]}
    named = ", ".join(f"`{code}`" for code in codes)
    return {
        "description": f"{phrase_of(status)}: {named}.",
        "headers": _headers([*ALWAYS, *OF_STATUS.get(status, ())]),
        "content": {MEDIA_TYPE: {"schema": schema}},
    }


def _answer(answer: Answer, models: _Models) -> Schema:
    described: Schema = {"description": answer.says, "headers": _headers([*ALWAYS, *answer.headers])}
    if answer.content:
        described["content"] = {name: {"schema": models.schema(content)} for name, content in answer.content.items()}
    return described


def _headers(names: Iterable[str]) -> Mapping[str, Schema]:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in names}


def _security(route: GuardedRoute | GuardedWebSocketRoute, are_callers_known: bool) -> list[dict[str, list[str]]]:
    if route.needs is Need.PUBLIC:
        return []
    roles = [] if route.needs is Need.PLAYBACK else [str(SCOPES[route.needs])]
    schemes = ["bearer", "session", *(["ticket"] if method_of(route) == "get" else [])]
    nobody: list[dict[str, list[str]]] = [{}] if route.needs is Need.PLAYBACK or not are_callers_known else []
    return [*nobody, *({scheme: roles} for scheme in schemes)]
