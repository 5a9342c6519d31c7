"""The last stage: every file that the manifests mention is in the store, complete. Then, and only then, it is a stream,
and gets its receipt."""

import asyncio
import hashlib
import json
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from uuid import UUID

from pydantic import ValidationError
from temporalio import activity

from activities.registration import performs
from activities.support import source_clocks
from activities.support.encoded_stream import read_presentation
from activities.support.garbage import no_full_collections
from activities.support.heartbeats import Checkpoint, heartbeats
from activities.support.versions import versions
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import AudioView, RenditionView, Stage
from streamforge.contracts.media.encoded import StoredFile
from streamforge.contracts.media.plan import AudioRendition
from streamforge.contracts.media.source import VIDEO_TIMESCALE
from streamforge.contracts.media.stills import Pictures, StillsView
from streamforge.contracts.pipeline import DownloadView, ProcessVideoResult, StoreInput, ValidatedStream
from streamforge.contracts.receipt import RESULT, Receipt
from streamforge.contracts.steps import STORE
from streamforge.contracts.tasks import Libraries
from streamforge.errors import StorageCorrupted
from streamforge.events.log import EventLog
from streamforge.events.reporter import Reporter
from streamforge.observability import metrics
from streamforge.packaging.presentation import (
    AudioTrack,
    Presentation,
    average_bitrate,
    media_files,
)
from streamforge.packaging.receipt import job_receipt
from streamforge.planning.per_title.search import with_final_scores
from streamforge.planning.stills import POSTER, THUMBNAIL, THUMBNAILS, sheet_name
from streamforge.progress.bands import progress_at
from streamforge.quality.floors import rounded
from streamforge.storage import AlreadyThere, Storage, layout


@dataclass(eq=False, repr=False)
class StoreActivities:
    storage: Storage
    events: EventLog
    libraries: Libraries

    @performs(STORE)
    async def store(self, work: StoreInput) -> ProcessVideoResult:
        """Raises StorageCorrupted, naming the first file that is missing or has another size."""
        async with heartbeats() as checkpoint, Reporter(self.events, work.job_id) as reporter:
            with no_full_collections():
                result = await self._store(work, checkpoint, reporter)
            await reporter.state(_completion(result))
            _measure(work, result)
            return result

    async def _store(self, work: StoreInput, checkpoint: Checkpoint, reporter: Reporter) -> ProcessVideoResult:
        work = work.model_copy(update={"source": await source_clocks.read(self.storage, work.source)})
        presentation = await read_presentation(self.storage, work.source, work.plan, work.encoded)
        sizes = {name: StoredFile(size_bytes=size) for name, size in work.extras.items()}
        files = await asyncio.to_thread(media_files, presentation) | work.packaged.manifests | sizes
        await self._verify(work, files, checkpoint, reporter)
        return await self._write_receipt(work, presentation, await self._hashed(work, files))

    async def _hashed(self, work: StoreInput, files: dict[str, StoredFile]) -> dict[str, StoredFile]:
        """All with their hashes. Media and manifests come with them; of the rest the bytes are read."""
        return {
            name: file if file.sha256 else replace(file, sha256=await self._sha256(work, name, file))
            for name, file in files.items()
        }

    async def _sha256(self, work: StoreInput, name: str, file: StoredFile) -> str:
        digest = hashlib.sha256()
        async for piece in self.storage.read(layout.output(work.job_id, name), 0, file.size_bytes):
            digest.update(piece)
        return digest.hexdigest()

    async def _write_receipt(
        self, work: StoreInput, presentation: Presentation, files: dict[str, StoredFile]
    ) -> ProcessVideoResult:
        """The last file of a job. That of an attempt before this one, or beside it, stays where it names the same files.
        Counted in the result, too."""
        result, data = await asyncio.to_thread(_result_and_receipt, self.libraries, work, presentation, files)
        name = layout.output(work.job_id, RESULT)
        try:
            await self.storage.put_bytes(name, data, replace=False)
        except AlreadyThere:
            there = await self.storage.get_bytes(name)
            if there is None or await asyncio.to_thread(_files_of, there) != files:
                await self.storage.put_bytes(name, data)
            else:
                data = there
        return result.model_copy(
            update={"file_count": result.file_count + 1, "size_bytes": result.size_bytes + len(data)}
        )

    async def _verify(
        self, work: StoreInput, files: dict[str, StoredFile], checkpoint: Checkpoint, reporter: Reporter
    ) -> None:
        """A retry goes on behind the last file that the attempt before it had verified."""
        verified = int((checkpoint.previous or {}).get("verified", 0))
        for number, (name, file) in enumerate(files.items(), start=1):
            if number <= verified:
                continue
            found = await self.storage.stat(layout.output(work.job_id, name))
            if found is None or found.size_bytes != file.size_bytes:
                raise StorageCorrupted(
                    "A file of the stream is not complete in the media store.",
                    debug=f"{name}: {found.size_bytes if found else 'missing'}, expected {file.size_bytes}",
                )
            checkpoint.set({"verified": number})
            reporter.report(
                JobChange(
                    stage=Stage.STORAGE,
                    progress=progress_at(Stage.STORAGE, number / len(files)),
                    message="Verifying what is stored",
                )
            )


