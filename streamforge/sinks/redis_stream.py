"""Redis: every event is an entry of one stream, with `id`, `owner`, `job_id`, `event` and the whole of it as JSON."""

from collections.abc import Sequence

from redis.asyncio import Redis
from redis.exceptions import RedisError
from redis.typing import EncodableT

from streamforge.errors import SinkUnavailable
from streamforge.settings import RedisSinkSettings
from streamforge.sinks.protocol import Message

TIMEOUT_SECONDS = 10.0


class RedisStream:
    """Each message is added, whatever Redis has: who reads tells by `id` what came twice."""

    def __init__(self, url: str, settings: RedisSinkSettings) -> None:
        self._stream = settings.stream
        self._max_length = settings.max_length
        self._redis: Redis = Redis.from_url(
            url, socket_timeout=TIMEOUT_SECONDS, socket_connect_timeout=TIMEOUT_SECONDS, protocol=2
        )

    async def send(self, messages: Sequence[Message]) -> None:
        pipeline = self._redis.pipeline(transaction=False)
        for message in messages:
            pipeline.xadd(self._stream, _entry(message), maxlen=self._max_length, approximate=True)
        try:
            await pipeline.execute()
        except (RedisError, OSError, TimeoutError) as error:
            raise SinkUnavailable("Redis does not take events.", debug=repr(error)) from error

    async def close(self) -> None:
        await self._redis.aclose()


def _entry(message: Message) -> dict[EncodableT, EncodableT]:
    return {
        "id": message.id,
        "owner": message.owner,
        "job_id": str(message.job_id),
        "event": message.event,
        "body": message.body,
    }
