"""Everything a caller may ask of a job, and what makes sense of each: one field here is one option everywhere.

A field is accepted by the forms of `POST /process` and `POST /batches`, kept in the column `jobs.options`, and echoed by
`GET /jobs/<id>`; one of WorkOptions is handed to the workflow and to the probe, too. A test asks the command line for it.
"""

import json
import re
import unicodedata
from collections.abc import Callable, Collection
from decimal import Decimal
from typing import Annotated, Any, Literal, Self, TypeAlias
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, BeforeValidator, Field, ValidationError, ValidationInfo, WrapValidator
from pydantic_core import PydanticCustomError

from streamforge.contracts.stored import MAX_DEPTH, JsonObject, is_deeper_than
from streamforge.errors import InvalidField

OnDamage: TypeAlias = Literal["fail", "keep"]
"""What becomes of a video that is cut off or broken: the job fails, or what decodes of it is kept."""

PlaybackMode: TypeAlias = Literal["public", "signed"]
"""Who may watch: whoever knows the id of the job, or who was given an address that is signed and expires."""

MAX_METADATA_BYTES = 16 * 1024
MAX_EXTERNAL_ID = 255
MAX_URL = 2048

# Language, script, region, variants: RFC 5646 without its extensions.
_LANGUAGE_TAG = re.compile(r"[a-z]{2,3}(-[a-z]{4})?(-([a-z]{2}|\d{3}))?(-([a-z\d]{5,8}|\d[a-z\d]{3}))*", re.I | re.A)
# PostgreSQL's text cannot hold NUL, and JSON can write it.
_NUL_IN_JSON = re.compile(r"(?<!\\)(\\\\)*\\u0000")

_PROFILES = "profiles"
"""In the context of a validation: the names of those that are there. Where they are not told, any name will do."""


WHOLE_SENTENCE = "job_option"
"""The type of errors whose message can stand alone."""


def _wrong(sentence: str) -> PydanticCustomError:
    """Told as it is. A template would have its braces filled in."""
    return PydanticCustomError(WHOLE_SENTENCE, "{sentence}", {"sentence": sentence})


def _or_else(sentence: str) -> WrapValidator:
    """Whatever does not fit, this sentence says what would."""

    def check(value: Any, inner: Callable[[Any], Any]) -> Any:
        try:
            return inner(value)
        except ValidationError as error:
            raise _wrong(sentence) from error

    return WrapValidator(check)


def _digit(value: Any) -> Any:
    """A form has text; int() would take digits of any script, and `3.0`."""
    return value if not isinstance(value, str) else int(value) if value.strip() in {"1", "2", "3", "4", "5"} else None


def _one_of_the_profiles(value: str, info: ValidationInfo) -> str:
    names = (info.context or {}).get(_PROFILES)
    if names is not None and value not in names:
        raise _wrong(f"`profile` names no profile of this server; it has {', '.join(sorted(names))}.")
    return value


def _captions(value: str) -> str:
    if value not in {"auto", "none"} and not _LANGUAGE_TAG.fullmatch(value):
        raise _wrong("`captions` is `auto`, `none`, or a language tag like `en` or `pt-BR`.")
    return value


def _external_id(value: str) -> str:
    if len(value) > MAX_EXTERNAL_ID or _has_control_characters(value):
        raise _wrong(f"`external_id` is text of at most {MAX_EXTERNAL_ID} printable characters.")
    return value


def _metadata(value: Any) -> Any:
    return _metadata_from_text(value) if isinstance(value, str) else value


def _metadata_from_text(text: str) -> dict[str, Any]:
    if len(text.encode()) > MAX_METADATA_BYTES:
        raise _wrong(f"`metadata` is longer than {MAX_METADATA_BYTES} bytes.")
    zeros = 0

    def number(digits: str) -> float:
        nonlocal zeros
        zeros += abs(Decimal(digits).adjusted())
        return float(digits)

    too_deep = _wrong(f"`metadata` is nested more than {MAX_DEPTH} levels deep.")
    try:
        value = json.loads(text, parse_float=number)
        again = json.dumps(value, allow_nan=False, ensure_ascii=False)
        again.encode()
    except RecursionError as error:
        raise too_deep from error
    except ValueError as error:  # No JSON, NaN, a number without end, half a surrogate pair.
        raise _wrong("`metadata` is not JSON that can be kept.") from error
    if not isinstance(value, dict) or _NUL_IN_JSON.search(again):
        raise _wrong("`metadata` must be a JSON object without NUL characters.")
    if is_deeper_than(MAX_DEPTH, value):
        raise too_deep
    # PostgreSQL writes numbers out: 1e308 comes back with all its zeros, to everybody who lists jobs.
    if len(text.encode()) + zeros > MAX_METADATA_BYTES:
        raise _wrong(f"`metadata` is longer than {MAX_METADATA_BYTES} bytes, with its numbers written out.")
    return value


