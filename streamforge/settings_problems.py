"""What is wrong with settings, in words of their own: pydantic speaks to programmers."""

import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError

_WHOLE, _NUMBER, _BOOLEAN = "must be a whole number", "must be a number", "must be true or false"
_GROUP, _NETWORK = "must hold keys and values", "must be a network like 10.0.0.0/8 or fd00::/8"

_SENTENCES = {
    "missing": "is missing",
    "int_type": _WHOLE,
    "int_parsing": _WHOLE,
    "int_parsing_size": _WHOLE,
    "int_from_float": _WHOLE,
    "float_type": _NUMBER,
    "float_parsing": _NUMBER,
    "finite_number": _NUMBER,
    "bool_type": _BOOLEAN,
    "bool_parsing": _BOOLEAN,
    "string_type": "must be text",
    "path_type": "must be the name of a folder",
    "list_type": "must be a list, like [a, b]",
    "tuple_type": "must be a list of two, like [16, 36]",
    "dict_type": _GROUP,
    "model_type": _GROUP,
    "greater_than": "must be more than {gt}",
    "greater_than_equal": "must be at least {ge}",
    "less_than": "must be less than {lt}",
    "less_than_equal": "must be at most {le}",
    "too_short": "must have at least {min_length}",
    "too_long": "must have at most {max_length}",
    "string_too_short": "must not be empty",
    "literal_error": "must be {expected}",
    "ip_v4_network": _NETWORK,
    "ip_v6_network": _NETWORK,
}
"""By pydantic's name of the error."""

RENAMED = {
    "transcode.codec": "transcode.codecs",
    "transcode.preset": "transcode.presets.h264",
    "transcode.audio_bitrate": "audio.stereo_bitrate",
}
"""What settings were called before, and are called now."""

GONE = {"transcode.encoder_threads": "each encoder has one thread, so that it writes the same everywhere"}
"""Settings that are no more, and why."""

_PROFILE = re.compile(r"profiles\.[^.]+\.")


def problems(error: ValidationError, prefix: str = "") -> str:
    """All of them, each with the whole path of its key."""
    return "; ".join(dict.fromkeys(_sentences(error, prefix)))


def _sentences(error: ValidationError, prefix: str) -> Iterator[str]:
    for each in error.errors(include_url=False):
        # In between stand pydantic's own names for how it tried, like `lax-or-strict[…]`.
        path = ".".join(str(part) for part in each["loc"] if "[" not in str(part))
        if each["type"] == "extra_forbidden":
            yield no_such(f"{prefix}{path}")
        else:
            yield f"{prefix}{path}: {_sentence(each)}" if path else _sentence(each)


def no_such(path: str) -> str:
    """What to say of a key that is not there: its name now, where it has another one."""
    profile = _PROFILE.match(path)
    before, name = (profile[0], path[profile.end() :]) if profile else ("", path)
    if name in RENAMED:
        return f"{path}: is called {before}{RENAMED[name]} now"
    if name in GONE:
        return f"{path}: is no setting any more; {GONE[name]}"
    return f"{path}: no such setting"


def _sentence(error: Any) -> str:
    sentence = _SENTENCES.get(error["type"])
    if sentence is None:
        return str(error["msg"]).removeprefix("Value error, ")
    counted = {"too_short", "too_long"} & {error["type"]}
    if counted:
        entries = error["ctx"]["field_type"] in {"List", "Tuple"}
        sentence += " entries" if entries else " characters"
    return sentence.format(**error.get("ctx", {}))
