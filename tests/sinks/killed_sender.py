"""A process that sends to Redis until it is killed: `python killed_sender.py DSN REDIS_URL`."""

import asyncio
import sys

from streamforge.db.pool import Database
from streamforge.settings import RedisSinkSettings
from streamforge.sinks.redis_stream import RedisStream
from streamforge.sinks.sender import Sender


async def main(dsn: str, url: str) -> None:
    async with Sender("redis", RedisStream(url, RedisSinkSettings()), await Database.open(dsn, 2)):
        await asyncio.Event().wait()


asyncio.run(main(*sys.argv[1:]))
