"""What all parts of the client stand on."""

from typing import Any

import httpx

from streamforge.client.transport import Transport


class Methods:
    """One area of the API. The client is made of them."""

    _transport: Transport

    async def _ask(self, method: str, path: str, **options: Any) -> httpx.Response:
        return await self._transport.ask(method, path, **options)
