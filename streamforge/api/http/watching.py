"""Who may have the files and the keys of a job's stream. Decided before a handler runs, and told to it as a Grant."""

from uuid import UUID

from starlette.requests import HTTPConnection

from streamforge.access.caller import Scope
from streamforge.access.signatures import Opens
from streamforge.api.key_token import require_token
from streamforge.api.playback import Grant, split
from streamforge.api.services import AppState, is_shown_to_caller, require, services_of
from streamforge.contracts.ids import parse_job_id
from streamforge.errors import KeyNotFound, MediaNotFound


def grant_of(connection: HTTPConnection[AppState]) -> Grant:
    grant: Grant = connection.scope["state"]["grant"]
    return grant


async def granted(connection: HTTPConnection[AppState]) -> Grant:
    """Where `keys.token` is set, it decides who gets keys, together with a signature if there is one, but never against the
    job's own people.

    Raises PlaybackRefused and PlaybackExpired for what a signature says of itself, KeyRefused; and where there is none
    MediaNotFound, KeyNotFound or AccessRefused, each as for a job that is not there."""
    job_id, opens, segment = _asked(connection)
    services = services_of(connection)
    token = services.settings.keys.token if opens is Opens.KEYS else None
    grant = services.playbacks.by_signature(segment, opens, job_id) if segment is not None else None
    if token is None and grant is not None:
        return grant
    if token is None and not await services.playbacks.is_signed(job_id):
        return Grant(public=True)
    if await is_shown_to_caller(connection, job_id):
        return Grant()
    if token is None:
        raise _refusal(connection, opens)
    require_token(connection, job_id, token.get_secret_value())
    return Grant()


def _asked(connection: HTTPConnection[AppState]) -> tuple[UUID, Opens, str | None]:
    parameters = connection.path_params
    job_id = parse_job_id(parameters["job_id"])
    if "path" in parameters:
        return job_id, Opens.MEDIA, split(parameters["path"])[0]
    return job_id, Opens.KEYS, parameters.get("signature")


def _refusal(connection: HTTPConnection[AppState], opens: Opens) -> MediaNotFound | KeyNotFound:
    """What is said of a job that is not there. Where streams are signed unless they say otherwise, that is first of all
    who may ask."""
    services = services_of(connection)
    if services.settings.auth.required and services.playbacks.signed_by_default:
        require(connection, Scope.READ)
    return no_file() if opens is Opens.MEDIA else no_stream()


def no_file() -> MediaNotFound:
    """In the same words whether the file is not there, or nobody may know of it."""
    return MediaNotFound("There is no such file.")


def no_stream() -> KeyNotFound:
    """In the same words whether there is none, or nobody may know of it."""
    return KeyNotFound("The job has no stream.")
