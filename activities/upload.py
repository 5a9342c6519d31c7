"""Take the uploaded bytes in: are they all there, and what is their hash?"""

import hashlib

from temporalio import activity

from activities.heartbeats import heartbeats
from streamforge.contracts import names
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import JobStatus, Stage
from streamforge.contracts.pipeline import StoredSource, UploadInput
from streamforge.errors import StorageCorrupted
from streamforge.events.log import EventLog
from streamforge.events.reporter import Reporter
from streamforge.planning.stages import progress_at
from streamforge.storage import Storage


class UploadActivities:
    def __init__(self, storage: Storage, log: EventLog) -> None:
        self._storage = storage
        self._log = log

    @activity.defn(name=names.UPLOAD)
    async def upload(self, work: UploadInput) -> StoredSource:
        """The API has put the original into the store before it answered; read it back, every byte.

        Raises StorageCorrupted when it is not what was received.
        """
        async with heartbeats() as checkpoint, Reporter(self._log, work.job_id) as reporter:
            digest = hashlib.sha256()
            read = 0
            async for piece in self._storage.read(work.source_object, 0, work.size_bytes):
                digest.update(piece)
                read += len(piece)
                checkpoint.set({"hashed_bytes": read})
            if read != work.size_bytes:
                raise StorageCorrupted(
                    "The uploaded file is not complete in the media store.", debug=f"{read} of {work.size_bytes} bytes"
                )
            await reporter.state(
                JobChange(
                    stage=Stage.UPLOADING,
                    status=JobStatus.PROCESSING,
                    progress=progress_at(Stage.UPLOADING, 1.0),
                    message="File saved",
                    details={"sha256": digest.hexdigest(), "size_bytes": read},
                )
            )
            return StoredSource(
                job_id=work.job_id,
                source_object=work.source_object,
                size_bytes=work.size_bytes,
                sha256=digest.hexdigest(),
            )
