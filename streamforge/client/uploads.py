"""Sending videos."""

from collections.abc import Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import httpx

from streamforge.client.answers import SubmittedBatch, UploadLimits, UploadProgress
from streamforge.client.files import OnProgress, ReportingFile, SameFile, SentSoFar
from streamforge.client.methods import Methods
from streamforge.client.resumable import VERSION, ResumableUpload
from streamforge.client.transport import IDEMPOTENCY_KEY, UPLOAD_TIMEOUT
from streamforge.client.upload_memory import default_folder
from streamforge.contracts.printable_plan import PrintablePlan


class UploadMethods(Methods):
    async def submit(
        self, /, path: Path, *, key: str | None = None, on_progress: OnProgress | None = None, **fields: str
    ) -> UUID:
        """Send the video at `path` in one request and return its job id. It is read as it is sent, whatever its size.

        `on_progress` hears of (bytes sent, bytes in all); `fields` are further form fields, such as `webhook_url`.
        """
        form = fields if key is None else {**fields, "key": key}
        answer = await self._send("/process", [path], form, on_progress)
        return UUID(answer.json()["job_id"])

    async def submit_url(self, source_url: str, /, *, key: str | None = None, **options: Any) -> UUID:
        """Have the server fetch the video at an address (`https://…`, `s3://…`), and return its job id at once. `options` are
        those of `submit` in their own types: a number, an object."""
        body = {"source_url": source_url, **({} if key is None else {"key": key}), **options}
        return UUID((await self._ask("POST", "/process", json=body)).json()["job_id"])

    async def plan(self, /, path: Path, *, on_progress: OnProgress | None = None, **fields: str) -> PrintablePlan:
        """What the server would do with the video at `path`, and what that would cost. Nothing is kept of it."""
        answer = await self._send("/process?dry_run=true", [path], fields, on_progress)
        return PrintablePlan.model_validate_json(answer.content)

    async def submit_batch(
        self, /, paths: Sequence[Path], *, on_progress: OnProgress | None = None, **fields: str
    ) -> SubmittedBatch:
        """Send several videos as one. One that the server cannot take does not take the others with it: see `rejected`."""
        answer = await self._send("/batches", paths, fields, on_progress)
        return SubmittedBatch.model_validate_json(answer.content)

    async def upload(
        self,
        /,
        path: Path,
        *,
        key: str | None = None,
        on_progress: OnProgress | None = None,
        memory: Path | None = None,
        by_post: bool = False,
        **fields: str,
    ) -> UUID:
        """Send the video at `path` so that nothing of it is sent twice, and return its job id. After a broken connection the
        rest is sent, and after this process was killed, when it is called again with the same file and fields.

        `memory`: the folder in which it is written down what is under way, $XDG_STATE_HOME/streamforge/uploads if not given.
        `by_post`: say PATCH and HEAD as POST, where something on the way lets nothing else through.
        Raises RequestRefused, ServerUnreachable, FileChanged.
        """
        form = fields if key is None else {**fields, "key": key}
        upload = ResumableUpload(
            self._transport, SameFile(path), form, memory or default_folder(), by_post=by_post, on_progress=on_progress
        )
        return await upload.send()

    async def upload_progress(self, upload_id: UUID) -> UploadProgress:
        """How far an upload is, whoever sends it; a job that is `uploading` has its upload's id."""
        return UploadProgress.model_validate_json((await self._ask("GET", f"/uploads/{upload_id}")).content)

    async def end_upload(self, upload_id: UUID) -> None:
        """End an upload that is not complete: what came is deleted, and its job cancelled."""
        await self._ask("DELETE", f"/uploads/{upload_id}", headers=VERSION)

    async def upload_limits(self) -> UploadLimits:
        headers = (await self._ask("OPTIONS", "/uploads")).headers
        return UploadLimits(
            versions=headers["tus-version"].split(","),
            extensions=headers["tus-extension"].split(","),
            max_size_bytes=headers.get("tus-max-size"),
        )

    async def _send(
        self, address: str, paths: Sequence[Path], fields: dict[str, str], on_progress: OnProgress | None
    ) -> httpx.Response:
        headers = {IDEMPOTENCY_KEY: str(uuid4())}
        return await self._transport.persistently(
            partial(self._send_once, address, paths, fields, on_progress, headers=headers)
        )

    async def _send_once(
        self,
        address: str,
        paths: Sequence[Path],
        fields: dict[str, str],
        on_progress: OnProgress | None,
        **options: Any,
    ) -> httpx.Response:
        """All of it again, from the start: what was read of a file is gone with its connection."""
        sent = SentSoFar(paths, on_progress)
        with ExitStack() as files:
            videos = [("video", (path.name, files.enter_context(ReportingFile(path, sent)))) for path in paths]
            return await self._transport.once(
                "POST", address, data=fields, files=videos, timeout=UPLOAD_TIMEOUT, **options
            )
