"""HTTP/1.1 and WebSockets on the wire: uvicorn's protocols, and what these leave to whoever runs them.

Beside requests there is what clients do to a connection: they say nothing, send a head without an end, speak HTTP/1.0, or
offer protocols that nobody asked for. All of that ends here, in bounded time and memory, with an answer where one can
be sent.
"""

import asyncio
import fcntl
import re
import sys
import termios
from collections.abc import Callable
from typing import Any, cast
from uuid import uuid4

import httptools
import structlog
from starlette.types import Message
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from websockets.datastructures import Headers
from websockets.http11 import Response
from websockets.server import ServerProtocol

from streamforge.api.http.hardening import FOR_REFUSALS
from streamforge.api.http.pace import Pace
from streamforge.api.http.problems import MEDIA_TYPE, problem_body
from streamforge.errors import HeadTimedOut, HeadTooLarge, MalformedHttp, StreamForgeError
from streamforge.settings import ServerSettings

MAX_HEAD_BYTES = 64 * 1024
"""Of a request line with its headers; and of whatever else a client may send that is nothing: trailers, chunk sizes."""
REST_SECONDS = 600.0
"""The rest of a body whose request is answered already is read and dropped for so long, as long as it comes: clients send a
form to its end before they read that its first field was wrong."""
LINGER_SECONDS = 2.0
"""What a client still sends after we have hung up is read and dropped for so long: to close at once would have its kernel
throw away our answer."""
CODES_OF_HANDSHAKES = {414: HeadTooLarge.code, 431: HeadTooLarge.code, 500: StreamForgeError.code}
INVALID_DATA = 1007
"""Of RFC 6455: a text that is not UTF-8."""
LOOKS_AT_SLOW_CLIENTS = 8
"""Within `server.slow_client_seconds`, at how much an answer has got on."""

_HOST = re.compile(rb"(\[[0-9a-fA-F:.]+\]|[\w.~!$&'()*+,;=%-]*)(:\d*)?", re.ASCII)

_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
"""Which RFC 9110 §5.5 allows nowhere in a value, nor do we pass them on."""

log = structlog.stdlib.get_logger(__name__)


