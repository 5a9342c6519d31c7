"""Fields and parameters that nobody knows are refused by their names: a misspelt one that silently does nothing is worse
than none."""

from collections.abc import Collection
from difflib import get_close_matches

from starlette.datastructures import QueryParams
from starlette.requests import HTTPConnection

from streamforge.api.http.forms import Part
from streamforge.api.openapi.operation import Parameter
from streamforge.api.routes.process_fields import OPTIONS
from streamforge.api.services import AppState
from streamforge.errors import InputError, InvalidField, MissingVideo

MAX_SHOWN = 64


def parameters(connection: HTTPConnection[AppState], *only: Parameter) -> QueryParams:
    """The query. Raises InvalidField for a name that is none of those that the route says it has, or of `only` these, or is
    there twice."""
    known = [parameter.name for parameter in only or connection.scope["route"].operation.parameters]
    query = connection.query_params
    names = [name for name, _ in query.multi_items()]
    for name in names:
        if name not in known:
            raise _unknown_parameter(name, known)
        if names.count(name) > 1:
            raise InvalidField(f"The query parameter `{name}` is there twice.")
    return query


def unknown_part(part: Part, known: Collection[str], *, has_video: bool) -> InputError:
    """What is wrong with a form that has this part. A file in the wrong field is most likely the video."""
    if part.filename is not None and not has_video:
        return MissingVideo(f"The file is in a field named `{_shown(part.name)}`; send it in one named `video`.")
    return InvalidField(f"There is no field `{_shown(part.name)}`{_suggestion(part.name, known)}")


def file_name(video: Part) -> str:
    """Raises MissingVideo: what has none is text, or an input that nobody filled in."""
    if not video.filename:
        raise MissingVideo("The field `video` has no file name; send a file, as `curl -F video=@clip.mp4` does.")
    return video.filename


def _unknown_parameter(name: str, known: Collection[str]) -> InvalidField:
    if name in {"key", *OPTIONS} and "dry_run" in known:
        return InvalidField(f"`{name}` is a field of the form, not a query parameter.")
    beside = " beside `ids`" if "ids" in known and len(known) == 1 else ""
    return InvalidField(f"There is no query parameter `{_shown(name)}`{beside}{_suggestion(name, known)}")


def _suggestion(name: str, known: Collection[str]) -> str:
    close = get_close_matches(name.lower()[:MAX_SHOWN], known, n=1, cutoff=0.7)
    return f"; the nearest is `{close[0]}`." if close else "."


def _shown(name: str) -> str:
    return name if len(name) <= MAX_SHOWN else f"{name[:MAX_SHOWN]}…"
