"""The receipt of a job, from all that its stages have said."""

from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from pathlib import PurePath

from streamforge.contracts import steps
from streamforge.contracts.job import AudioView, RenditionView, Stage
from streamforge.contracts.media.encoded import EncodedTrack, StoredFile
from streamforge.contracts.media.plan import Plan
from streamforge.contracts.pipeline import ProcessVideoResult, StoreInput
from streamforge.contracts.receipt import AudioReceipt, Receipt, RenditionReceipt, SourceReceipt, StageTime
from streamforge.packaging.presentation import Presentation


def job_receipt(
    work: StoreInput,
    stream: Presentation,
    result: ProcessVideoResult,
    files: dict[str, StoredFile],
    *,
    versions: dict[str, str],
    attempt: int,
    now: datetime,
) -> Receipt:
    """`attempt` is that of storing. Holds what a viewer may see: no paths, no addresses, no keys."""
    encoded = {track.name: track for track in stream.tracks}
    options = {rendition.name: rendition.options for rendition in work.plan.renditions}
    return Receipt(
        job_id=work.original.job_id,
        created_at=now,
        versions=versions,
        source=SourceReceipt(sha256=work.original.sha256, size_bytes=work.original.size_bytes, found=work.source),
        plan=_public(work.plan),
        renditions=[_rendition(view, encoded[view.name], options[view.name]) for view in result.renditions],
        audio=[_audio(view, encoded[view.name]) for view in result.audio],
        stages=stage_times(work.began, now),
        retries=retries(work, attempt),
        repairs=result.repairs,
        repair_count=result.repair_count,
        account=result.account,
        warnings=result.warnings,
        files=files,
    )


def _public(plan: Plan) -> Plan:
    """A model may be named by where it lies on a worker."""
    if plan.transcription is None:
        return plan
    name = PurePath(plan.transcription.model)
    shown = name.name if name.is_absolute() else str(name)
    return plan.model_copy(update={"transcription": plan.transcription.model_copy(update={"model": shown})})


def _rendition(view: RenditionView, track: EncodedTrack, options: dict[str, str]) -> RenditionReceipt:
    return RenditionReceipt(
        **view.model_dump(exclude={"frames"}),
        frames=track.frames,
        encoders=track.encoders,
        options=options,
        size_bytes=_size(track),
        segments=len(track.segments),
    )


def _audio(view: AudioView, track: EncodedTrack) -> AudioReceipt:
    return AudioReceipt(**view.model_dump(), size_bytes=_size(track), segments=len(track.segments))


def _size(track: EncodedTrack) -> int:
    return track.init_size_bytes + sum(segment.size_bytes for segment in track.segments)


def stage_times(began: Mapping[Stage, datetime], now: datetime) -> list[StageTime]:
    """Each stage lasts until the next one begins, and the last one until now."""
    ordered = sorted(began.items(), key=lambda entry: entry[1])
    ends = [*(moment for _, moment in ordered[1:]), now][: len(ordered)]
    return [
        StageTime(stage=stage, began_at=begin, seconds=round(max(0.0, (end - begin).total_seconds()), 3))
        for (stage, begin), end in zip(ordered, ends, strict=True)
    ]


def retries(work: StoreInput, attempt: int) -> dict[str, int]:
    """How often work was begun again, whatever the reason: an error, or a worker that was killed."""
    attempts = [
        (steps.PROBE.name, work.probe_attempt),
        *((steps.ENCODE_CHUNK.name, part.attempt) for chunk in work.encoded.chunks for part in chunk),
        *((steps.ENCODE_AUDIO.name, part.attempt) for part in work.encoded.audio),
        (steps.VALIDATE.name, work.validated.attempt if work.validated else 1),
        (steps.PACKAGE.name, work.packaged.attempt),
        (steps.STORE.name, attempt),
    ]
    counted: Counter[str] = Counter()
    for name, ended_with in attempts:
        counted[name] += ended_with - 1
    return {name: count for name, count in counted.items() if count > 0}
