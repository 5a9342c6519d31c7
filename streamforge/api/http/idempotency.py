"""`Idempotency-Key` (draft-ietf-httpapi-idempotency-key-header): a POST that names itself is done once, however often it comes.

A name is its owner's for a day. What succeeded is answered the same again, to the same body; to another one it is an error,
and so is a second one while the first is worked on. What was refused changed nothing and frees its name. One that failed of
us, whose sender went, or that a killed process left (it is free as soon as nobody renews it) may have been done all the same:
the next try makes what bears the same id (`made_id_of`), so that a video that was accepted just before is not accepted twice.
"""

import asyncio
import hashlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from uuid import UUID

import structlog
from starlette.datastructures import Headers
from starlette.requests import HTTPConnection
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from streamforge.api.services import AppState, owner_of, services_of
from streamforge.db.idempotency import LEASE, Answered, Begun, IdempotencyKeys
from streamforge.errors import (
    DatabaseUnavailable,
    IdempotencyInFlight,
    IdempotencyKeyReused,
    InvalidField,
    StreamForgeError,
)

HEADER = "Idempotency-Key"
MADE_ID = "made_id"
MAX_KEPT_BYTES = 256 * 1024
"""Of an answer. Those of ours are some hundred."""
MAX_UNREAD_BYTES = 1024 * 1024
"""Of a body that its handler did not want."""
NOT_KEPT = frozenset({b"x-request-id", b"date", b"server", b"connection", b"ratelimit", b"ratelimit-policy"})
"""Headers that are of one request."""

log = structlog.stdlib.get_logger(__name__)

Handle = Callable[[Scope, Receive, Send], Awaitable[None]]


def names_itself(scope: Scope) -> bool:
    return scope["type"] == "http" and scope["method"] == "POST" and HEADER in Headers(scope=scope)


def made_id_of(scope: Scope) -> UUID | None:
    """For what this request makes: the same at each try."""
    made_id: UUID | None = scope["state"].get(MADE_ID)
    return made_id


async def once(scope: Scope, receive: Receive, send: Send, handle: Handle) -> None:
    """Let `handle` answer, or answer as it did. Raises IdempotencyInFlight, IdempotencyKeyReused, InvalidField,
    DatabaseUnavailable."""
    connection: HTTPConnection[AppState] = HTTPConnection(scope)
    key = _key(Headers(scope=scope))
    keys = IdempotencyKeys(owner_of(connection), services_of(connection).database)
    action = _action(scope)
    body = _Body(receive, _boundary(Headers(scope=scope)))
    found = await keys.begin(key, action)
    if isinstance(found, Begun):
        scope["state"][MADE_ID] = found.made_id
        async with _renewed(found):
            await _first(scope, body, send, handle, found)
    else:
        await (await _as_before(found, body, action))(scope, receive, send)


def _key(headers: Headers) -> str:
    keys = headers.getlist(HEADER)
    if len(keys) != 1 or not 0 < len(keys[0]) <= 255 or not (keys[0].isascii() and keys[0].isprintable()):
        raise InvalidField(f"`{HEADER}` is there once, with 1 to 255 printable ASCII characters, as a UUID has.")
    return keys[0]


def _action(scope: Scope) -> str:
    """What is asked for beside the body. Uploads of tus say it in headers: two of another length or name are not the same."""
    asked = f"POST {scope['path']}?{scope['query_string'].decode('latin-1')}"
    said = sorted(f"{name}:{value}" for name, value in Headers(scope=scope).items() if _says_something(name))
    return f"{asked} {hashlib.sha256(repr(said).encode()).hexdigest()}" if said else asked


def _says_something(name: str) -> bool:
    return name.startswith("upload-") or name == "x-http-method-override"


def _boundary(headers: Headers) -> bytes:
    """Of a form: every try of the same has another one."""
    kind, _, rest = headers.get("content-type", "").partition("boundary=")
    return rest.partition(";")[0].strip().strip('"').encode() if kind.startswith("multipart/") else b""


