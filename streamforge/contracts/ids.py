"""Job ids, keys and workflow ids: how they are made, parsed and kept safe."""

import unicodedata
from uuid import UUID, uuid4

from streamforge.errors import InvalidKey, MalformedBatchId, MalformedJobId

MAX_KEY_BYTES = 255
MAX_WORKFLOW_ID_BYTES = 255
"""Temporal's columns on PostgreSQL and MySQL take no more."""
MAX_SUFFIX_BYTES = 16
"""What is longer is no file name extension."""
UNPRINTABLE = frozenset({"Cc", "Cs", "Zl", "Zp"})


def new_job_id() -> UUID:
    return uuid4()


def new_batch_id() -> UUID:
    return uuid4()


def parse_job_id(text: str) -> UUID:
    job_id = _canonical_uuid(text)
    if job_id is None:
        raise MalformedJobId("A job id is a UUID like 550e8400-e29b-41d4-a716-446655440000.")
    return job_id


def parse_batch_id(text: str) -> UUID:
    batch_id = _canonical_uuid(text)
    if batch_id is None:
        raise MalformedBatchId("A batch id is a UUID like 550e8400-e29b-41d4-a716-446655440000.")
    return batch_id


def _canonical_uuid(text: str) -> UUID | None:
    """The 8-4-4-4-12 form only: uuid.UUID() also takes braces, 'urn:' and missing dashes."""
    try:
        parsed = UUID(text)
    except ValueError:
        return None
    return parsed if str(parsed) == text.lower() else None


def clean_key(raw: str) -> str:
    """A key names the video for people; it may contain folders, as in object storage. It never becomes a path on
    disk, but it is echoed in workflow ids, logs and URLs, so traversal, absolute paths and control characters
    (header and log injection) are refused rather than repaired.

    Raises InvalidKey.
    """
    key = unicodedata.normalize("NFC", raw.strip())
    if not key:
        raise InvalidKey("`key` is empty; leave it out to use the file's name.")
    if len(key.encode()) > MAX_KEY_BYTES:
        raise InvalidKey(f"`key` is longer than {MAX_KEY_BYTES} bytes.")
    if any(unicodedata.category(char) in UNPRINTABLE for char in key) or "\\" in key:
        raise InvalidKey("`key` contains a control character or a backslash.")
    if key.startswith("/") or any(part in {"", ".", ".."} for part in key.split("/")):
        raise InvalidKey("`key` must be a relative name without empty, `.` or `..` parts, like `films/intro.mp4`.")
    return key


def key_from_filename(filename: str | None) -> str:
    """The file's own name, without the folders some browsers and clients send along. Nobody chose it to be a key, so it
    is repaired rather than refused."""
    name = (filename or "").replace("\\", "/").rsplit("/", 1)[-1]
    printable = "".join(char for char in name if unicodedata.category(char) not in UNPRINTABLE)
    key = _shortened(unicodedata.normalize("NFC", printable).strip(), MAX_KEY_BYTES)
    return key if key not in {"", ".", ".."} else "video"


def workflow_id(key: str, job_id: UUID) -> str:
    """`video-processing-<key>-<unique>`: readable in the Temporal web UI, unique by the first 12 digits of the job id."""
    unique = job_id.hex[:12]
    room = MAX_WORKFLOW_ID_BYTES - len(f"video-processing--{unique}")
    return f"video-processing-{_shortened(key, room)}-{unique}"


def _shortened(name: str, max_bytes: int) -> str:
    """At most so many bytes of UTF-8; what is too long loses something before its extension."""
    if len(name.encode()) <= max_bytes:
        return name
    stem, dot, suffix = name.rpartition(".")
    end = f"{dot}{suffix}".encode() if stem else b""
    if len(end) > MAX_SUFFIX_BYTES:
        stem, end = name, b""
    kept = (stem or name).encode()[: max_bytes - len(end)].decode(errors="ignore")
    return kept.rstrip() + end.decode()
