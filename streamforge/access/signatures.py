"""Signed addresses: whoever has one may watch one job until a moment, and may do nothing else with it.

The signature is a segment of the path, in front of all names of the job's files: `/media/<job>/~1-<expires>-<signature>/…`.
Relative references of manifests keep it, so players need to know nothing of it, and no proxy rewrites a path of unreserved
characters (RFC 3986 §2.3). It is an HMAC-SHA256 of what it opens, the job's id and the moment, under a key that is used for
nothing else. To check one needs no database: it says the same of a job that is there and of one that is not.
"""

import hmac
import re
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from enum import StrEnum
from hashlib import sha256
from typing import Any
from urllib.parse import quote, unquote
from uuid import UUID

from streamforge.errors import PlaybackExpired, PlaybackRefused

MARK = "~"
"""No file of a stream begins with it."""
VERSION = "1"

EXPIRES_TOGETHER = 12
"""Addresses that are given out within a twelfth of their lifetime are the same, so that caches serve many viewers with one
copy, and a page that asks for a job every second does not see its addresses change."""

# Decimal digits without a leading zero, and as many characters as 32 bytes have: one way to write each.
_SEGMENT = re.compile(rf"{MARK}{VERSION}-([1-9][0-9]{{0,10}})-([A-Za-z0-9_-]{{43}})", re.ASCII)
_IN_PATH = re.compile(rf"/{MARK}{VERSION}-[^/]*")


class Opens(StrEnum):
    """What a signature is good for. Keys have their own, which only manifests tell."""

    MEDIA = "media"
    KEYS = "keys"


@dataclass(frozen=True)
class Signatures:
    """`key`: 32 bytes that nothing else is made with."""

    key: bytes

    def segment(self, opens: Opens, job_id: UUID, expires: int) -> str:
        """To stand in a path in front of what it opens. `expires` in seconds of Unix time."""
        return f"{MARK}{VERSION}-{expires}-{self._signature(opens, job_id, expires)}"

    def expiry(self, segment: str, opens: Opens, job_id: UUID, now: float) -> int:
        """Until when it is valid. Raises PlaybackRefused where it was not made by `segment` for this, PlaybackExpired
        where it was, for a time that is over."""
        found = _SEGMENT.fullmatch(segment)
        if found is None or not self._made(found[2], opens, job_id, int(found[1])):
            raise PlaybackRefused("This address is not signed for what it names; ask for the job's playback again.")
        if (expires := int(found[1])) <= now:
            raise PlaybackExpired("This address has expired; POST /jobs/<id>/playback/refresh gives a fresh one.")
        return expires

    def _made(self, shown: str, opens: Opens, job_id: UUID, expires: int) -> bool:
        """The text itself is compared: the last of 43 characters has bits that a decoder would drop."""
        return hmac.compare_digest(shown, self._signature(opens, job_id, expires))

    def _signature(self, opens: Opens, job_id: UUID, expires: int) -> str:
        """What has no fixed length stands in front and ends with a NUL: no two messages are the same bytes."""
        message = f"{VERSION}\0{opens}\0".encode() + job_id.bytes + expires.to_bytes(8, "big")
        digest = hmac.new(self.key, message, sha256).digest()
        return urlsafe_b64encode(digest).decode().rstrip("=")


def expiry_of(now: float, lifetime_seconds: int) -> int:
    """Of what is given out now: at most `lifetime_seconds` from now, and at least eleven twelfths of it."""
    step = max(1, lifetime_seconds // EXPIRES_TOGETHER)
    return int(now + lifetime_seconds) // step * step


@dataclass(frozen=True)
class SignedAddresses:
    """Of one job, until one moment."""

    signatures: Signatures
    job_id: UUID
    expires: int

    def of(self, value: Any) -> Any:
        """The same JSON with all addresses of the job's files and keys signed, and all else as it is."""
        if isinstance(value, dict):
            return {name: self.of(each) for name, each in value.items()}
        if isinstance(value, list):
            return [self.of(each) for each in value]
        return self._signed(value) if isinstance(value, str) else value

    def in_manifest(self, data: bytes) -> bytes:
        """A manifest names its files relative to itself, but the keys by an absolute path or a whole URL."""
        folder = f"/{Opens.KEYS}/{self.job_id}/"
        return data.replace(folder.encode(), f"{folder}{self._segment(Opens.KEYS)}/".encode())

    def _signed(self, text: str) -> str:
        """Keys may lie at an address of their own (`keys.url`)."""
        media, keys = (f"/{opens}/{self.job_id}/" for opens in Opens)
        if text.startswith(media):
            return f"{media}{self._segment(Opens.MEDIA)}/{text.removeprefix(media)}"
        before, _, name = text.partition(keys)
        if name and (before == "" or before.startswith(("http://", "https://"))):
            return f"{before}{keys}{self._segment(Opens.KEYS)}/{name}"
        return text

    def _segment(self, opens: Opens) -> str:
        return self.signatures.segment(opens, self.job_id, self.expires)


def without_signatures(path: str) -> str:
    """A percent-encoded path as it may stand in a log, which is read by people who may not watch. However the signature
    was encoded: what is taken out is looked for in what it means."""
    meant = unquote(path, "latin-1")
    if f"/{MARK}" not in meant:
        return path
    return quote(_IN_PATH.sub(f"/{MARK}", meant), safe="/~:@!$&'()*+,;=%", encoding="latin-1")
