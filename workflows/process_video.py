"""The life of a job, from stored bytes to a verified stream. Read it from top to bottom."""

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from pydantic import BaseModel

    from streamforge.contracts import names
    from streamforge.contracts.job import JobStatus, Stage
    from streamforge.contracts.media import Chunk, RenditionScore
    from streamforge.contracts.pipeline import (
        ChunkScores,
        DiscardInput,
        EncodeAudioInput,
        EncodeChunkInput,
        EncodedPart,
        EncodedStream,
        Outcome,
        PackagedStream,
        PackageInput,
        ProbedSource,
        ProbeInput,
        ProcessVideo,
        ProcessVideoResult,
        StoredSource,
        StoreInput,
        UploadInput,
        ValidateChunkInput,
    )
    from streamforge.errors import Fault, QualityBelowMinimum
    from streamforge.planning.quality import below_floor, combine
    from streamforge.temporal.attributes import STAGE
    from streamforge.temporal.failures import to_application_error, to_job_error
    from workflows.policies import POLICIES

R = TypeVar("R")


@workflow.defn(name=names.PROCESS_VIDEO)
class ProcessVideoWorkflow:
    """upload → probe → transcode → validate → package → store → completed.

    Whatever happens, the job's row ends completed, failed or cancelled, and nothing half-made stays in the store.
    """

    @workflow.init
    def __init__(self, job: ProcessVideo) -> None:
        self._job = job
        self._stage = Stage.UPLOADING

    @workflow.run
    async def run(self, job: ProcessVideo) -> ProcessVideoResult:
        try:
            result = await self._process(job)
        except (ActivityError, ApplicationError, asyncio.CancelledError) as error:
            if is_cancelled_exception(error):
                await self._end_cancelled()
            else:
                await self._end_failed(error)
            raise
        await self._end_completed(result)
        return result

    async def _process(self, job: ProcessVideo) -> ProcessVideoResult:
        original = await self._upload(job)
        probed = await self._probe(original)
        self._enter(Stage.TRANSCODING)
        encoded = await self._transcode(original, probed)
        self._enter(Stage.VALIDATION)
        scores, warnings = await self._validate(original, probed, encoded)
        self._enter(Stage.PACKAGING)
        packaged = await self._package(original, probed, encoded)
        self._enter(Stage.STORAGE)
        return await self._store(
            StoreInput(
                original=original,
                source=probed.source,
                plan=probed.plan,
                encoded=encoded,
                packaged=packaged,
                scores=scores,
                warnings=warnings,
            )
        )

    # ── the stages ──────────────────────────────────────────────────────────────────────────────────────────────────
    async def _upload(self, job: ProcessVideo) -> StoredSource:
        work = UploadInput(job_id=job.job_id, source_object=job.source_object, size_bytes=job.size_bytes)
        return await self._run(names.UPLOAD, work, StoredSource, f"Hash and check {job.size_bytes:,} bytes")

    async def _probe(self, original: StoredSource) -> ProbedSource:
        work = ProbeInput(original=original, profile=self._job.profile)
        probed = await self._run(names.PROBE, work, ProbedSource, "Find out what it is and plan the ladder")
        ladder = ", ".join(rendition.name for rendition in probed.plan.renditions)
        video = probed.source.video
        workflow.set_current_details(
            f"{video.width}×{video.height} {video.codec}, {probed.source.duration:.1f} s → {ladder}"
        )
        return probed

    async def _transcode(self, original: StoredSource, probed: ProbedSource) -> EncodedStream:
        """Chunks of video side by side with whole tracks of audio."""
        plan = probed.plan
        audio = [
            self._run(
                names.ENCODE_AUDIO,
                EncodeAudioInput(
                    original=original, source=probed.source, plan=plan.without_chunks(), rendition=rendition
                ),
                EncodedPart,
                f"Audio {rendition.language or rendition.name}",
            )
            for rendition in plan.audio
        ]
        chunks = [self._encode_chunk(original, probed, chunk) for chunk in plan.chunks]
        parts = await _all_or_none([*chunks, *audio])
        return EncodedStream(chunks=parts[: len(chunks)], audio=parts[len(chunks) :])

    async def _encode_chunk(self, original: StoredSource, probed: ProbedSource, chunk: Chunk) -> EncodedPart:
        plan = probed.plan
        work = EncodeChunkInput(
            original=original,
            source=probed.source,
            plan=plan.without_chunks(),
            chunk=chunk,
            chunk_count=len(plan.chunks),
            total_frames=plan.total_frames,
        )
        summary = (
            f"Chunk {chunk.index + 1} of {len(plan.chunks)} ({_window(chunk)}) → {len(plan.renditions)} renditions"
        )
        return await self._run(names.ENCODE_CHUNK, work, EncodedPart, summary)

    async def _validate(
        self, original: StoredSource, probed: ProbedSource, encoded: EncodedStream
    ) -> tuple[list[RenditionScore], list[str]]:
        """VMAF of all renditions, and what is to be said about it. Raises when quality is fatally low."""
        plan = probed.plan
        if not plan.quality.enabled:
            return [], []
        pairs = zip(plan.chunks, encoded.chunks, strict=True)
        chunks = await _all_or_none([self._score_chunk(original, probed, chunk, part) for chunk, part in pairs])
        scores = combine([chunk.scores for chunk in chunks])
        complaints = below_floor(scores, plan.quality)
        if complaints and plan.quality.failure_is_fatal:
            raise to_application_error(
                QualityBelowMinimum(f"The quality is too low: {'; '.join(complaints)}. See validation.min_score.")
            )
        return scores, complaints

    async def _score_chunk(
        self, original: StoredSource, probed: ProbedSource, chunk: Chunk, encoded: EncodedPart
    ) -> ChunkScores:
        plan = probed.plan
        work = ValidateChunkInput(
            original=original,
            source=probed.source,
            plan=plan.without_chunks(),
            chunk=chunk,
            encoded=encoded,
            chunk_count=len(plan.chunks),
            total_frames=plan.total_frames,
        )
        summary = f"VMAF of chunk {chunk.index + 1} of {len(plan.chunks)} ({_window(chunk)})"
        return await self._run(names.VALIDATE_CHUNK, work, ChunkScores, summary)

    async def _package(self, original: StoredSource, probed: ProbedSource, encoded: EncodedStream) -> PackagedStream:
        work = PackageInput(original=original, source=probed.source, plan=probed.plan, encoded=encoded)
        return await self._run(names.PACKAGE, work, PackagedStream, "Write HLS and DASH manifests")

    async def _store(self, work: StoreInput) -> ProcessVideoResult:
        return await self._run(names.STORE, work, ProcessVideoResult, "Verify every file in its store")

    # ── the ends ────────────────────────────────────────────────────────────────────────────────────────────────────
    async def _end_completed(self, result: ProcessVideoResult) -> None:
        """Cleaned up first: whoever hears that a job is completed finds nothing unfinished."""
        await self._discard(output=False, original=False)
        await self._record(
            Outcome(
                job_id=self._job.job_id,
                status=JobStatus.COMPLETED,
                stage=Stage.COMPLETED,
                message="The stream is ready",
                result=result,
            )
        )
        self._enter(Stage.COMPLETED)

    async def _end_failed(self, error: BaseException) -> None:
        """Told first, cleaned up after: the person at the other end should not wait for a slow store."""
        job_error = to_job_error(error, self._stage)
        await self._record(
            Outcome(
                job_id=self._job.job_id,
                status=JobStatus.FAILED,
                stage=self._stage,
                message=job_error.message,
                error=job_error,
            )
        )
        self._enter(Stage.FAILED)
        await self._discard(output=True, original=job_error.fault == Fault.CALLER)

    async def _end_cancelled(self) -> None:
        await self._record(
            Outcome(
                job_id=self._job.job_id,
                status=JobStatus.CANCELLED,
                stage=self._stage,
                message="Cancelled on request",
            )
        )
        self._enter(Stage.CANCELLED)
        await self._discard(output=True, original=True)

    async def _record(self, outcome: Outcome) -> None:
        # Shielded: a second cancel must not leave a job that is over without its last word.
        await asyncio.shield(self._run(names.RECORD_OUTCOME, outcome, type(None), f"Record: {outcome.message}"))

    async def _discard(self, *, output: bool, original: bool) -> None:
        work = DiscardInput(job_id=self._job.job_id, output=output, original=original)
        await asyncio.shield(self._run(names.DISCARD, work, type(None), "Remove what is no longer needed"))

    # ── how ─────────────────────────────────────────────────────────────────────────────────────────────────────────
    def _enter(self, stage: Stage) -> None:
        self._stage = stage
        workflow.upsert_search_attributes([STAGE.value_set(stage)])

    async def _run(self, name: str, work: BaseModel, result: type[R], summary: str) -> R:
        options = POLICIES[name].options(self._job.priority)
        answer: R = await workflow.execute_activity(name, work, result_type=result, summary=summary, **options)
        return answer


async def _all_or_none(work: list[Coroutine[Any, Any, R]]) -> list[R]:
    """Results of all, in order. When one fails, or the workflow is cancelled, the others are cancelled and waited for:
    nothing may still be writing when its output is removed."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await workflow.wait(tasks)
        raise


def _window(chunk: Chunk) -> str:
    return f"{chunk.start:.0f}–{chunk.end:.0f} s" if chunk.end is not None else f"from {chunk.start:.0f} s"
