"""The client, made of one part for each area of the API."""

from types import TracebackType
from typing import Self

from streamforge.client.callers import CallerMethods
from streamforge.client.jobs import JobMethods
from streamforge.client.operations import OperationMethods
from streamforge.client.playback import PlaybackMethods
from streamforge.client.reports import ReportMethods
from streamforge.client.transport import DEFAULT_URL, Transport
from streamforge.client.uploads import UploadMethods
from streamforge.client.watching import WatchMethods
from streamforge.client.webhooks import WebhookMethods

RETRY_SECONDS = 20.0
GIVE_UP_SECONDS = 60.0


class StreamForgeClient(
    UploadMethods,
    JobMethods,
    WatchMethods,
    PlaybackMethods,
    ReportMethods,
    WebhookMethods,
    CallerMethods,
    OperationMethods,
):
    """`async with StreamForgeClient() as client: …`. Errors are RequestRefused and ServerUnreachable.

    What fails of a broken connection or a server that restarts is tried again; a POST names itself by an `Idempotency-Key`, so
    that it is done once. SyncStreamForgeClient is the same without `async`.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        retry_seconds: float = RETRY_SECONDS,
        give_up_seconds: float = GIVE_UP_SECONDS,
    ) -> None:
        """`api_key`: an API key, or an access token. `retry_seconds`: for how long a request is tried again that failed of
        a broken connection or of 429, 502, 503 or 504; 0: never. `give_up_seconds`: for how long `watch` and `upload` go
        on trying to reach a server that does not answer."""
        self._transport = Transport(url, api_key, retry_seconds=retry_seconds, give_up_seconds=give_up_seconds)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        await self._transport.http.aclose()
