"""What other versions wrote: rows of the database and files of the store outlive the code that made them."""

from copy import deepcopy
from enum import StrEnum
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ValidationError

M = TypeVar("M", bound=BaseModel)

MAX_DEPTH = 64
"""Levels of JSON within JSON. Whatever reads it later has a limit of its own, pydantic of 255."""


class Word(StrEnum):
    """A vocabulary that grows. While machines are updated one after the other, a row may hold a word of a version that
    this one does not know: it is told as it is. Who checks what a caller says compares with the members."""

    @classmethod
    def _missing_(cls, value: object) -> Self | None:
        if not isinstance(value, str):
            return None
        word = str.__new__(cls, value)
        word._name_ = word._value_ = value
        return word


def is_deeper_than(levels: int, value: Any) -> bool:
    if not isinstance(value, dict | list):
        return False
    inner = value.values() if isinstance(value, dict) else value
    return levels == 0 or any(is_deeper_than(levels - 1, each) for each in inner)


def _shallow(value: dict[str, Any]) -> dict[str, Any]:
    if is_deeper_than(MAX_DEPTH, value):
        raise ValueError(f"nested more than {MAX_DEPTH} levels deep")
    return value


JsonObject = Annotated[dict[str, Any], AfterValidator(_shallow)]
"""Of any content, as long as it can be shown."""


def read_as_far_as_possible(kind: type[M], content: dict[str, Any]) -> tuple[M, list[str]]:
    """`content` without what does not fit, and where that was, like `renditions.0.vmaf`. As little as possible is left out:
    of a part that lacks something, the part.

    Raises ValidationError when something is wrong that `kind` cannot do without.
    """
    left_out: list[str] = []
    while True:
        try:
            return kind.model_validate(content), left_out
        except ValidationError as error:
            path = _path(content, error.errors(include_url=False, include_context=False)[0]["loc"])
            if not path:
                raise
            content = _without(content, path)
            left_out.append(".".join(map(str, path)))


def _path(content: Any, loc: tuple[int | str, ...]) -> list[int | str]:
    """As much of the way to `loc` as is there."""
    path: list[int | str] = []
    for key in loc:
        try:
            content = content[key]
        except (KeyError, IndexError, TypeError):
            break
        path.append(key)
    return path


def _without(content: dict[str, Any], path: list[int | str]) -> dict[str, Any]:
    holder = whole = deepcopy(content)
    for key in path[:-1]:
        holder = holder[key]  # type: ignore[index]
    del holder[path[-1]]  # type: ignore[arg-type]
    return whole
