"""The fields of a form beside its videos: each is checked as soon as it has arrived."""

from collections.abc import Collection, Mapping
from typing import Any

from streamforge.contracts.ids import clean_key
from streamforge.contracts.job_options import JobOptions

OPTIONS = tuple(JobOptions.model_fields)


def parse_field(name: str, text: str, profiles: Collection[str]) -> Any:
    """The value of one field, None where an empty field means the same as none. Raises InvalidField, InvalidKey."""
    if name == "key":
        return clean_key(text)
    return JobOptions.parse(name, text, profiles) if text.strip() else None


def options_of(fields: Mapping[str, Any]) -> JobOptions:
    """What is asked for, of the values of all fields."""
    return JobOptions.model_validate({name: value for name, value in fields.items() if value is not None})