class HttpProtocol(HttpToolsProtocol):
    """One connection. Requests get a way to cut it, in their state: to close it would wait until the client has read what
    is buffered, and one that has stopped reading never does."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._settings: ServerSettings = self.app_state["services"].settings.server
        self.app_state = {**self.app_state, "abort": transport.abort}
        self._running: RequestResponseCycle | None = None
        self._in_body = False
        self._came_to_something = False
        self._bytes_for_nothing = 0
        self._upgrade_is_ignored = False
        self._an_offer_is_answered = False
        self._is_over = False
        self._rest_bytes = 0
        self._stalled: asyncio.TimerHandle | None = None
        self._due: asyncio.TimerHandle | None = None
        self._expect_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        self._end_requests()
        super().connection_lost(exc)

    # ── what a client sends ─────────────────────────────────────────────────────────────────────────────────────────
    def data_received(self, data: bytes) -> None:
        self._rest_bytes += len(data)
        if self._is_over:
            return
        self._unset_keepalive_if_required()
        self._came_to_something = False
        try:
            self._feed(data)
        except httptools.HttpParserError as error:
            self._refuse(_reason(error))
        else:
            self._bytes_for_nothing = 0 if self._came_to_something else self._bytes_for_nothing + len(data)
            if self._bytes_for_nothing > MAX_HEAD_BYTES:
                self._refuse(_too_large())

    def _feed(self, data: bytes) -> None:
        while data:
            try:
                self.parser.feed_data(data)
                return
            except httptools.HttpParserUpgrade as upgrade:
                data = self._upgrade(data[upgrade.args[0] :])

    def _upgrade(self, rest: bytes) -> bytes:
        """To a WebSocket. Any other offer is ignored, as RFC 9110 §7.8 wants it, and its request read again without it:
        the parser has taken the offer for the request's end, and its body for another protocol. Returns what is to be
        read then."""
        if not self._should_upgrade():
            return self._without_offer() + rest
        if self._is_idle():
            self._stop_waiting()
            self.handle_websocket_upgrade()
        else:
            # Its frames would get into the answer, and nobody would tell the request that its client has gone.
            self._refuse(MalformedHttp("A WebSocket cannot begin while a request is being answered."))
        return b""

    def _without_offer(self) -> bytes:
        self._upgrade_is_ignored = False
        self._an_offer_is_answered = True
        version = self.parser.get_http_version().encode()
        head = [self.parser.get_method(), b" ", self.url, b" HTTP/", version, b"\r\n"]
        for name, value in self.headers:
            if name != b"upgrade":
                head += [name, b": ", value, b"\r\n"]
        self.parser = httptools.HttpRequestParser(self)
        return b"".join([*head, b"\r\n"])

    def _should_upgrade(self) -> bool:
        # What HTTP/1.0 offers is ignored (RFC 9110 §7.8).
        return self.parser.get_http_version() != "1.0" and super()._should_upgrade()

    # ── what the parser finds in it ─────────────────────────────────────────────────────────────────────────────────
    def on_header(self, name: bytes, value: bytes) -> None:
        # Trailers would end up among the headers of a request that is being answered.
        if not self._in_body:
            if _CONTROL.search(value) is not None:
                raise MalformedHttp("A header of the request has a control character.")
            # The parser leaves the blanks behind a value, which are none of it (RFC 9112 §5).
            super().on_header(name, value.rstrip(b" \t"))

    def on_headers_complete(self) -> None:
        self._came_to_something = True
        if len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers) > MAX_HEAD_BYTES:
            raise _too_large()
        if self.parser.get_method() == b"CONNECT":
            raise MalformedHttp("This server is no proxy.")
        hosts = [value for name, value in self.headers if name == b"host"]
        if len(hosts) != 1 and (hosts or self.parser.get_http_version() != "1.0"):
            raise MalformedHttp("A request in HTTP/1.1 has one `Host` header.")
        if hosts and _HOST.fullmatch(hosts[0]) is None:
            raise MalformedHttp("The `Host` header is neither a name nor an address.")
        if self.parser.should_upgrade() and not self._should_upgrade():
            self._ignore_offer()
            return
        _cancel(self._due)
        self._in_body = True
        super().on_headers_complete()
        if not self.parser.should_upgrade():
            self._prepare(self.cycle)

    def _ignore_offer(self) -> None:
        """Each costs a copy of everything behind it: a thousand in one packet kept others waiting."""
        if self._an_offer_is_answered and not self._is_idle():
            raise MalformedHttp("Another protocol is offered again before the first offer was answered.")
        self._upgrade_is_ignored = True

    def _prepare(self, cycle: RequestResponseCycle) -> None:
        cycle.transport = cast(asyncio.Transport, _Exit(self.transport, self._close_behind_answer))
        if self.parser.get_http_version() == "1.0":
            _speak_http_1_0(cycle)

    def on_body(self, body: bytes) -> None:
        self._came_to_something = True
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._in_body = False
        self._came_to_something = True
        if self._upgrade_is_ignored:
            return
        super().on_message_complete()
        if self._is_idle():
            self._expect_head()

    # ── what it is answered ─────────────────────────────────────────────────────────────────────────────────────────
    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if not self._is_idle():
            return
        self._an_offer_is_answered = False
        if self._in_body:
            self._unset_keepalive_if_required()
            self._expect_rest(self.loop.time() + REST_SECONDS)
        else:
            self._expect_head()

    def _is_idle(self) -> bool:
        """`cycle` is the last one; while it waits for others, it is not complete either."""
        return self.cycle is None or self.cycle.response_complete

    def _close_behind_answer(self) -> None:
        """The client hears that nothing else comes, and may send its body to the end."""
        if self._in_body and self._is_idle():
            self._say_no_more()
        else:
            self.transport.close()

    def _refuse(self, error: StreamForgeError) -> None:
        """Answer, unless that would get into the middle of another answer, and hang up."""
        log.info("request refused", code=error.code, client=self.client[0] if self.client else None)
        if self._can_be_answered():
            self.transport.write(_answer(error, self.server_state.default_headers))
        self._end_requests()
        self._hang_up()

    def _can_be_answered(self) -> bool:
        if self._running is None or self._is_idle():
            return True
        return self._in_body and self.cycle is self._running and not self._running.response_started

    def _end_requests(self) -> None:
        """The application is told that its client is gone, and what it still sends goes nowhere. To uvicorn that is the
        last request, which is not the one that is being answered while others wait."""
        for cycle in [self._running, *(cycle for cycle, _ in self.pipeline)]:
            if cycle is not None and not cycle.response_complete:
                cycle.disconnected = True
                cycle.waiting_for_100_continue = False
                cycle.message_event.set()

    def _hang_up(self) -> None:
        self._say_no_more()
        self._expect_rest(self.loop.time() + LINGER_SECONDS)

    def _say_no_more(self) -> None:
        self._is_over = True
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _close(self) -> None:
        """What is buffered may still be taken."""
        self.transport.close()
        self._expect_taking()

    # ── silence ─────────────────────────────────────────────────────────────────────────────────────────────────────
    def _expect_head(self) -> None:
        """A connection that has no request under way has to bring the next one's whole head within a time."""
        self._expect(self._settings.head_timeout_seconds, self._no_head_came, self._not_taken())

    def _no_head_came(self, not_taken: int) -> None:
        seconds = self._settings.head_timeout_seconds
        if self._not_taken() and self._is_steady(not_taken - self._not_taken(), seconds):
            self._expect_head()  # The last answer is still on its way.
        elif self._bytes_for_nothing and not self.transport.is_closing():
            self._refuse(HeadTimedOut(f"The request's head did not come within {seconds:g} seconds."))
        else:
            self._close()

    def _expect_rest(self, until: float) -> None:
        """Of a body that nobody waits for; `until` a time of the loop."""
        self._rest_bytes = 0
        self._expect(min(self._settings.head_timeout_seconds, until - self.loop.time()), self._no_rest_came, until)

    def _no_rest_came(self, until: float) -> None:
        if self._is_steady(self._rest_bytes, self._settings.head_timeout_seconds) and self.loop.time() < until:
            self._expect_rest(until)
        elif self._is_over:
            self._close()
        else:
            self._hang_up()

    def _is_steady(self, byte_count: int, seconds: float) -> bool:
        return byte_count >= max(1, self._settings.min_bytes_per_second * seconds)

    def _expect(self, seconds: float, otherwise: Callable[[Any], None], told: float) -> None:
        _cancel(self._due)
        self._due = self.loop.call_later(seconds, otherwise, told)

    def _expect_taking(self) -> None:
        """From a client that is gone, and TCP was never told, or that takes its answer byte by byte."""
        self._look_again(Pace(self._settings))

    def _look_again(self, pace: Pace) -> None:
        _cancel(self._stalled)
        seconds = self._settings.slow_client_seconds / LOOKS_AT_SLOW_CLIENTS
        self._stalled = self.loop.call_later(seconds, self._look_at_taking, pace, seconds, self._not_taken())

    def _look_at_taking(self, pace: Pace, seconds: float, not_taken: int) -> None:
        """While this is waited for nothing is added to what is buffered: it only gets less."""
        if pace.went_on(seconds, not_taken - self._not_taken()):
            self._look_again(pace)
        else:
            self.transport.abort()

    def _not_taken(self) -> int:
        """Bytes of answers that the client has not acknowledged: in our buffer, and in the kernel's, which is only filled
        again when a good part of it, megabytes maybe, is free."""
        return self.transport.get_write_buffer_size() + _in_kernel(self.transport)

    def _stop_waiting(self) -> None:
        _cancel(self._due)
        _cancel(self._stalled)

    def pause_writing(self) -> None:
        super().pause_writing()
        self._expect_taking()

    def resume_writing(self) -> None:
        if not self.transport.is_closing():
            _cancel(self._stalled)
        super().resume_writing()


