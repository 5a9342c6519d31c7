"""The life of a job, from stored bytes to a verified stream. Read it from top to bottom."""

import asyncio
from collections.abc import Coroutine
from typing import Any

from temporalio import workflow
from temporalio.exceptions import ActivityError, ApplicationError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from streamforge.contracts import names, steps
    from streamforge.contracts.job import Stage
    from streamforge.contracts.job_control import JobControl
    from streamforge.contracts.media.encoded import Text, TextTrack
    from streamforge.contracts.media.per_title import PerTitleResult
    from streamforge.contracts.media.plan import (
        AudioRendition,
        Chunk,
        EncodePlan,
        SearchPlan,
        StreamPlan,
        VideoRendition,
    )
    from streamforge.contracts.media.stills import Pictures, Storyboard
    from streamforge.contracts.pipeline import (
        DiscardInput,
        Download,
        DownloadsInput,
        EncodeAudioInput,
        EncodeChunkInput,
        EncodedPart,
        EncodedStream,
        FetchInput,
        KeepSubtitlesInput,
        Outcome,
        PackagedStream,
        PackageInput,
        ProbedSource,
        ProbeInput,
        ProcessVideo,
        ProcessVideoResult,
        PublishInput,
        SearchInput,
        StillsInput,
        StoredSource,
        StoreInput,
        TranscribeInput,
        UploadInput,
        ValidatedStream,
        ValidateInput,
    )
    from streamforge.errors import CancelRequested, CannotBeCopied, ChunksDoNotFit, DiskFull, Fault, QualityBelowMinimum
    from streamforge.planning.chunk_parts import parts_of, publishing_steps, weight_of
    from streamforge.planning.per_title.search import with_search_result
    from streamforge.quality.floors import below_floor
    from streamforge.temporal.attributes import STAGE
    from streamforge.temporal.failures import failure_of, to_application_error, to_job_error
    from workflows.running import DISTURBED, StepRunner, all_or_none, alongside, stop

MOST_AT_ONCE = 200
BYTES_AT_ONCE = 2**21
"""Chunks that wait in the queue at a time, more than any number of workers needs, and what their inputs may come to. A film
of twelve hours has 1,353 chunks, all of them may be asked for in one message to Temporal, and it ends the workflow for one
of 4 MiB. A ladder of many renditions makes long inputs."""

MOST_ROUNDS = 3
"""While machines are updated one after the other, a second round may meet an old worker, too."""


