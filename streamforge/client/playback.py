"""What players ask for."""

import os
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

import httpx

from streamforge.client.answers import ContentKey
from streamforge.client.methods import Methods
from streamforge.client.transport import refuse_errors
from streamforge.contracts.job import Playback


class PlaybackMethods(Methods):
    async def refresh_playback(self, job_id: UUID) -> Playback:
        """Where the job's stream is found now: of a signed one, addresses that are valid for the whole time again."""
        answer = await self._ask("POST", f"/jobs/{job_id}/playback/refresh")
        return Playback.model_validate_json(answer.content)

    async def media(self, job_id: UUID, path: str) -> bytes:
        """A file of the job's stream, as `master.m3u8` or `720p/0.m4s`."""
        return (await self._ask("GET", _media(job_id, path))).content

    async def download(self, job_id: UUID, path: str, target: Path) -> None:
        """A file of the job's stream into one of ours, which is there when it is whole."""
        part = target.with_name(f"{target.name}.part")

        async def attempt() -> httpx.Response:
            return await self._download(_media(job_id, path), part)

        await self._transport.persistently(attempt)
        os.replace(part, target)

    async def _download(self, path: str, part: Path) -> httpx.Response:
        try:
            async with self._transport.http.stream("GET", path) as response:
                await refuse_errors(response)
                with part.open("wb") as file:
                    async for piece in response.aiter_bytes():
                        file.write(piece)
                return response
        except httpx.TransportError as error:
            raise self._transport.unreachable(error) from error

    async def content_key(self, job_id: UUID, key_id: str, *, signature: str | None = None) -> bytes:
        """The 16 bytes that an HLS playlist names. `signature` stands in the address where the stream is signed."""
        return (await self._ask("GET", f"{_keys(job_id, signature)}/{quote(key_id, safe='')}")).content

    async def license(self, job_id: UUID, key_ids: Sequence[str], *, signature: str | None = None) -> list[ContentKey]:
        """All keys of the job for one of them (in base64url), as Clear Key of DASH asks."""
        answer = await self._ask("POST", f"{_keys(job_id, signature)}/license", json={"kids": list(key_ids)})
        return [ContentKey.model_validate(key) for key in answer.json()["keys"]]


def _media(job_id: UUID, path: str) -> str:
    return f"/media/{job_id}/{quote(path)}"


def _keys(job_id: UUID, signature: str | None) -> str:
    return f"/keys/{job_id}" if signature is None else f"/keys/{job_id}/{signature}"