class _Exit:
    """The transport, as a request sees it. To close a connection on which the client is still sending would have its
    kernel throw away the answer."""

    def __init__(self, transport: asyncio.Transport, close: Callable[[], None]) -> None:
        self.write = transport.write
        self.is_closing = transport.is_closing
        self.close = close


def _in_kernel(transport: asyncio.Transport) -> int:
    """Bytes that a socket has sent without an answer, or not yet (SIOCOUTQ, of Linux); 0 where nobody can say."""
    if (socket := transport.get_extra_info("socket")) is None:
        return 0
    try:
        told = fcntl.ioctl(socket.fileno(), termios.TIOCOUTQ, bytes(4))
    except (OSError, ValueError):
        return 0
    return int.from_bytes(told, sys.byteorder)


def _cancel(timer: asyncio.TimerHandle | None) -> None:
    if timer is not None:
        timer.cancel()


def _speak_http_1_0(cycle: RequestResponseCycle) -> None:
    """What has no length ends with its connection, and `Expect` is not known yet (RFC 9112 §6.1, RFC 9110 §10.1.1). To
    the cycle such a body is one of the length it has come to."""
    cycle.waiting_for_100_continue = False
    cycle.chunked_encoding = False
    send = cast(Callable[[Message], Any], cycle.send)

    async def send_as_it_is(message: Message) -> None:
        cycle.expected_content_length = len(message.get("body", b""))
        await send(message)

    cycle.send = send_as_it_is  # type: ignore[assignment, method-assign]


