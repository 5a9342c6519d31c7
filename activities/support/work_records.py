"""Records: what a finished piece of work came to, kept in the store under a name derived from its inputs.

An activity that finds its record has nothing to do: that is what makes a retry redo only what is missing. The record
is written last, after everything it speaks of is published.
"""

import asyncio
import hashlib
import json
from collections.abc import Iterable
from importlib.metadata import version
from typing import Any, TypeVar
from uuid import UUID

import structlog
from pydantic import BaseModel, ValidationError

from activities.support.puts import put_bytes
from streamforge.errors import StorageCorrupted
from streamforge.storage import Storage, layout

R = TypeVar("R", bound=BaseModel)

CONCURRENT_READS = 16

log = structlog.stdlib.get_logger(__name__)

CHUNK = "chunk-"
AUDIO = "audio-"
QUALITY = "quality-"
PICTURES = "pictures-"
REPLACING = "replacing-"
"""How records of encoded parts begin; sorted by name, chunks are in the order of the film."""


def of_round(kind: str, encoded_before: int) -> str:
    """How they begin when all was encoded before, and did not fit: what that came to is not to be found any more."""
    return f"again-{encoded_before}-{kind}" if encoded_before else kind


def record_name(job_id: UUID, title: str, **inputs: Any) -> str:
    """`<title>-<digest>`: other inputs, or another version of the encoders, are other work."""
    return layout.work_record(job_id, f"{title}-{digest(**inputs)}")


def digest(**inputs: Any) -> str:
    canonical = json.dumps(inputs | {"av": version("av")}, sort_keys=True, default=_dumped)
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _dumped(value: Any) -> Any:
    return value.model_dump(mode="json") if isinstance(value, BaseModel) else str(value)


async def find(storage: Storage, name: str, kind: type[R]) -> R | None:
    """None, too, for one that another version wrote and this one cannot read: its work is done again."""
    data = await storage.get_bytes(name)
    if data is None:
        return None
    try:
        return kind.model_validate_json(data)
    except ValidationError as error:
        log.warning("a work record cannot be read; its work is done again", name=name, problems=error.error_count())
        return None


async def read(storage: Storage, name: str, kind: type[R]) -> R:
    """Raises StorageCorrupted when it is gone."""
    found = await find(storage, name, kind)
    if found is None:
        raise StorageCorrupted("A piece of the encoded stream has vanished from the media store.", debug=name)
    return found


async def read_all(storage: Storage, names: Iterable[str], kind: type[R]) -> list[R]:
    """In the same order; a few at a time, because a long film has thousands. Raises StorageCorrupted when one is gone."""
    limit = asyncio.Semaphore(CONCURRENT_READS)

    async def read_one(name: str) -> R:
        async with limit:
            return await read(storage, name, kind)

    return await asyncio.gather(*(read_one(name) for name in names))


async def write(storage: Storage, name: str, content: BaseModel, *, replace: bool = True) -> None:
    """Raises AlreadyThere where there is another one and it is not to be replaced."""
    await put_bytes(storage, name, content.model_dump_json().encode(), replace=replace)
