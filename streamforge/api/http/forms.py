"""multipart/form-data as a stream: parts in the order they come, never more than a piece of one in memory."""

import re
from collections import deque
from collections.abc import AsyncIterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from urllib.parse import unquote

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from streamforge.errors import InvalidField, MalformedMultipart, MissingVideo

MAX_PARTS = 64
MAX_TEXT_BYTES = 64 * 1024
MAX_PREAMBLE_BYTES = 64 * 1024
MAX_PART_HEADERS = 32

CHARSETS = {"utf-8": "utf-8", "iso-8859-1": "latin-1"}
_QUOTED = re.compile(r'"(?:\\.|[^"\\])*"')
_EXTENDED_FILE_NAME = re.compile(
    rf";\s*filename\*\s*=\s*(?P<charset>{'|'.join(CHARSETS)})'[^']*'(?P<value>[^\s;]+)", re.IGNORECASE
)
"""RFC 5987, §3.2: a charset, a language, and a value in percent-encoding."""


@dataclass(frozen=True)
class _PartEnd:
    pass


@dataclass
class _PartBegin:
    headers: dict[str, str] = field(default_factory=dict)


_Found = _PartBegin | _PartEnd | bytes


class Part:
    """One part; its bytes can be read once, before the next part is asked for. Reading can be taken up where it was left."""

    def __init__(self, form: "Form", name: str, filename: str | None) -> None:
        self.name = name
        self.filename = filename
        self._form = form
        self._ended = False

    async def pieces(self) -> AsyncIterator[bytes]:
        while not self._ended:
            piece = await self._form.next_found()
            self._ended = not isinstance(piece, bytes)
            if isinstance(piece, bytes):
                yield piece

    async def text(self) -> str:
        value = bytearray()
        async for piece in self.pieces():
            value += piece
            if len(value) > MAX_TEXT_BYTES:
                raise InvalidField(f"The field `{self.name[:64]}` is longer than {MAX_TEXT_BYTES} bytes.")
        if 0 in value:
            raise InvalidField(f"The field `{self.name[:64]}` has a NUL character.")
        try:
            return value.decode()
        except UnicodeDecodeError as error:
            raise InvalidField(f"The field `{self.name[:64]}` is not UTF-8.") from error


class Form:
    """A body to be read part by part. All methods raise MalformedMultipart when the body is not what it claims."""

    def __init__(self, content_type: str, body: AsyncIterator[bytes], max_parts: int = MAX_PARTS) -> None:
        self._body = body
        self._max_parts = max_parts
        self._found: deque[_Found] = deque()
        self._ended = False
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._begun = _PartBegin()
        self._parser = self._make_parser(content_type)

    async def parts(self) -> AsyncIterator[Part]:
        """Every part must be read to its end before the next."""
        await self._pass_preamble()
        count = 0
        while (found := await self.next_found()) is not None:
            assert isinstance(found, _PartBegin)
            count += 1
            if count > self._max_parts:
                raise MalformedMultipart(f"The form has more than {self._max_parts} parts.")
            yield self._part(found)

    async def _pass_preamble(self) -> None:
        size = 0
        while (piece := await self.next_found()) != _PartEnd():
            size += len(piece) if isinstance(piece, bytes) else 0
            if size > MAX_PREAMBLE_BYTES:
                raise MalformedMultipart("The form does not begin with its boundary.")

    async def next_found(self) -> _Found | None:
        while not self._found:
            piece = await anext(self._body, None)
            if piece is None and self._ended:
                return None
            if piece is None:
                raise MalformedMultipart("The form ends before its closing boundary.")
            self._parse(piece)
        return self._found.popleft()

    def _parse(self, piece: bytes) -> None:
        try:
            self._parser.write(piece)
        except FormParserError as error:
            raise MalformedMultipart("The form is not well-formed multipart/form-data.", debug=str(error)) from error

    def _part(self, begun: _PartBegin) -> Part:
        kind, options = parse_options_header(begun.headers.get("content-disposition"))
        if kind != b"form-data" or b"name" not in options:
            raise MalformedMultipart("A part of the form has no name.")
        return Part(self, _decode(options[b"name"]), _file_name(begun.headers["content-disposition"], options))

    def _make_parser(self, content_type: str) -> MultipartParser:
        kind, options = parse_options_header(content_type)
        if kind in {b"", b"application/x-www-form-urlencoded"}:
            raise MissingVideo("Send the video as multipart/form-data, in a field named `video`.")
        if kind != b"multipart/form-data" or not options.get(b"boundary"):
            raise MalformedMultipart("Send the video as multipart/form-data, in a field named `video`.")
        try:
            parser = MultipartParser(
                options[b"boundary"],
                {
                    "on_part_begin": self._on_part_begin,
                    "on_header_field": self._on_header_field,
                    "on_header_value": self._on_header_value,
                    "on_header_end": self._on_header_end,
                    "on_headers_finished": self._on_headers_finished,
                    "on_part_data": self._on_part_data,
                    "on_part_end": self._on_part_end,
                    "on_end": self._on_end,
                },
                max_header_count=MAX_PART_HEADERS,
            )
        except FormParserError as error:
            raise MalformedMultipart("The boundary of the form is not valid.", debug=str(error)) from error
        # The parser wants the boundary at once, and nothing behind it. To read what may come before it (RFC 2046 §5.1.1)
        # as a part of its own is to read the first boundary like all others.
        parser.write(b"--" + options[b"boundary"] + b"\r\n\r\n\r\n")
        return parser

    # ── what the parser calls ───────────────────────────────────────────────────────────────────────────────────────
    def _on_part_begin(self) -> None:
        self._begun = _PartBegin()

    def _on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

    def _on_header_end(self) -> None:
        self._begun.headers[self._header_name.decode("latin-1").lower()] = self._header_value.decode("latin-1")
        self._header_name, self._header_value = bytearray(), bytearray()

    def _on_headers_finished(self) -> None:
        self._found.append(self._begun)

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._found.append(data[start:end])

    def _on_part_end(self) -> None:
        self._found.append(_PartEnd())

    def _on_end(self) -> None:
        self._ended = True


def _file_name(disposition: str, options: Mapping[bytes, bytes]) -> str | None:
    """The parser leaves out `filename*`, which RFC 7578 does not want in forms, and .NET and others send all the same:
    beside a `filename` that is only a makeshift."""
    plain = options.get(b"filename")
    extended = _EXTENDED_FILE_NAME.search(_QUOTED.sub('""', disposition))
    if extended is not None:
        with suppress(UnicodeDecodeError):
            return unquote(extended["value"], CHARSETS[extended["charset"].lower()], errors="strict")
    return None if plain is None else _decode(plain)


def _decode(header: bytes) -> str:
    """Browsers and curl send names as UTF-8 (RFC 7578 §5.1.2); for the odd one that does not, a name is no reason to
    fail."""
    return header.decode("utf-8", errors="replace")
