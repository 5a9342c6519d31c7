"""NATS: every event is a message of a JetStream stream, under `<subject>.<job id>.<event>`."""

import asyncio
from collections.abc import Sequence
from contextlib import suppress

import nats
from nats.aio.client import Client
from nats.errors import Error as NatsError
from nats.js.api import StreamConfig
from nats.js.errors import NotFoundError

from streamforge.errors import SinkUnavailable
from streamforge.settings import NatsSinkSettings
from streamforge.sinks.protocol import Message

TIMEOUT_SECONDS = 10
AT_ONCE = 100
"""Messages that wait for their receipts. They are written one after the other, and stored in that order."""
OWNER_HEADER, ID_HEADER = "Streamforge-Owner", "Nats-Msg-Id"


class JetStream:
    """What comes again within the stream's window (two minutes, unless it says otherwise) the server leaves out, by its
    `Nats-Msg-Id`. A connection that failed once is not trusted any more; the next try has a new one."""

    def __init__(self, url: str, settings: NatsSinkSettings) -> None:
        self._url = url
        self._settings = settings
        self._client: Client | None = None

    async def send(self, messages: Sequence[Message]) -> None:
        try:
            client = self._client or await self._connected()
            for start in range(0, len(messages), AT_ONCE):
                await self._publish(client, messages[start : start + AT_ONCE])
        except (NatsError, OSError, TimeoutError) as error:
            await self.close()
            raise SinkUnavailable("NATS does not take events.", debug=repr(error)) from error

    async def close(self) -> None:
        if self._client is not None:
            client, self._client = self._client, None
            with suppress(NatsError, OSError, TimeoutError):
                await client.close()

    async def _connected(self) -> Client:
        client = self._client = await nats.connect(
            self._url, connect_timeout=TIMEOUT_SECONDS, allow_reconnect=False, error_cb=_unheard, name="streamforge"
        )
        context = client.jetstream(timeout=TIMEOUT_SECONDS)
        try:
            await context.stream_info(self._settings.stream)
        except NotFoundError:
            subjects = [f"{self._settings.subject}.>"]
            await context.add_stream(StreamConfig(name=self._settings.stream, subjects=subjects))
        return client

    async def _publish(self, client: Client, messages: Sequence[Message]) -> None:
        context = client.jetstream(timeout=TIMEOUT_SECONDS)
        told = [
            asyncio.ensure_future(
                context.publish(
                    f"{self._settings.subject}.{message.job_id}.{message.event}",
                    message.body,
                    stream=self._settings.stream,
                    headers={ID_HEADER: message.id, OWNER_HEADER: message.owner},
                )
            )
            for message in messages
        ]
        receipts = await asyncio.gather(*told, return_exceptions=True)
        for receipt in receipts:
            if isinstance(receipt, BaseException):
                raise receipt


async def _unheard(_error: Exception) -> None:
    """What fails is told by the call that fails."""