@workflow.defn(name=names.PROCESS_VIDEO)
class ProcessVideoWorkflow:
    """(fetch →) upload → probe → transcode → validate → package → store → completed.

    Whatever happens, the job's row ends completed, failed or cancelled, and nothing half-made stays in the store.
    """

    @workflow.init
    def __init__(self, job: ProcessVideo) -> None:
        self._job = job
        self._runner = StepRunner(job.priority)
        self._stage = Stage.UPLOADING
        self._control = 0
        self._parts_encoded = 0
        self._publications = 0
        self._encoded_before = 0
        self._began = {Stage.UPLOADING: workflow.now()}
        self._per_title: PerTitleResult | None = None
        self._room = asyncio.Semaphore(MOST_AT_ONCE)

    @workflow.signal(name=names.CONTROL_SIGNAL)
    def control(self, state: JobControl) -> None:
        """How it is to go on, from the next step on. What was told before may come later."""
        if state.number > self._control:
            self._control = state.number
            self._runner.paused, self._runner.priority = state.paused, state.priority

    @workflow.run
    async def run(self, job: ProcessVideo) -> ProcessVideoResult:
        try:
            result = await self._runner.to_its_end(self._process(job), hands_on_cancel=True)
            await self._end_completed(result)
        except (ActivityError, ApplicationError, asyncio.CancelledError) as error:
            if not (self._runner.cancelled or _is_cancel(error)):
                await self._end_failed(error)
                raise
            await self._end_cancelled()
            raise asyncio.CancelledError from error
        return result

    async def _process(self, job: ProcessVideo) -> ProcessVideoResult:
        original = await self._upload(job)
        probed = await self._probe(original)
        self._enter(Stage.TRANSCODING)
        async with alongside(self._make_text(original, probed)) as text:
            probed, encoded = await self._copy_or_encode(original, probed)
            self._enter(Stage.VALIDATION)
            async with alongside(self._pictures(original, probed, encoded)) as drawing:
                validated = await self._validate(original, probed, encoded)
                pictures = await drawing
            encoded.text = await text
        self._enter(Stage.PACKAGING)
        packaged = await self._package(original, probed, encoded, pictures.storyboard if pictures else None)
        downloads = await self._downloads(original, probed, encoded)
        self._enter(Stage.STORAGE)
        return await self._store(
            StoreInput(
                original=original,
                source=probed.source,
                plan=probed.plan,
                encoded=encoded,
                packaged=packaged,
                validated=validated,
                pictures=pictures,
                downloads=downloads,
                extras=(pictures.files if pictures else {}) | {each.name: each.size_bytes for each in downloads},
                per_title=self._per_title,
                warnings=self._runner.warnings,
                began=self._began,
                probe_attempt=probed.attempt,
            )
        )

    # ── the stages ──────────────────────────────────────────────────────────────────────────────────────────────────
    async def _upload(self, job: ProcessVideo) -> StoredSource:
        original = StoredSource(
            job_id=job.job_id, source_object=job.source_object, size_bytes=job.size_bytes, sha256=job.sha256
        )
        if job.to_be_fetched:
            fetching = FetchInput(original=original)
            original = await self._runner.run(steps.FETCH_SOURCE, fetching, "Fetch it from where it is")
        summary = f"Check that {original.size_bytes:,} bytes are there"
        return await self._runner.run(steps.UPLOAD, UploadInput(original=original), summary)

    async def _copy_or_encode(self, original: StoredSource, probed: ProbedSource) -> tuple[ProbedSource, EncodedStream]:
        """What cannot be copied after all is encoded: nothing of the copy has been published by then."""
        probed = await self._search(original, probed)
        try:
            return probed, await self._encode(original, probed)
        except ActivityError as error:
            failure = failure_of(error)
            if failure.code != CannotBeCopied.code:
                raise
        probed = await self._search(original, await self._probe(original, copy_failed=failure.message))
        return probed, await self._encode(original, probed)

    async def _probe(self, original: StoredSource, copy_failed: str | None = None) -> ProbedSource:
        work = ProbeInput(original=original, copy_failed=copy_failed, **self._job.for_work())
        probed = await self._runner.run(steps.PROBE, work, "Find out what it is and plan the ladder")
        self._runner.warnings += [warning for warning in probed.plan.warnings if warning not in self._runner.warnings]
        workflow.set_current_details(_described(probed))
        return probed

    async def _search(self, original: StoredSource, probed: ProbedSource) -> ProbedSource:
        """Where per-title encoding is asked for, the plan that a search comes to; the fixed ladder where it fails."""
        plan = probed.plan
        if plan.per_title is None or not plan.per_title.samples:
            return probed
        work = SearchInput(
            original=original, source=probed.source, plan=SearchPlan.of(plan), total_frames=plan.total_frames
        )
        summary = f"Look for the CRF of each rendition in {len(plan.per_title.samples)} samples"
        searched = await self._runner.optional(steps.SEARCH, work, summary, otherwise="Encoded with the fixed ladder")
        if searched is None:
            return probed
        self._per_title = searched.per_title
        return probed.model_copy(update={"plan": with_search_result(plan, searched)})

    async def _encode(self, original: StoredSource, probed: ProbedSource) -> EncodedStream:
        """All over again where workers of two versions met, and what one wrote cannot be joined with what the other did."""
        plan = probed.plan
        while True:
            try:
                return await self._transcode(original, probed)
            except ActivityError as error:
                code = failure_of(error).code
                if code != ChunksDoNotFit.code or self._encoded_before == MOST_ROUNDS - 1:
                    raise
            renditions = [*(video.name for video in plan.renditions), *(audio.name for audio in plan.audio)]
            work = DiscardInput(job_id=self._job.job_id, output=False, original=False, renditions=renditions)
            await self._runner.run(steps.DISCARD, work, "Remove what does not fit together")
            self._encoded_before += 1
            self._parts_encoded = 0

    async def _transcode(self, original: StoredSource, probed: ProbedSource) -> EncodedStream:
        """Parts of chunks side by side with whole tracks of audio; what is there can be played meanwhile.

        What is needed first runs first: the smallest rendition of the first chunk, and sound. A task queue does not
        promise its order, so the rest is only asked for when that first part is done.
        """
        plan = probed.plan
        parts = [(chunk, part) for chunk in plan.chunks for part in parts_of(chunk, plan.renditions)]
        video = [
            self._encode_part(original, probed, chunk, part, first=number == 0)
            for number, (chunk, part) in enumerate(parts)
        ]
        for last in parts[-1:]:
            length = len(self._part_input(original, probed, *last).model_dump_json())
            self._room = asyncio.Semaphore(max(1, min(MOST_AT_ONCE, BYTES_AT_ONCE // length)))
        audio = [self._encode_audio(original, probed, rendition) for rendition in plan.audio]
        growing = asyncio.ensure_future(self._publish_growing(original, probed, len(parts)))
        first, others = video[:1], video[1:]
        try:
            done = await all_or_none([*first, *audio, *others])
        except DISTURBED:
            await stop(growing)
            raise
        await stop(growing)
        if len(parts) > 1:
            await self._publish(original, probed)
        chunks: list[list[EncodedPart]] = [[] for _ in plan.chunks]
        sound = slice(len(first), len(first) + len(audio))
        for (chunk, _), encoded in zip(parts, [*done[: sound.start], *done[sound.stop :]], strict=True):
            chunks[chunk.index].append(encoded)
        return EncodedStream(chunks=chunks, audio=done[sound])

    async def _encode_part(
        self,
        original: StoredSource,
        probed: ProbedSource,
        chunk: Chunk,
        renditions: list[VideoRendition],
        *,
        first: bool,
    ) -> EncodedPart:
        plan, work = probed.plan, self._part_input(original, probed, chunk, renditions)
        ladder = ", ".join(rendition.name for rendition in renditions)
        summary = f"Chunk {chunk.index + 1} of {len(plan.chunks)} ({_window(chunk)}) → {ladder}"
        if not first:
            await workflow.wait_condition(lambda: self._parts_encoded > 0)
        async with self._room:
            encoded = await self._runner.run(steps.ENCODE_CHUNK, work, summary, urgent=first)
        self._parts_encoded += 1
        return encoded

    def _part_input(
        self, original: StoredSource, probed: ProbedSource, chunk: Chunk, renditions: list[VideoRendition]
    ) -> EncodeChunkInput:
        plan = probed.plan
        return EncodeChunkInput(
            original=original,
            source=probed.source.for_chunks(),
            plan=plan.for_part(renditions),
            chunk=chunk,
            weight=weight_of(renditions, plan.renditions, len(plan.chunks)),
            chunk_count=len(plan.chunks),
            total_frames=plan.total_frames,
            encoded_before=self._encoded_before,
        )

    async def _encode_audio(
        self, original: StoredSource, probed: ProbedSource, rendition: AudioRendition
    ) -> EncodedPart:
        work = EncodeAudioInput(
            original=original,
            source=probed.source.for_sound(rendition.stream_index),
            plan=EncodePlan.of(probed.plan),
            rendition=rendition,
            track_count=len(probed.plan.audio),
            encoded_before=self._encoded_before,
        )
        layout = ", 5.1" if rendition.is_surround else ""
        summary = f"Audio {rendition.language or rendition.name}{layout}"
        urgent = not rendition.is_surround
        return await self._runner.run(steps.ENCODE_AUDIO, work, summary, urgent=urgent)

    async def _make_text(self, original: StoredSource, probed: ProbedSource) -> list[TextTrack]:
        """Subtitles of the source, and captions from its sound: a stream can do without either."""
        wanted: list[Coroutine[Any, Any, Text | None]] = []
        if renditions := probed.plan.subtitles:
            subtitles = KeepSubtitlesInput(original=original, source=probed.source, renditions=renditions)
            summary = f"{len(renditions)} subtitle tracks → WebVTT"
            wanted.append(
                self._runner.optional(steps.KEEP_SUBTITLES, subtitles, summary, otherwise="There are no subtitles")
            )
        if transcription := probed.plan.transcription:
            speech = TranscribeInput(original=original, source=probed.source, transcription=transcription)
            summary = f"Captions in {transcription.language or 'the language that is spoken'}"
            wanted.append(self._runner.optional(steps.TRANSCRIBE, speech, summary, otherwise="There are no captions"))
        made = [text for text in await all_or_none(wanted) if text is not None]
        self._runner.warnings += [warning for text in made for warning in text.warnings]
        return [track for text in made for track in text.tracks]

    async def _publish_growing(self, original: StoredSource, probed: ProbedSource, parts: int) -> None:
        published = 0
        for step in publishing_steps(parts):
            if step > published:
                await workflow.wait_condition(lambda step=step: self._parts_encoded >= step)  # type: ignore[misc]
                published = self._parts_encoded
                await self._publish(original, probed)

    async def _publish(self, original: StoredSource, probed: ProbedSource) -> None:
        work = PublishInput(
            original=original,
            source=probed.source.for_manifests(),
            plan=StreamPlan.of(probed.plan),
            began_at=workflow.info().start_time,
            encoded_before=self._encoded_before,
            number=self._publications,
        )
        self._publications += 1
        await self._runner.run(steps.PUBLISH, work, "Let viewers see what is there so far")

    async def _validate(
        self, original: StoredSource, probed: ProbedSource, encoded: EncodedStream
    ) -> ValidatedStream | None:
        """VMAF of all renditions; a warning for each that is too low. Raises when that is fatal."""
        plan = probed.plan
        if not plan.quality.enabled:
            return None
        qualities = [part.quality for parts in encoded.chunks for part in parts if part.quality]
        work = ValidateInput(original=original, plan=EncodePlan.of(plan), qualities=qualities)
        validated = await self._runner.run(steps.VALIDATE, work, "VMAF of the whole film from that of its chunks")
        complaints = below_floor(validated.scores, plan.quality)
        if complaints and plan.quality.failure_is_fatal:
            raise to_application_error(
                QualityBelowMinimum(f"The quality is too low: {'; '.join(complaints)}. See validation.min_score.")
            )
        self._runner.warnings += complaints
        return validated

    async def _pictures(self, original: StoredSource, probed: ProbedSource, encoded: EncodedStream) -> Pictures | None:
        """Poster and thumbnails."""
        if probed.plan.pictures is None:
            return None
        work = StillsInput(original=original, source=probed.source, plan=StreamPlan.of(probed.plan), encoded=encoded)
        otherwise = "There is no poster and there are no thumbnails"
        pictures = await self._runner.optional(steps.PICTURES, work, "Poster and thumbnails", otherwise=otherwise)
        self._runner.warnings += pictures.warnings if pictures else []
        return pictures

    async def _package(
        self, original: StoredSource, probed: ProbedSource, encoded: EncodedStream, storyboard: Storyboard | None
    ) -> PackagedStream:
        work = PackageInput(
            original=original, source=probed.source, plan=probed.plan, encoded=encoded, storyboard=storyboard
        )
        return await self._runner.run(steps.PACKAGE, work, "Write HLS and DASH manifests")

    async def _downloads(self, original: StoredSource, probed: ProbedSource, encoded: EncodedStream) -> list[Download]:
        """One file of each rendition, where they are wanted."""
        if not probed.plan.downloads:
            return []
        work = DownloadsInput(original=original, source=probed.source, plan=StreamPlan.of(probed.plan), encoded=encoded)
        otherwise = "There are no files to download"
        made = await self._runner.optional(steps.DOWNLOADS, work, "Each rendition as one file", otherwise=otherwise)
        return made.files if made else []

    async def _store(self, work: StoreInput) -> ProcessVideoResult:
        return await self._runner.run(steps.STORE, work, "Verify every file in its store")

    # ── the ends ────────────────────────────────────────────────────────────────────────────────────────────────────
    async def _end_completed(self, result: ProcessVideoResult) -> None:
        """Cleaned up first: whoever hears that a job is completed finds nothing unfinished. Raises CancelledError, and
        an ActivityError that is a cancel, when somebody was promised before that the job ends cancelled."""
        await self._discard(output=False, original=False)
        if self._runner.cancelled:
            raise asyncio.CancelledError
        await self._record(Outcome.completed(self._job.job_id, result))
        self._enter(Stage.COMPLETED)

    async def _end_failed(self, error: BaseException) -> None:
        """Told first, cleaned up after: the person at the other end should not wait for a slow store."""
        job_error = to_job_error(error, self._stage)
        try:
            await self._record(Outcome.failed(self._job.job_id, job_error))
        except ActivityError as refused:
            if not _is_cancel(refused):
                raise
            await self._end_cancelled()
            return
        self._enter(Stage.FAILED)
        is_theirs = job_error.fault == Fault.CALLER
        # A disk that is full needs room more than another try needs what was done.
        keep_parts = not is_theirs and job_error.code != DiskFull.code
        await self._discard(output=True, original=is_theirs, keep_parts=keep_parts)

    async def _end_cancelled(self) -> None:
        await self._record(Outcome.cancelled(self._job.job_id, self._stage))
        self._enter(Stage.CANCELLED)
        await self._discard(output=True, original=True)

    async def _record(self, outcome: Outcome) -> None:
        await self._runner.to_its_end(
            self._runner.run(steps.RECORD_OUTCOME, outcome, f"Record: {outcome.message}"), hands_on_cancel=False
        )

    async def _discard(self, *, output: bool, original: bool, keep_parts: bool = False) -> None:
        work = DiscardInput(job_id=self._job.job_id, output=output, original=original, keep_parts=keep_parts)
        removing = self._runner.run(steps.DISCARD, work, "Remove what is no longer needed")
        try:
            await self._runner.to_its_end(removing, hands_on_cancel=False)
        except ActivityError as error:
            # A stream that can be watched is no failure because of what lies beside it; the sweep takes that along.
            workflow.logger.warning("files of a job were not removed: %s", failure_of(error).message)

    # ── how ─────────────────────────────────────────────────────────────────────────────────────────────────────────
    def _enter(self, stage: Stage) -> None:
        self._stage = stage
        self._began[stage] = workflow.now()
        workflow.upsert_search_attributes([STAGE.value_set(stage)])
        workflow.logger.info("stage began", extra={"stage": stage.value})


def _is_cancel(error: BaseException) -> bool:
    """Whether an activity or the workflow was cancelled, or the log says that somebody was promised a cancel."""
    if is_cancelled_exception(error):
        return True
    cause = error.cause if isinstance(error, ActivityError) else error
    return isinstance(cause, ApplicationError) and cause.type == CancelRequested.code


def _described(probed: ProbedSource) -> str:
    video = probed.source.video
    what = f"{video.width}×{video.height} {video.codec}" if video else "sound"
    return f"{what}, {probed.source.duration:.1f} s → {', '.join(probed.plan.names)}"


def _window(chunk: Chunk) -> str:
    return f"{chunk.start:.0f}–{chunk.end:.0f} s" if chunk.end is not None else f"from {chunk.start:.0f} s"
