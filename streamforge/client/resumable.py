"""The sender's side of tus 1.0.0: a file in as many requests as it takes, over connections that break and by processes that
are killed."""

import base64
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx

from streamforge.client.errors import NotFound, RequestRefused, ServerUnreachable
from streamforge.client.files import OnProgress, SameFile
from streamforge.client.patience import Patience
from streamforge.client.transport import UPLOAD_TIMEOUT, Transport, pause
from streamforge.client.upload_memory import UploadMemory

VERSION = {"Tus-Resumable": "1.0.0"}
OCTETS = {"Content-Type": "application/offset+octet-stream"}
BY_POST = "X-HTTP-Method-Override"
JOB_ID = "X-Job-ID"
GO_ON_AFTER = frozenset({"upload.offset_mismatch", "upload.locked", "upload.checksum_mismatch"})
"""Codes that say: ask where it is, and go on from there."""


class ResumableUpload:
    def __init__(
        self,
        transport: Transport,
        file: SameFile,
        fields: Mapping[str, str],
        memory: Path,
        *,
        by_post: bool,
        on_progress: OnProgress | None,
    ) -> None:
        self._transport = transport
        self._file = file
        self._fields = {"filename": file.name, **fields}
        self._memory = UploadMemory(memory, transport.url, transport.headers, file.marks, self._fields)
        self._by_post = by_post
        self._on_progress = on_progress
        self._offset = 0

    async def send(self) -> UUID:
        """The job's id, when all bytes are safe. Raises RequestRefused, ServerUnreachable, FileChanged."""
        stuck, stuck_at = Patience(self._transport.give_up_seconds), -1
        while True:
            try:
                return await self._go_on()
            except (RequestRefused, ServerUnreachable) as error:
                if self._offset > stuck_at:
                    stuck, stuck_at = Patience(self._transport.give_up_seconds), self._offset
                if stuck.is_over or not (error.may_pass or error.code in GO_ON_AFTER):
                    raise
                await pause(stuck, error)

    async def _go_on(self) -> UUID:
        upload_id = self._memory.known.upload_id or await self._begin()
        try:
            self._offset, job_id = await self._look(upload_id)
        except NotFound:
            if not self._memory.is_of_before:
                raise
            # What another process has begun has expired, or was ended: that is over.
            self._memory.forget()
            return await self._go_on()
        if self._offset < self._file.size:
            job_id = await self._send_rest(upload_id, self._offset)
        self._memory.forget()
        return job_id

    async def _begin(self) -> UUID:
        self._memory.save(None)
        headers = {
            **VERSION,
            "Idempotency-Key": str(self._memory.known.name),
            "Upload-Length": str(self._file.size),
            "Upload-Metadata": ",".join(f"{name} {_encoded(value)}" for name, value in self._fields.items()),
        }
        answer = await self._transport.once("POST", "/uploads", headers=headers)
        upload_id = UUID(answer.headers["location"].rpartition("/")[2])
        self._memory.save(upload_id)
        return upload_id

    async def _look(self, upload_id: UUID) -> tuple[int, UUID]:
        """How far it is. By HEAD the server takes over what a connection that died has left."""
        try:
            answer = await self._ask("HEAD", upload_id)
        except RequestRefused:
            # A refusal of HEAD has no body; this one says why.
            await self._transport.once("GET", f"/uploads/{upload_id}")
            raise
        offset = int(answer.headers["upload-offset"])
        if self._on_progress is not None:
            self._on_progress(offset, self._file.size)
        return offset, UUID(answer.headers[JOB_ID])

    async def _send_rest(self, upload_id: UUID, offset: int) -> UUID:
        length = str(self._file.size - offset)
        answer = await self._ask(
            "PATCH",
            upload_id,
            {**OCTETS, "Upload-Offset": str(offset), "Content-Length": length},
            content=self._file.pieces(offset, self._on_progress),
            timeout=UPLOAD_TIMEOUT,
        )
        return UUID(answer.headers[JOB_ID])

    async def _ask(
        self, method: str, upload_id: UUID, headers: Mapping[str, str] = {}, **options: Any
    ) -> httpx.Response:
        spoken, override = ("POST", {BY_POST: method}) if self._by_post else (method, {})
        return await self._transport.once(
            spoken, f"/uploads/{upload_id}", headers={**VERSION, **override, **headers}, **options
        )


def _encoded(value: str) -> str:
    return base64.b64encode(value.encode()).decode()
