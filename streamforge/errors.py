"""Every error StreamForge can show, with its code, HTTP status, whose fault it is and whether trying again can help.

    StreamForgeError
    ├── InputError        the caller's file or request: fix it and send it again       4xx, never retried
    │   ├── RequestError  … already wrong in the HTTP request
    │   └── SourceError   … wrong inside the video
    └── ServiceError      ours: the machine, a dependency, a defect                    5xx, retried unless hopeless

`code` is stable and part of the public contract; the message is one sentence a person can act on. What helps an
operator but not the caller (paths, stderr, stack) goes to the log through `debug`, never to the wire.
"""

from enum import StrEnum
from typing import ClassVar, Self


class Fault(StrEnum):
    """Whose fault an error is."""

    CALLER = "caller"
    SERVICE = "service"


class StreamForgeError(Exception):
    """Base of all errors with a stable code. Subclasses set the class variables; instances carry the sentence."""

    code: ClassVar[str] = "internal"
    http_status: ClassVar[int] = 500
    fault: ClassVar[Fault] = Fault.SERVICE
    retryable: ClassVar[bool] = False
    max_attempts: ClassVar[int | None] = None
    """Of one activity that ends of this error, whatever else it has failed of; then it counts as the file's or our own doing.
    None: as long as the activity's own time allows."""

    def __init_subclass__(cls) -> None:
        # Not inherited: what the base of all service errors may do five times, an outage may do for days.
        if "max_attempts" not in vars(cls):
            cls.max_attempts = None

    def __init__(self, message: str, *, debug: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.debug = debug


class InputError(StreamForgeError):
    code = "input.invalid"
    http_status = 400
    fault = Fault.CALLER


# ── already wrong in the request ────────────────────────────────────────────────────────────────────────────────────
class RequestError(InputError):
    code = "request.invalid"


class MalformedJobId(RequestError):
    code = "request.malformed_job_id"


class MissingVideo(RequestError):
    code = "request.missing_video"


class InvalidKey(RequestError):
    code = "request.invalid_key"


class InvalidField(RequestError):
    code = "request.invalid_field"


class MalformedMultipart(RequestError):
    code = "request.malformed_multipart"


class EmptyUpload(RequestError):
    code = "input.empty"


class UploadTooLarge(RequestError):
    code = "input.too_large"
    http_status = 413

    @classmethod
    def than(cls, most_bytes: int) -> Self:
        return cls(f"The video is larger than the {most_bytes} bytes this server takes.")


class JobNotFound(RequestError):
    code = "job.not_found"
    http_status = 404


class BatchNotFound(RequestError):
    code = "batch.not_found"
    http_status = 404


class MalformedBatchId(RequestError):
    code = "request.malformed_batch_id"


class MediaNotFound(RequestError):
    code = "media.not_found"
    http_status = 404


class MalformedKeyId(RequestError):
    code = "request.malformed_key_id"


class KeyNotFound(RequestError):
    code = "key.not_found"
    http_status = 404


class KeyRefused(RequestError):
    code = "key.refused"
    http_status = 401


class PlaybackRefused(RequestError):
    code = "playback.refused"
    http_status = 403


class PlaybackExpired(RequestError):
    code = "playback.expired"
    http_status = 403


class NothingToPlay(RequestError):
    code = "playback.nothing_there"
    http_status = 409


class AccessRefused(RequestError):
    """The caller has not shown what this takes. Answered with a challenge (RFC 9110 §11.6.1, RFC 6750 §3)."""

    code = "auth.refused"
    http_status = 401
    bearer_error: ClassVar[str | None] = None
    """Of RFC 6750 §3.1; None where nothing was shown that could be wrong."""

    def __init__(self, message: str, *, scope: str | None = None, debug: str | None = None) -> None:
        """`scope`: the one that would do."""
        super().__init__(message, debug=debug)
        self.scope = scope


class CredentialMissing(AccessRefused):
    code = "auth.required"


class CredentialInvalid(AccessRefused):
    """Unknown, expired, revoked or malformed."""

    code = "auth.invalid"
    bearer_error = "invalid_token"


class ScopeMissing(AccessRefused):
    code = "auth.scope_missing"
    http_status = 403
    bearer_error = "insufficient_scope"


class ApiKeyNotFound(RequestError):
    code = "auth.key_not_found"
    http_status = 404


class UploadNotFound(RequestError):
    code = "upload.not_found"
    http_status = 404


class UploadGone(RequestError):
    """It was ended, refused or cancelled; what had come is deleted."""

    code = "upload.gone"
    http_status = 410


class UploadExpired(RequestError):
    code = "upload.expired"
    http_status = 410


class UploadOffsetMismatch(RequestError):
    code = "upload.offset_mismatch"
    http_status = 409


class UploadLocked(RequestError):
    """Another request writes to it right now, and its bytes are coming."""

    code = "upload.locked"
    http_status = 423
    retryable = True


class UnsupportedTusVersion(RequestError):
    code = "upload.unsupported_version"
    http_status = 412


class UploadContentType(RequestError):
    code = "upload.content_type"
    http_status = 415


class InvalidUploadHeader(RequestError):
    code = "upload.invalid_header"


class UploadLongerThanSaid(RequestError):
    code = "upload.longer_than_said"
    http_status = 413


class ChecksumMismatch(RequestError):
    """Of the tus protocol, which has a status of its own for it."""

    code = "upload.checksum_mismatch"
    http_status = 460


class UploadUnfinished(RequestError):
    code = "upload.unfinished"
    http_status = 409


class UploadComplete(RequestError):
    code = "upload.complete"
    http_status = 409


class UploadIsFinal(RequestError):
    """It was put together of others, and takes no bytes."""

    code = "upload.is_final"
    http_status = 403


class RangeNotSatisfiable(RequestError):
    code = "media.range_not_satisfiable"
    http_status = 416


class ReceiptUnreadable(InputError):
    """What `streamforge verify` was given has no receipt to go by."""

    code = "receipt.unreadable"


class BackupUnreadable(InputError):
    """What `streamforge restore` was given is unfinished, damaged, or no backup."""

    code = "backup.unreadable"


class JobAlreadyOver(RequestError):
    code = "job.already_over"
    http_status = 409


class JobHeld(RequestError):
    code = "job.held"
    http_status = 409


class JobIsExternal(RequestError):
    """What only jobs can do that are worked on here."""

    code = "job.is_external"
    http_status = 409


class JobNotExternal(RequestError):
    """Nobody outside reports on a job that is worked on here."""

    code = "job.not_external"
    http_status = 409


class ReportMisdirected(RequestError):
    """It speaks of another job or video than it was sent to."""

    code = "report.misdirected"
    http_status = 409


class WebhookNotFound(RequestError):
    code = "webhook.not_found"
    http_status = 404


class DeliveryNotFound(RequestError):
    code = "webhook.delivery_not_found"
    http_status = 404


class TooManyWebhooks(RequestError):
    code = "webhook.too_many"
    http_status = 409


class WorkerNotFound(RequestError):
    code = "worker.not_found"
    http_status = 404


class CannotBeRetried(RequestError):
    code = "job.cannot_be_retried"
    http_status = 409


class OriginalGone(RequestError):
    code = "job.original_gone"
    http_status = 409


class JobPaused(RequestError):
    """Of a part that was queued when its job was paused; it is begun again when that goes on."""

    code = "job.paused"
    http_status = 409


class CancelRequested(RequestError):
    """Somebody was promised that the job ends cancelled; the log takes no other ending."""

    code = "job.cancel_requested"
    http_status = 409


class TooManyStreams(RequestError):
    code = "stream.too_many"
    http_status = 429
    retryable = True


class LimitReached(RequestError):
    """`retry_after`: seconds until there may be room again."""

    code = "limits.reached"
    http_status = 429
    retryable = True

    def __init__(self, message: str, *, retry_after: int) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class TooManyRequests(LimitReached):
    code = "limits.requests"


class TooManyAttempts(LimitReached):
    code = "limits.attempts"


class TooManyJobs(LimitReached):
    code = "limits.unfinished_jobs"


class TooManyUploads(LimitReached):
    code = "limits.uploads"


class BytesUsedUp(LimitReached):
    code = "limits.bytes"


class IdempotencyInFlight(RequestError):
    code = "request.idempotency_in_flight"
    http_status = 409


class IdempotencyKeyReused(RequestError):
    code = "request.idempotency_key_reused"
    http_status = 422


class MinutesUsedUp(LimitReached):
    """Of film, in this month."""

    code = "limits.minutes"


class ForeignPage(RequestError):
    """Asked for by a web page of another origin, in the name of whoever looks at it."""

    code = "request.foreign_page"
    http_status = 403


class UnknownHost(RequestError):
    code = "request.unknown_host"
    http_status = 421


class AddressRefused(RequestError):
    """A stranger named an address that is within our own network, or of no public one."""

    code = "request.address_refused"


class MalformedHttp(RequestError):
    code = "request.malformed_http"


class ControlCharacter(RequestError):
    code = "request.control_character"


class HeadTooLarge(RequestError):
    code = "request.head_too_large"
    http_status = 431


class HeadTimedOut(RequestError):
    code = "request.head_timeout"
    http_status = 408
    retryable = True


class UploadTooSlow(StreamForgeError):
    """No RequestError: of a batch it ends all of it, not one video."""

    code = "request.too_slow"
    http_status = 408
    fault = Fault.CALLER
    retryable = True


class RequestTimedOut(StreamForgeError):
    code = "request.timeout"
    http_status = 504
    retryable = True


class FilmBeyondQuota(InputError):
    """Told by the probe: how long a film is nobody knows before."""

    code = "limits.minutes_exceeded"
    http_status = 422


class BytesBeyondQuota(InputError):
    """Told while a video is fetched: how large it is nobody knows before."""

    code = "limits.bytes_exceeded"
    http_status = 422


# ── wrong where a video is fetched from ─────────────────────────────────────────────────────────────────────────────
class FetchError(InputError):
    code = "source_url.failed"
    http_status = 422


class SourceNotAllowed(FetchError):
    code = "source_url.not_allowed"
    http_status = 400


class SourceNotFound(FetchError):
    code = "source_url.not_found"


class SourceForbidden(FetchError):
    """The source wants to know who asks, or does not let us have it."""

    code = "source_url.forbidden"


class SourceIsAPage(FetchError):
    code = "source_url.web_page"


class TooManyRedirects(FetchError):
    code = "source_url.too_many_redirects"


class SourceUnusable(FetchError):
    """An answer that no video can be had of, and no other try will make better."""

    code = "source_url.unusable_answer"


class FetchInterrupted(FetchError):
    """Another try may come to more. The activity that fetches makes them, and fails when they come to nothing for too long:
    then it is for people to try again. `retry_after`: seconds that the source asks for."""

    code = "source_url.interrupted"
    retryable = True
    max_attempts = 1

    def __init__(self, message: str, *, debug: str | None = None, retry_after: float = 0) -> None:
        super().__init__(message, debug=debug)
        self.retry_after = retry_after


class SourceUnreachable(FetchInterrupted):
    code = "source_url.unreachable"
    max_attempts = 1


class SourceUnavailable(FetchInterrupted):
    code = "source_url.unavailable"
    max_attempts = 1


class SourceStalled(FetchInterrupted):
    code = "source_url.stalled"
    max_attempts = 1


class SourceBrokeOff(FetchInterrupted):
    code = "source_url.broke_off"
    max_attempts = 1


# ── wrong inside the video ──────────────────────────────────────────────────────────────────────────────────────────
class SourceError(InputError):
    code = "input.invalid_source"
    http_status = 422


class NotAVideo(SourceError):
    code = "input.not_a_video"


class NoVideoStream(SourceError):
    code = "input.no_video"


class NoAudioStream(SourceError):
    code = "input.no_audio"


class TruncatedSource(SourceError):
    code = "input.truncated"


class UndecodableSource(SourceError):
    code = "input.undecodable"


class CannotBeCopied(SourceError):
    """What looked fit to be copied is not, and has to be encoded."""

    code = "input.cannot_be_copied"


class UnsupportedDimensions(SourceError):
    code = "input.unsupported_dimensions"


class UnsupportedDolbyVision(SourceError):
    """Without Dolby's decoder its colours are not to be had."""

    code = "input.dolby_vision"


class SourceTooLong(SourceError):
    code = "input.too_long"


class SourceTooComplex(SourceError):
    """More of something than any film has: streams, packets, data that is no media. Found before it is decoded."""

    code = "input.too_complex"


class SourceTooExpensive(SourceError):
    """The media child hit its memory or time limit on this source."""

    code = "input.too_expensive"


class QualityBelowMinimum(SourceError):
    code = "quality.below_minimum"


# ── ours ────────────────────────────────────────────────────────────────────────────────────────────────────────────
class ServiceError(StreamForgeError):
    code = "internal"
    retryable = True
    max_attempts = 5


class InvalidSettings(ServiceError):
    code = "settings.invalid"
    retryable = False


class MissingPart(ServiceError):
    code = "setup.missing_part"
    retryable = False


class SandboxMissing(ServiceError):
    """Media processes are to be confined, and this machine cannot do it."""

    code = "setup.no_sandbox"
    retryable = False


class PortInUse(ServiceError):
    code = "setup.port_in_use"
    retryable = False


class DataFolderUnusable(ServiceError):
    code = "setup.data_folder"
    retryable = False


class AlreadyRunning(ServiceError):
    code = "setup.already_running"
    retryable = False


class BackupFailed(ServiceError):
    """A backup could not be made, or what it holds not be put back."""

    code = "backup.failed"


class RestoreRefused(ServiceError):
    """Where a backup is to be restored there is something already."""

    code = "restore.refused"
    retryable = False


class ServerStopping(ServiceError):
    code = "server.stopping"
    http_status = 503


class DiskFull(ServiceError):
    code = "storage.disk_full"
    http_status = 507


class StorageUnavailable(ServiceError):
    code = "storage.unavailable"
    http_status = 503


class StoreTaken(ServiceError):
    """Another installation works in the same store."""

    code = "storage.taken"
    retryable = False


class StorageCorrupted(ServiceError):
    """Bytes in the store are not the bytes that were written."""

    code = "storage.corrupted"
    max_attempts = 10


class DatabaseUnavailable(ServiceError):
    code = "database.unavailable"
    http_status = 503


class TemporalUnavailable(ServiceError):
    code = "temporal.unavailable"
    http_status = 503


class ProviderUnavailable(ServiceError):
    """Who made a token cannot be asked for its keys."""

    code = "auth.provider_unavailable"
    http_status = 503


class SinkUnavailable(ServiceError):
    """A broker that events go out to does not take them now."""

    code = "sink.unavailable"


class WorkflowLost(ServiceError):
    """The workflow of a job ended, or is gone, and the job was not over."""

    code = "temporal.workflow_lost"


class ReportedFailure(ServiceError):
    """A worker outside said so of an external job."""

    code = "report.failed"
    retryable = False


class ReporterSilent(ServiceError):
    """Nobody reported on an external job for as long as it may be silent."""

    code = "report.silent"
    retryable = False


class MediaChildCrashed(ServiceError):
    """A media child process died by a signal, without a word."""

    code = "media.crashed"
    max_attempts = 3


class CaptionsUnavailable(ServiceError):
    """No model, or not for this language. Jobs go on without captions, and say so."""

    code = "captions.unavailable"
    retryable = False


class PicturesLost(ServiceError):
    """Pictures that are in the source came to no viewer, and nothing says why."""

    code = "media.pictures_lost"
    retryable = False


class Superseded(ServiceError):
    """An attempt that came late, or beside another one, has written nothing; the other one's work counts."""

    code = "internal.superseded"


class OutputInvalid(ServiceError):
    """What an encoder wrote did not pass its own verification."""

    code = "media.output_invalid"
    max_attempts = 3


class ChunksDoNotFit(ServiceError):
    """Encoders of two versions worked on one rendition, and no decoder that is set up for one plays the other."""

    code = "media.chunks_do_not_fit"
    retryable = False


_BY_CODE = {
    kind.code: kind for kind in vars().copy().values() if isinstance(kind, type) and issubclass(kind, StreamForgeError)
}


def by_code(code: str) -> type[StreamForgeError]:
    """The class of a code that came from another process. ServiceError, whose code `internal` is, for one that only a newer
    version knows."""
    return _BY_CODE.get(code, ServiceError)