def _result_and_receipt(
    libraries: Libraries, work: StoreInput, presentation: Presentation, files: dict[str, StoredFile]
) -> tuple[ProcessVideoResult, bytes]:
    result = _result(work, presentation, files)
    found, attempt, now = versions(libraries, work.source, work.plan), activity.info().attempt, datetime.now(UTC)
    receipt = job_receipt(work, presentation, result, files, versions=found, attempt=attempt, now=now)
    return result, _json(receipt)


def _files_of(data: bytes) -> dict[str, StoredFile] | None:
    """None where it is no receipt."""
    try:
        return Receipt.model_validate_json(data).files
    except ValidationError:
        return None


def _json(receipt: Receipt) -> bytes:
    """By Python's own encoder, piece by piece: other threads, the event loop's among them, would wait for pydantic's until
    all of the files are written, which takes half a second for those of twelve hours."""
    files = {name: asdict(file) for name, file in receipt.files.items()}
    whole = receipt.model_dump(mode="json", exclude={"files"}) | {"files": files}
    return "".join(json.JSONEncoder(ensure_ascii=False, indent=1).iterencode(whole)).encode()


def _measure(work: StoreInput, result: ProcessVideoResult) -> None:
    ends = [*sorted(work.began.values())[1:], datetime.now(UTC)]
    for stage, end in zip(sorted(work.began, key=work.began.__getitem__), ends, strict=True):
        metrics.STAGE_SECONDS.labels(stage.value).observe(max(0.0, (end - work.began[stage]).total_seconds()))
    metrics.MEDIA_SECONDS.inc(result.duration)


def _completion(result: ProcessVideoResult) -> JobChange:
    return JobChange(
        stage=Stage.STORAGE,
        progress=progress_at(Stage.STORAGE, 1),
        message=f"{result.file_count} files verified",
        renditions=result.renditions,
        playback=result.playback,
    )


def _result(work: StoreInput, presentation: Presentation, files: dict[str, StoredFile]) -> ProcessVideoResult:
    validated = work.validated or ValidatedStream(scores=[], repairs=[], repair_count=0)
    scores = {score.name: rounded(score.vmaf) for score in validated.scores}
    return ProcessVideoResult(
        duration=work.source.duration,
        size_bytes=sum(file.size_bytes for file in files.values()),
        file_count=len(files),
        source_sha256=work.original.sha256,
        renditions=[
            RenditionView(
                name=track.rendition.name,
                width=track.rendition.width,
                height=track.rendition.height,
                codec=track.rendition.codec,
                bitrate=average_bitrate(track.encoded),
                progress=100,
                vmaf=scores.get(track.rendition.name),
            )
            for track in presentation.video
        ],
        audio=[_audio_view(track) for track in presentation.audio],
        playback=layout.playback(work.job_id, work.plan, presentation.text, files),
        text=presentation.text,
        repairs=validated.repairs,
        repair_count=validated.repair_count,
        pictures=_pictures_view(work.job_id, work.pictures),
        downloads=[
            DownloadView(
                rendition=download.rendition,
                path=layout.media(work.job_id, download.name),
                size_bytes=download.size_bytes,
            )
            for download in work.downloads
        ],
        per_title=with_final_scores(work.per_title, {name: vmaf.mean for name, vmaf in scores.items()}),
        account=work.packaged.account,
        warnings=[*work.warnings, *work.packaged.account.lines, *_lost_tracks(presentation)],
    )


def _audio_view(track: AudioTrack) -> AudioView:
    rendition = track.rendition
    return AudioView(
        name=rendition.name,
        language=rendition.language,
        title=rendition.title,
        role=rendition.role,
        default=rendition.default,
        channels=rendition.channels,
        sample_rate=rendition.sample_rate,
        codec=rendition.codec,
        bitrate=average_bitrate(track.encoded),
        loudness=track.encoded.loudness,
        gain=track.encoded.gain,
    )


def _lost_tracks(presentation: Presentation) -> list[str]:
    there = {track.rendition.name for track in presentation.audio}
    lost = [r for r in presentation.plan.audio if r.name not in there and not r.is_surround]
    return [f"The audio track {_numbered(rendition)} is left out: none of it can be played." for rendition in lost]


def _numbered(rendition: AudioRendition) -> str:
    """As the probe numbers the tracks that it leaves out: by their place in the file."""
    return f"number {rendition.stream_index}" + (f" ({rendition.language})" if rendition.language else "")


def _pictures_view(job_id: UUID, pictures: Pictures | None) -> StillsView | None:
    """None where no picture was made."""
    if pictures is None or not pictures.files:
        return None
    path = {name: layout.media(job_id, name) for name in pictures.files}
    view = StillsView(
        poster=path.get(POSTER),
        poster_seconds=pictures.poster_seconds,
        thumbnail=path.get(THUMBNAIL),
        thumbnails=path.get(THUMBNAILS),
    )
    if (board := pictures.storyboard) is not None:
        view.sprites = [path[sheet_name(number)] for number in range(board.sheet_count)]
        view.tile_width, view.tile_height = board.tile_width, board.tile_height
        view.interval_seconds = board.interval_ticks / VIDEO_TIMESCALE
    return view
