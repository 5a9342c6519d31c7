"""Sources on the web."""

import re
import ssl
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import UTC, datetime

import httpx

from streamforge.contracts.source_url import SourceUrl
from streamforge.errors import (
    FetchError,
    SourceBrokeOff,
    SourceForbidden,
    SourceIsAPage,
    SourceNotFound,
    SourceStalled,
    SourceUnavailable,
    SourceUnreachable,
    SourceUnusable,
    TooManyRedirects,
)
from streamforge.fetching.source import Opened
from streamforge.outbound.addresses import Outbound
from streamforge.outbound.http import client
from streamforge.outbound.retry_after import seconds_to_wait

MOST_REDIRECTS = 10
CONNECT_SECONDS = 10.0
REDIRECTS = frozenset({301, 302, 303, 307, 308})
GONE = frozenset({404, 410})
WANTS_CREDENTIALS = frozenset({401, 403, 407})
PASSING = frozenset({408, 425, 429})
"""Beside all of 5xx."""
PAGES = frozenset({"text/html", "application/xhtml+xml"})
RANGE_BEHIND_THE_END = 416

_CONTENT_RANGE = re.compile(r"bytes (\d+)-\d+/(\d+|\*)")


class HttpSource:
    def __init__(self, url: SourceUrl, outbound: Outbound, silence_seconds: float) -> None:
        self._url = url
        self._outbound = outbound
        self._timeout = httpx.Timeout(silence_seconds, connect=CONNECT_SECONDS)

    @asynccontextmanager
    async def open(self, start: int, validator: str | None) -> AsyncIterator[Opened]:
        async with client(self._outbound, self._timeout) as http:
            response = await self._answer(http, start, validator)
            try:
                yield self._opened(response)
            finally:
                await response.aclose()

    async def _answer(self, http: httpx.AsyncClient, start: int, validator: str | None) -> httpx.Response:
        """That of the last redirect. Without a validator nobody could tell that what goes on is of the same version."""
        if start and validator:
            response = await self._redirected(http, {"Range": f"bytes={start}-", "If-Range": validator})
            if response.status_code != RANGE_BEHIND_THE_END and not _is_of_another(response, start, validator):
                return await self._usable(response)
            await response.aclose()
        response = await self._redirected(http, {})
        if _is_of_another(response, 0, None):
            await response.aclose()
            raise SourceUnusable(f"{self._url.host} sends another part of the video than it was asked for.")
        return await self._usable(response)

    async def _usable(self, response: httpx.Response) -> httpx.Response:
        try:
            self._refuse(response)
        except FetchError:
            await response.aclose()
            raise
        return response

    async def _redirected(self, http: httpx.AsyncClient, headers: Mapping[str, str]) -> httpx.Response:
        with self._told():
            url = httpx.URL(self._url.text).copy_with(fragment=None)
        for _ in range(MOST_REDIRECTS + 1):
            with self._told():
                request = http.build_request(
                    "GET", url, headers={"Accept": "*/*", "Accept-Encoding": "identity", **headers}
                )
                response = await http.send(request, stream=True)
            if response.status_code not in REDIRECTS:
                return response
            await response.aclose()
            url = self._next(url, response.headers.get("location"))
        raise TooManyRedirects(f"{self._url.host} redirects more than {MOST_REDIRECTS} times.")

    def _next(self, url: httpx.URL, location: str | None) -> httpx.URL:
        """A password goes no further than to whom it was meant for. Where it leads is looked at when it is connected to."""
        if location is None:
            raise SourceUnusable(f"{self._url.host} redirects, and does not say where to.")
        try:
            found = url.join(location).copy_with(fragment=None)
        except (httpx.InvalidURL, ValueError, UnicodeError) as error:
            raise SourceUnusable(f"{self._url.host} redirects to what is no address.") from error
        if found.scheme not in {"http", "https"} or not found.host:
            raise SourceUnusable(
                f"{self._url.host} redirects to what is no address that begins with http:// or https://."
            )
        same_origin = (found.scheme, found.host, found.port) == (url.scheme, url.host, url.port)
        return found.copy_with(userinfo=url.userinfo) if same_origin and not found.userinfo else found

    def _refuse(self, response: httpx.Response) -> None:
        """Raises FetchError for what is no video's beginning."""
        host, status = self._url.host, response.status_code
        if status in GONE:
            raise SourceNotFound(f"{host} has nothing at this address (HTTP status {status}).")
        if status in WANTS_CREDENTIALS:
            raise SourceForbidden(
                f"{host} does not let us have it (HTTP status {status}); sign the address, or share the file."
            )
        if status in PASSING or status >= httpx.codes.INTERNAL_SERVER_ERROR:
            raise SourceUnavailable(
                f"{host} answers with HTTP status {status} for now.",
                retry_after=seconds_to_wait(response.headers.get("retry-after"), datetime.now(UTC)) or 0,
            )
        if status not in {httpx.codes.OK, httpx.codes.PARTIAL_CONTENT}:
            raise SourceUnusable(f"{host} answers with HTTP status {status}, which is no video.")
        if response.headers.get("content-type", "").partition(";")[0].strip().lower() in PAGES:
            raise SourceIsAPage(
                f"{host} has a web page at this address, and no video; give the address of the file itself."
            )
        if response.headers.get("content-encoding", "identity").strip().lower() not in {"", "identity"}:
            raise SourceUnusable(f"{host} sends the video compressed, though it was asked not to.")

    def _opened(self, response: httpx.Response) -> Opened:
        part = _range_of(response) if response.status_code == httpx.codes.PARTIAL_CONTENT else None
        start, length = part or (0, _number(response.headers.get("content-length")))
        return Opened(start, length, _validator_of(response), self._pieces(response))

    async def _pieces(self, response: httpx.Response) -> AsyncIterator[bytes]:
        with self._told():
            async for piece in response.aiter_raw():
                yield piece

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What httpx raises, as ours. It names the address in none of its messages; what a library says goes to the log only."""
        host = self._url.host
        try:
            yield
        except httpx.ConnectTimeout as error:
            raise SourceUnreachable(f"{host} cannot be connected to.", debug=type(error).__name__) from error
        except httpx.TimeoutException as error:
            raise SourceStalled(f"{host} has sent nothing for too long.", debug=type(error).__name__) from error
        except httpx.ConnectError as error:
            if _is_of_a_certificate(error):
                raise SourceUnusable(f"{host} has no certificate that can be trusted.", debug=str(error)) from error
            raise SourceUnreachable(f"{host} cannot be connected to.", debug=str(error)) from error
        except httpx.TransportError as error:
            raise SourceBrokeOff(f"{host} has broken off before the video was whole.", debug=str(error)) from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError) as error:
            raise SourceUnusable(f"{host} cannot be asked for this address.") from error


def _range_of(response: httpx.Response) -> tuple[int, int | None] | None:
    """Where the part begins that was sent, and how long the whole is."""
    found = _CONTENT_RANGE.fullmatch(response.headers.get("content-range", ""))
    return None if found is None else (int(found[1]), None if found[2] == "*" else int(found[2]))


def _is_of_another(response: httpx.Response, start: int, validator: str | None) -> bool:
    """A part that nobody has asked for, of which nobody can tell where it belongs, or of a version that has come since: some
    servers do not know If-Range."""
    if response.status_code != httpx.codes.PARTIAL_CONTENT:
        return False
    found, now = _range_of(response), _validator_of(response)
    return found is None or found[0] != start or (validator is not None and now is not None and now != validator)


def _validator_of(response: httpx.Response) -> str | None:
    """A weak ETag says nothing of bytes (RFC 9110 §13.1.5)."""
    etag = response.headers.get("etag")
    found: str | None = etag if etag and not etag.startswith("W/") else response.headers.get("last-modified")
    return found


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None


def _is_of_a_certificate(error: BaseException | None) -> bool:
    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return True
        error = error.__cause__ or error.__context__
    return False
