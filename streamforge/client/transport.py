"""One connection pool to one server, and requests that are tried again without being done twice."""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar
from uuid import uuid4

import httpx

from streamforge.client.errors import RequestRefused, ServerUnreachable, TooManyRequests, refusal
from streamforge.client.patience import Patience

DEFAULT_URL = "http://127.0.0.1:8081"
SILENCE_SECONDS = 60.0
"""The server comments at least every 30 s on an idle stream; one that is silent for longer is dead."""
TIMEOUT = httpx.Timeout(30, read=SILENCE_SECONDS)
UPLOAD_TIMEOUT = httpx.Timeout(30, read=300)
"""What the server does once it has all the bytes (syncing them to disk) may take its time."""
T = TypeVar("T")

IDEMPOTENCY_KEY = "Idempotency-Key"


class Transport:
    def __init__(self, url: str, api_key: str | None, *, retry_seconds: float, give_up_seconds: float) -> None:
        self.url = url.rstrip("/")
        self.give_up_seconds = give_up_seconds
        self._retry_seconds = retry_seconds
        self.headers = {"Authorization": f"Bearer {api_key}"} if api_key is not None else {}
        # Redirects are not followed: the key is for this server.
        self.http = httpx.AsyncClient(base_url=self.url, headers=self.headers, timeout=TIMEOUT, follow_redirects=False)

    async def ask(
        self, method: str, path: str, *, idempotency_key: str | None = None, **options: Any
    ) -> httpx.Response:
        """The answer to a request. What it changes is changed once, however often it has to be sent: each POST names itself.
        Raises RequestRefused, ServerUnreachable."""
        if method == "POST":
            options["headers"] = {IDEMPOTENCY_KEY: idempotency_key or str(uuid4()), **options.get("headers", {})}
        return await self.persistently(lambda: self.once(method, path, **options))

    async def persistently(self, attempt: Callable[[], Awaitable[T]]) -> T:
        """`attempt`, and again, as long as that can help and `retry_seconds` allow."""
        patience = Patience(self._retry_seconds)
        while True:
            try:
                return await attempt()
            except (RequestRefused, ServerUnreachable) as error:
                if patience.is_over or not error.may_pass:
                    raise
                await pause(patience, error)

    async def once(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Raises RequestRefused, ServerUnreachable."""
        response = await self.answer(method, path, **options)
        await refuse_errors(response)
        return response

    async def answer(self, method: str, path: str, **options: Any) -> httpx.Response:
        """Whatever it says. Raises ServerUnreachable."""
        try:
            return await self.http.request(method, path, **options)
        except httpx.TransportError as error:
            raise self.unreachable(error) from error

    def unreachable(self, error: Exception) -> ServerUnreachable:
        return ServerUnreachable(
            f"StreamForge does not answer at {self.url}; is `streamforge up` running?", debug=repr(error)
        )


async def pause(patience: Patience, error: RequestRefused | ServerUnreachable) -> None:
    """Until it is tried again."""
    if isinstance(error, TooManyRequests):
        patience.hint(error.retry_after)
    await patience.wait()


async def refuse_errors(response: httpx.Response) -> None:
    """Raise RequestRefused for a 4xx or 5xx; problem+json says why, anything else came from something in between."""
    if not response.is_error:
        return
    await response.aread()
    raise refusal(response.status_code, response.reason_phrase, body_of(response), response.headers)


def body_of(response: httpx.Response) -> object:
    try:
        return response.json()
    except ValueError:
        return None


def present(**values: object) -> Mapping[str, str]:
    """Parameters of a query, without those that are None."""
    return {name: str(value) for name, value in values.items() if value is not None}