def _too_large() -> HeadTooLarge:
    return HeadTooLarge(f"The head of the request is larger than {MAX_HEAD_BYTES} bytes.")


def _reason(error: httptools.HttpParserError) -> StreamForgeError:
    """Ours, where a callback of ours has raised it."""
    if isinstance(error.__context__, StreamForgeError):
        return error.__context__
    return MalformedHttp("This is no request in HTTP/1.1.", debug=str(error))


def _answer(error: StreamForgeError, default_headers: list[tuple[bytes, bytes]]) -> bytes:
    request_id = uuid4().hex
    body = problem_body(error.http_status, error.code, error.message, request_id)
    headers = [
        *default_headers,
        (b"content-type", MEDIA_TYPE.encode()),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
        (b"x-request-id", request_id.encode()),
        *FOR_REFUSALS,
    ]
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
    return STATUS_LINE[error.http_status] + lines + b"\r\n" + body


class WebSocketProtocol(WebSocketsSansIOProtocol):
    """One WebSocket. Refusals are problems like any other, and no errors of ours."""

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self.conn = _Handshake(
            extensions=self.conn.available_extensions, max_size=self.config.ws_max_size, logger=self.conn.logger
        )

    def data_received(self, data: bytes) -> None:
        """The first is the whole head. Where that is no handshake, uvicorn would wait for another."""
        super().data_received(data)
        if not self.handshake_initiated:
            answer = b"".join(self.conn.data_to_send())
            self.transport.write(answer or _answer(MalformedHttp("This is no WebSocket."), self.default_headers))
            self.transport.close()

    def send_receive_event_to_app(self) -> None:
        """Bytes that are called a text and are none are the client's error, and are told like others of the protocol."""
        if self.curr_msg_data_type == "bytes" or _is_utf8(b"".join(self.frames)):
            super().send_receive_event_to_app()
        else:
            self.frames = []
            self.conn.fail(INVALID_DATA)
            self.handle_parser_exception()

    async def send(self, message: Any) -> None:
        await super().send(message)
        if message["type"] == "websocket.http.response.body" and not message.get("more_body", False):
            # Otherwise it is logged as an application that has forgotten to answer.
            self.handshake_complete = True


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


class _Handshake(ServerProtocol):
    def reject(self, status: Any, text: str) -> Response:
        response = super().reject(status, text)
        request_id = uuid4().hex
        code = CODES_OF_HANDSHAKES.get(response.status_code, MalformedHttp.code)
        response.body = problem_body(response.status_code, code, text.strip(), request_id)
        told = {"Content-Type": MEDIA_TYPE, "Content-Length": str(len(response.body)), "X-Request-ID": request_id}
        told |= {name.decode(): value.decode() for name, value in FOR_REFUSALS}
        response.headers = Headers({**dict(response.headers.raw_items()), **told})
        return response
