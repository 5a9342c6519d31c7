"""Where a video is fetched from: which addresses are taken, and what may be shown of them."""

import re
from dataclasses import dataclass
from typing import Self
from urllib.parse import SplitResult, unquote, urlsplit

from streamforge.contracts.job_options import HOST
from streamforge.errors import InvalidField

MAX_BYTES = 8192
"""Of an address: those that are signed have some two thousand."""
MAX_KEY_BYTES = 1024

BUCKET = re.compile(r"(?P<scheme>s3|gs|az)://(?P<bucket>[a-z0-9][a-z0-9._-]{1,62})(?:/(?P<key>.*))?", re.DOTALL)

WANTED = "`source_url` must be an address like https://example.org/film.mp4, s3://bucket/film.mp4, gs://… or az://…."


@dataclass(frozen=True, repr=False)
class SourceUrl:
    """`text` may hold passwords and signatures: only `shown` is for logs, events and people."""

    text: str

    @classmethod
    def parse(cls, text: str) -> Self:
        """Raises InvalidField, which does not repeat what was told."""
        if len(text.encode(errors="replace")) > MAX_BYTES:
            raise InvalidField(f"`source_url` is longer than {MAX_BYTES} bytes.")
        if not (text.isprintable() and (_is_object(text) or _is_of_the_web(text))):
            raise InvalidField(WANTED)
        return cls(text)

    @property
    def is_object(self) -> bool:
        """In a bucket, and read with our credentials."""
        return BUCKET.fullmatch(self.text) is not None

    @property
    def object_parts(self) -> tuple[str, str]:
        """The address of the bucket, and the key. Keys are taken as they are: nothing in them is decoded."""
        found = BUCKET.fullmatch(self.text)
        assert found is not None
        return f"{found['scheme']}://{found['bucket']}", found["key"]

    @property
    def host(self) -> str:
        return self.object_parts[0] if self.is_object else urlsplit(self.text).hostname or ""

    @property
    def shown(self) -> str:
        """Without user, password, query and fragment."""
        if self.is_object:
            return self.text
        parts = urlsplit(self.text)
        return f"{parts.scheme}://{_host_and_port(parts)}{parts.path}{'?…' if parts.query else ''}"

    @property
    def file_name(self) -> str | None:
        """What the video is called, where the address says."""
        path = self.object_parts[1] if self.is_object else unquote(urlsplit(self.text).path, errors="replace")
        return path.rpartition("/")[2] or None

    def __repr__(self) -> str:
        return f"SourceUrl({self.shown!r})"


def _is_object(text: str) -> bool:
    found = BUCKET.fullmatch(text)
    if found is None or not found["key"] or len(found["key"].encode(errors="replace")) > MAX_KEY_BYTES:
        return False
    return not any(part in {"", ".", ".."} for part in found["key"].split("/"))


def _is_of_the_web(text: str) -> bool:
    """Some clients read a backslash as the slash that ends a host."""
    try:
        parts = urlsplit(text)
        is_whole = parts.scheme in {"http", "https"} and bool(HOST.fullmatch(parts.hostname or "")) and parts.port != 0
    except ValueError:
        return False
    return is_whole and not any(char in text for char in ' \\<>"')


def _host_and_port(parts: SplitResult) -> str:
    return parts.netloc.rpartition("@")[2]
