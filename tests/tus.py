"""The tus protocol as a client speaks it, header by header."""

import base64
from dataclasses import dataclass, field
from typing import Any

import httpx
from serving import Api

VERSION = {"Tus-Resumable": "1.0.0"}
OCTETS = {"Content-Type": "application/offset+octet-stream"}


def encoded(**metadata: str) -> str:
    """As Upload-Metadata has it."""
    return ",".join(f"{name} {base64.b64encode(value.encode()).decode()}" for name, value in metadata.items())


@dataclass
class Tus:
    """A client of one API, or of one owner."""

    api: Api
    headers: dict[str, str] = field(default_factory=dict)

    async def ask(self, method: str, url: str, content: Any = b"", **headers: str) -> httpx.Response:
        sent = {**VERSION, **self.headers, **{name.replace("_", "-"): value for name, value in headers.items()}}
        return await self.api.http.request(method, url, content=content, headers=sent)

    async def create(self, length: int | None, content: Any = b"", **headers: str) -> httpx.Response:
        told = {"Upload_Defer_Length": "1"} if length is None else {"Upload_Length": str(length)}
        return await self.ask("POST", "/uploads", content, **told, **headers)

    async def created(self, length: int | None, **metadata: str) -> str:
        """Its address."""
        response = await self.create(length, Upload_Metadata=encoded(**metadata))
        assert response.status_code == 201, response.text
        return str(response.headers["location"])

    async def patch(self, url: str, offset: int, content: Any, **headers: str) -> httpx.Response:
        return await self.ask("PATCH", url, content, **OCTETS, Upload_Offset=str(offset), **headers)

    async def head(self, url: str) -> httpx.Response:
        return await self.ask("HEAD", url)

    async def offset(self, url: str) -> int:
        response = await self.head(url)
        assert response.status_code == 200, response.status_code
        return int(response.headers["upload-offset"])
