"""What can go wrong for a client: no server, its answer that something is wrong, and a job that did not come to a good end."""

from collections.abc import Mapping

from streamforge.errors import Fault, ServiceError, StreamForgeError

UNKNOWN_CODE = "http"
"""Of an error page that is no problem+json: it came from something between the server and us."""
RETRY_AFTER_SECONDS = 5.0
"""Where who asks too often is not told when to come back."""
WORTH_A_RETRY = frozenset({429, 502, 503, 504})
"""Statuses of what is over in a while."""
IN_FLIGHT = "request.idempotency_in_flight"
"""Our own request, whose connection broke, is still being worked on."""


class ServerUnreachable(ServiceError):
    code = "client.unreachable"
    may_pass = True


class JobNotCompleted(StreamForgeError):
    """The job that was waited for failed or was cancelled."""

    code = "client.job_not_completed"


class FileChanged(StreamForgeError):
    """What is read while it is sent became another one."""

    code = "client.file_changed"
    fault = Fault.CALLER


class RequestRefused(StreamForgeError):
    """The server's own answer that something is wrong: its stable `code`, HTTP `status` and the sentence. `request_id` finds
    it in the server's log."""

    def __init__(self, status: int, code: str, message: str, request_id: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id
        # Our own errors have these from their class; here the server says them.
        self.code = code  # type: ignore[misc]
        self.fault = Fault.CALLER if status < 500 else Fault.SERVICE  # type: ignore[misc]

    @property
    def may_pass(self) -> bool:
        """Whether the same request may be answered otherwise in a while."""
        return self.status in WORTH_A_RETRY or self.code == IN_FLIGHT


class InvalidRequest(RequestRefused):
    """400, 413, 415, 422: another request is needed."""


class NotAuthenticated(RequestRefused):
    """401: no key, or one that is not good any more."""


class NotAllowed(RequestRefused):
    """403: the key is good, but not for this."""


class NotFound(RequestRefused):
    """404, 410: it is not there, not any more, or somebody else's."""


class Conflict(RequestRefused):
    """409, 423: not as things are now."""


class TooManyRequests(RequestRefused):
    """429: the same again after `retry_after` seconds."""

    def __init__(
        self,
        status: int,
        code: str,
        message: str,
        request_id: str | None = None,
        retry_after: float = RETRY_AFTER_SECONDS,
    ) -> None:
        super().__init__(status, code, message, request_id)
        self.retry_after = retry_after


class ServerFailed(RequestRefused):
    """5xx: not our doing."""


KINDS: Mapping[int, type[RequestRefused]] = {
    400: InvalidRequest,
    401: NotAuthenticated,
    403: NotAllowed,
    404: NotFound,
    409: Conflict,
    410: NotFound,
    413: InvalidRequest,
    415: InvalidRequest,
    422: InvalidRequest,
    423: Conflict,
}


def refusal(status: int, reason: str, body: object, headers: Mapping[str, str]) -> RequestRefused:
    """Of an answer with a 4xx or 5xx, `body` being its JSON, if it is that."""
    request_id = headers.get("x-request-id")
    match body:
        case {"code": str(code), "detail": str(sentence)}:
            pass
        case _:
            code, sentence = UNKNOWN_CODE, f"The server answered {status} {reason}."
    if status == 429:
        return TooManyRequests(status, code, sentence, request_id, _seconds(headers.get("retry-after", "")))
    kind = ServerFailed if status >= 500 else KINDS.get(status, RequestRefused)
    return kind(status, code, sentence, request_id)


def _seconds(retry_after: str) -> float:
    is_number = retry_after.isascii() and retry_after.isdigit()
    return float(retry_after) if is_number else RETRY_AFTER_SECONDS
