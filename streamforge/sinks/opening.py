"""The sinks that the settings name."""

from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from streamforge.db.pool import Database
from streamforge.settings import SinksSettings
from streamforge.sinks.jetstream import JetStream
from streamforge.sinks.protocol import Sink
from streamforge.sinks.redis_stream import RedisStream
from streamforge.sinks.sender import Sender


def senders(settings: SinksSettings, database: Database) -> list[Sender]:
    return [Sender(name, sink, database) for name, sink in _sinks(settings)]


@asynccontextmanager
async def sending(each: Sequence[Sender]) -> AsyncIterator[None]:
    """While the block lasts."""
    async with AsyncExitStack() as stack:
        for sender in each:
            await stack.enter_async_context(sender)
        yield


def _sinks(settings: SinksSettings) -> Iterator[tuple[str, Sink]]:
    """By the names under which the database knows where they stand."""
    if settings.redis.url is not None:
        yield "redis", RedisStream(settings.redis.url.get_secret_value(), settings.redis)
    if settings.nats.url is not None:
        yield "nats", JetStream(settings.nats.url.get_secret_value(), settings.nats)