class _Body:
    """A request's body as it is read, and what it comes to without the boundary of its form."""

    def __init__(self, receive: Receive, boundary: bytes) -> None:
        self._receive = receive
        self._boundary = boundary
        self._tail = b""
        self._digest = hashlib.sha256()
        self.size_bytes = 0
        self.is_over = False

    async def receive(self) -> Message:
        message = await self._receive()
        if message["type"] == "http.request":
            self._read(message.get("body", b""))
            self.is_over = not message.get("more_body", False)
        return message

    def _read(self, piece: bytes) -> None:
        content = self._tail + piece
        if self._boundary:
            content = content.replace(self._boundary, b"")
            kept = min(len(content), len(self._boundary) - 1)
            content, self._tail = content[: len(content) - kept], content[len(content) - kept :]
        self.size_bytes += len(content)
        self._digest.update(content)

    async def read_to_its_end(self, most: int) -> bool:
        """False when there is more than that, or whoever sent it is gone."""
        while not self.is_over:
            message = await self.receive()
            if message["type"] != "http.request" or self.size_bytes > most:
                return False
        return True

    @property
    def fingerprint(self) -> bytes:
        whole = self._digest.copy()
        whole.update(self._tail)
        return whole.digest()


async def _as_before(known: Answered, body: _Body, action: str) -> Response:
    if known.status is None:
        raise IdempotencyInFlight(f"A request with this `{HEADER}` is being worked on; ask again when it is answered.")
    reused = IdempotencyKeyReused(f"Another request was sent with this `{HEADER}`; give each a name of its own.")
    if known.action != action or not await body.read_to_its_end(known.size_bytes or 0):
        raise reused
    if body.fingerprint != known.fingerprint:
        raise reused
    again = Response(known.body, known.status)
    again.raw_headers = [(name.encode("latin-1"), value.encode("latin-1")) for name, value in known.headers or []]
    again.headers["Idempotency-Replayed"] = "true"
    return again


async def _first(scope: Scope, body: _Body, send: Send, handle: Handle, begun: Begun) -> None:
    """The answer is kept before it is told: whoever has heard it hears it again."""
    messages: list[Message] = []

    async def keep(message: Message) -> None:
        messages.append(message)
        if message["type"] == "http.response.body" and not message.get("more_body", False):
            await _end(begun, body, messages)
            for each in messages:
                await send(each)

    try:
        await handle(scope, body.receive, keep)
    except BaseException as error:
        refused = isinstance(error, StreamForgeError) and error.http_status < 500
        await asyncio.shield(_let_go(begun.release if refused else begun.abandon))
        raise


async def _end(begun: Begun, body: _Body, messages: list[Message]) -> None:
    """What cannot be kept now was done all the same; the next try makes it under the same id."""
    start, told = messages[0], b"".join(each.get("body", b"") for each in messages[1:])
    if not 200 <= start["status"] < 300:
        await _let_go(begun.release if start["status"] < 500 else begun.abandon)
        return
    if len(told) > MAX_KEPT_BYTES or not await body.read_to_its_end(body.size_bytes + MAX_UNREAD_BYTES):
        await _let_go(begun.abandon)
        return
    headers = [
        (name.decode("latin-1"), value.decode("latin-1")) for name, value in start["headers"] if name not in NOT_KEPT
    ]
    try:
        await begun.end(
            Answered(
                action="",
                fingerprint=body.fingerprint,
                size_bytes=body.size_bytes,
                status=start["status"],
                headers=headers,
                body=told,
            )
        )
    except DatabaseUnavailable as error:
        log.warning("an answer could not be kept", reason=error.debug)


async def _let_go(how: Callable[[], Awaitable[None]]) -> None:
    try:
        await how()
    except DatabaseUnavailable as error:
        log.warning("a name is free only when its lease is over", reason=error.debug)


@asynccontextmanager
async def _renewed(begun: Begun) -> AsyncIterator[None]:
    """As long as the block lasts: an upload takes hours."""

    async def renew() -> None:
        while True:
            await asyncio.sleep(LEASE.total_seconds() / 3)
            try:
                await begun.renew()
            except DatabaseUnavailable as error:
                log.warning("a lease could not be renewed", reason=error.debug)

    task = asyncio.create_task(renew(), name="lease of a request")
    try:
        yield
    finally:
        task.cancel()
