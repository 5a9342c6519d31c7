"""What the headers of tus say, and what is no header of tus."""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from streamforge.contracts.ids import parse_job_id
from streamforge.errors import (
    ChecksumMismatch,
    InvalidUploadHeader,
    MalformedJobId,
    UnsupportedTusVersion,
    UploadContentType,
)

VERSION = "1.0.0"
EXTENSIONS = (
    "creation", "creation-with-upload", "creation-defer-length", "expiration", "checksum", "termination", "concatenation",
)  # fmt: skip
CHECKSUMS = ("sha1", "sha256")
OCTETS = "application/offset+octet-stream"
JOB_ID = "X-Job-ID"
"""Ours: of the job that the last byte starts."""
MAX_METADATA_BYTES = 64 * 1024
MAX_PARTS = 1000
FINAL = "final;"

_NUMBER = re.compile(r"\d{1,18}", re.ASCII)
_NAME = re.compile(r"[^\s,]+")


def require_version(headers: Mapping[str, str]) -> None:
    """Raises UnsupportedTusVersion."""
    if headers.get("tus-resumable") != VERSION:
        raise UnsupportedTusVersion(f"Say `Tus-Resumable: {VERSION}`; this server speaks no other version of tus.")


def require_octets(headers: Mapping[str, str]) -> None:
    """Raises UploadContentType."""
    if headers.get("content-type", "").partition(";")[0].strip().lower() != OCTETS:
        raise UploadContentType(f"Bytes of an upload come with `Content-Type: {OCTETS}`.")


def number(headers: Mapping[str, str], name: str) -> int | None:
    """None where the header is not there. Raises InvalidUploadHeader."""
    text = headers.get(name.lower())
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise InvalidUploadHeader(f"`{name}` is a number of bytes.")
    return int(text)


def length_of(headers: Mapping[str, str]) -> int | None:
    """None where it is told later. Raises InvalidUploadHeader."""
    length, deferred = number(headers, "Upload-Length"), headers.get("upload-defer-length")
    if deferred not in {None, "1"} or (length is None) == (deferred is None):
        raise InvalidUploadHeader("Send either `Upload-Length` or `Upload-Defer-Length: 1`.")
    return length


def metadata_of(headers: Mapping[str, str]) -> dict[str, str]:
    """By their names; a name without a value has an empty one. Raises InvalidUploadHeader."""
    text = headers.get("upload-metadata", "").strip()
    if len(text) > MAX_METADATA_BYTES:
        raise InvalidUploadHeader(f"`Upload-Metadata` is longer than {MAX_METADATA_BYTES} bytes.")
    found: dict[str, str] = {}
    for pair in text.split(",") if text else []:
        name, _, value = pair.strip().partition(" ")
        if not _NAME.fullmatch(name) or name in found:
            raise InvalidUploadHeader(
                "`Upload-Metadata` is names and values like `filename bW92aWUubXA0`, each name once."
            )
        found[name] = _decoded(name, value)
    return found


def _decoded(name: str, value: str) -> str:
    try:
        text = base64.b64decode(value, validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise InvalidUploadHeader(f"`{name[:64]}` of `Upload-Metadata` is not UTF-8 in Base64.") from error
    if "\0" in text:
        raise InvalidUploadHeader(f"`{name[:64]}` of `Upload-Metadata` has a NUL character.")
    return text


def parts_of(headers: Mapping[str, str]) -> list[UUID] | None:
    """Of which others this one is put together; None where it is not. Raises InvalidUploadHeader."""
    concat = headers.get("upload-concat", "partial").strip()
    if concat == "partial":
        return None
    if not concat.startswith(FINAL):
        raise InvalidUploadHeader("`Upload-Concat` is `partial`, or `final;` and the addresses of the parts.")
    parts = [_id_in(address) for address in concat.removeprefix(FINAL).split()]
    if not parts or len(parts) > MAX_PARTS or len(set(parts)) != len(parts):
        raise InvalidUploadHeader(f"`Upload-Concat` names from 1 to {MAX_PARTS} parts, each once.")
    return parts


def _id_in(address: str) -> UUID:
    """Behind a proxy an address may have a path of another beginning."""
    try:
        return parse_job_id(urlsplit(address).path.rstrip("/").rpartition("/")[2])
    except (ValueError, MalformedJobId) as error:
        raise InvalidUploadHeader("`Upload-Concat` names addresses of uploads, as `Location` told them.") from error


@dataclass
class Checksum:
    """What the bytes of one request should come to."""

    expected: bytes
    digest: Any

    def update(self, data: bytes | bytearray) -> None:
        self.digest.update(data)

    def require_match(self) -> None:
        """Raises ChecksumMismatch."""
        if self.digest.digest() != self.expected:
            raise ChecksumMismatch("The bytes that came are not those of `Upload-Checksum`; send them again.")


def checksum_of(headers: Mapping[str, str]) -> Checksum | None:
    """Raises InvalidUploadHeader."""
    text = headers.get("upload-checksum")
    if text is None:
        return None
    algorithm, _, value = text.strip().partition(" ")
    try:
        expected = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        expected = b""
    if algorithm not in CHECKSUMS or len(expected) != hashlib.new(algorithm).digest_size:
        raise InvalidUploadHeader(f"`Upload-Checksum` is one of {', '.join(CHECKSUMS)}, and the digest in Base64.")
    return Checksum(expected, hashlib.new(algorithm))


def http_date(moment: datetime) -> str:
    return format_datetime(moment, usegmt=True)