HOST = re.compile(r"[\w.-]+|[\da-f:.]*:[\da-f:.]*")


def _webhook_url(value: str) -> str:
    try:
        return web_address(value)
    except ValueError as error:
        raise _wrong("`webhook_url` must be an address like https://example.org/hooks/streamforge.") from error


def web_address(value: str) -> str:
    """Raises ValueError for what is no plain address of the web."""
    try:
        url = urlsplit(value)
        # Host names and addresses only: what is shown of the address is its host, and some clients read a backslash as the
        # slash that ends it.
        valid = url.scheme in {"http", "https"} and bool(HOST.fullmatch(url.hostname or "")) and url.port != 0
    except ValueError:
        valid = False
    if not valid or len(value) > MAX_URL or _has_control_characters(value) or " " in value:
        raise ValueError("it must be an address like https://example.org/hooks/streamforge")
    return value


def _has_control_characters(text: str) -> bool:
    return any(unicodedata.category(char) in {"Cc", "Cs", "Zl", "Zp"} for char in text)


class WorkOptions(BaseModel):
    """What changes the work. The inputs of workflows and activities have these among their own fields, and not as one of
    them: so they stood before there was this model, and a worker of a version before finds them there."""

    priority: Annotated[
        Annotated[int, Field(ge=1, le=5)],
        BeforeValidator(_digit),
        _or_else("`priority` is a number from 1 (first) to 5 (last)."),
    ] = 3
    profile: Annotated[str, AfterValidator(_one_of_the_profiles)] | None = Field(
        None, description="null = the one that the settings name"
    )
    captions: Annotated[str, AfterValidator(_captions)] | None = Field(
        None, description="`auto`, `none`, a language tag; null = as the settings say"
    )
    on_damage: Annotated[
        OnDamage, _or_else("`on_damage` is `fail`, or `keep`: what decodes of a cut or broken video becomes a stream.")
    ] = "fail"

    def for_work(self) -> dict[str, Any]:
        """The fields for an input of a workflow or an activity."""
        return self.model_dump(include=set(WorkOptions.model_fields))


class JobOptions(WorkOptions):
    """Everything a caller may ask of a job. What stands here and not in WorkOptions, workers are not told."""

    external_id: Annotated[str, AfterValidator(_external_id)] | None = None
    metadata: Annotated[JsonObject, BeforeValidator(_metadata)] | None = None
    webhook_url: Annotated[str, AfterValidator(_webhook_url)] | None = None

    playback: Annotated[
        PlaybackMode | None,
        _or_else("`playback` is `public`, or `signed`: only addresses with a signature can be watched."),
    ] = Field(None, description="null = as the profile or the settings say")

    @staticmethod
    def context(profiles: Collection[str]) -> dict[str, Collection[str]]:
        """Of a validation that knows the names of all profiles."""
        return {_PROFILES: profiles}

    @classmethod
    def parse(cls, name: str, text: str, profiles: Collection[str]) -> Any:
        """The value of one option that came as text. Raises InvalidField."""
        try:
            return getattr(cls.model_validate({name: text}, context=cls.context(profiles)), name)
        except ValidationError as error:
            raise InvalidField(error.errors()[0]["msg"]) from error

    def shown(self) -> Self:
        """As whoever knows the id of the job may see it: of the webhook's address only the host, for the rest of it is
        often a password."""
        if self.webhook_url is None:
            return self
        url = urlsplit(self.webhook_url)
        return self.model_copy(update={"webhook_url": f"{url.scheme}://{url.netloc.rpartition('@')[2]}/…"})
