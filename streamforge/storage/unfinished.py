"""Multipart uploads to S3 that never came to their end: a killed process leaves their parts in the bucket, where no listing
shows them and where they cost money for ever. obstore cannot ask for them, so these two requests are made here.
"""

import hashlib
import hmac
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self
from urllib.parse import quote, urlsplit
from xml.etree import ElementTree as ET

import httpx

from streamforge.errors import StorageUnavailable
from streamforge.storage import layout

TIMEOUT_SECONDS = 30.0
EMPTY_SHA256 = hashlib.sha256().hexdigest()
NOT_UNDERSTOOD = "The media store's list of unfinished uploads cannot be understood."


@dataclass(frozen=True)
class Credentials:
    """Of the environment, as for the vendor's own tools."""

    key_id: str
    secret: str
    token: str | None
    region: str

    @classmethod
    def from_environment(cls) -> Self | None:
        """None where they come from elsewhere: from the machine's role, for example."""
        key_id, secret = os.environ.get("AWS_ACCESS_KEY_ID"), os.environ.get("AWS_SECRET_ACCESS_KEY")
        region = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION") or "us-east-1"
        return cls(key_id, secret, os.environ.get("AWS_SESSION_TOKEN"), region) if key_id and secret else None


@dataclass(frozen=True)
class Upload:
    name: str
    upload_id: str
    began_at: datetime


class UnfinishedUploads:
    """Those under a prefix of a bucket. All methods raise StorageUnavailable, also for an answer that nobody understands."""

    def __init__(self, bucket: str, prefix: str, credentials: Credentials) -> None:
        self._prefix = prefix
        self._credentials = credentials
        self._url = _address(bucket, credentials.region)

    @classmethod
    def of(cls, url: str) -> Self | None:
        """None where the store is not S3, or where its credentials are not known: there a rule of the bucket's own has to
        do it (AbortIncompleteMultipartUpload)."""
        parts, credentials = urlsplit(url), Credentials.from_environment()
        if parts.scheme not in {"s3", "s3a"} or credentials is None:
            return None
        folder = parts.path.strip("/")
        return cls(parts.netloc, f"{folder}/" if folder else "", credentials)

    async def abort(self, before: datetime) -> int:
        """Those of ours that began before then; how many there were. Other programs may write into the same bucket, and
        without a prefix all that they upload is listed, too."""
        ours = tuple(f"{self._prefix}{folder}" for folder in layout.FOLDERS)
        async with httpx.AsyncClient(timeout=TIMEOUT_SECONDS) as client:
            found = await self._listed(client)
            old = [upload for upload in found if upload.name.startswith(ours) and upload.began_at < before]
            for upload in old:
                await self._ask(client, "DELETE", f"/{upload.name}", {"uploadId": upload.upload_id})
        return len(old)

    async def _listed(self, client: httpx.AsyncClient) -> list[Upload]:
        """All of them, page by page."""
        found: list[Upload] = []
        marker: dict[str, str] = {}
        while True:
            answer = await self._ask(client, "GET", "", {"uploads": "", "prefix": self._prefix, **marker})
            uploads, following = _understood(answer)
            found += uploads
            if following is None:
                return found
            if following == marker:
                raise StorageUnavailable(NOT_UNDERSTOOD, debug="the same page again and again")
            marker = following

    async def _ask(self, client: httpx.AsyncClient, method: str, path: str, query: Mapping[str, str]) -> bytes:
        url = f"{self._url}{quote(path)}?{_canonical(query)}"
        try:
            answer = await client.request(method, url, headers=signed(method, url, self._credentials))
        except httpx.HTTPError as error:
            raise StorageUnavailable("The media store does not answer right now.", debug=repr(error)) from error
        has_ended = method == "DELETE" and answer.status_code == httpx.codes.NOT_FOUND
        if answer.is_error and not has_ended:
            raise StorageUnavailable("The media store refuses to list unfinished uploads.", debug=answer.text[:500])
        return answer.content


def signed(method: str, url: str, credentials: Credentials, now: datetime | None = None) -> dict[str, str]:
    """The headers of a request without a body, by AWS Signature Version 4."""
    moment = f"{now or datetime.now(UTC):%Y%m%dT%H%M%SZ}"
    parts = urlsplit(url)
    headers = {"host": parts.netloc, "x-amz-content-sha256": EMPTY_SHA256, "x-amz-date": moment}
    if credentials.token:
        headers["x-amz-security-token"] = credentials.token
    names = ";".join(headers)
    canonical = "\n".join(
        [
            method,
            parts.path or "/",
            parts.query,
            *(f"{name}:{headers[name]}" for name in headers),
            "",
            names,
            EMPTY_SHA256,
        ]
    )
    scope = f"{moment[:8]}/{credentials.region}/s3/aws4_request"
    to_sign = "\n".join(["AWS4-HMAC-SHA256", moment, scope, hashlib.sha256(canonical.encode()).hexdigest()])
    key = f"AWS4{credentials.secret}".encode()
    for part in scope.split("/"):
        key = hmac.digest(key, part.encode(), "sha256")
    signature = hmac.digest(key, to_sign.encode(), "sha256").hex()
    headers["authorization"] = (
        f"AWS4-HMAC-SHA256 Credential={credentials.key_id}/{scope}, SignedHeaders={names}, Signature={signature}"
    )
    return headers


def _address(bucket: str, region: str) -> str:
    """As obstore has it: by path, unless the environment says otherwise."""
    endpoint = os.environ.get("AWS_ENDPOINT_URL", f"https://s3.{region}.amazonaws.com").rstrip("/")
    if os.environ.get("AWS_VIRTUAL_HOSTED_STYLE_REQUEST") == "true":
        host = f"{bucket}.s3.{region}.amazonaws.com"
        return endpoint if "AWS_ENDPOINT_URL" in os.environ else f"https://{host}"
    return f"{endpoint}/{quote(bucket)}"


def _canonical(query: Mapping[str, str]) -> str:
    return "&".join(f"{quote(name, safe='')}={quote(query[name], safe='')}" for name in sorted(query))


def _understood(document: bytes) -> tuple[list[Upload], dict[str, str] | None]:
    """A page of uploads, and what to ask for the next one. Raises StorageUnavailable."""
    try:
        page = _without_namespace(document)
        return list(_uploads(page)), _following(page)
    except (ET.ParseError, LookupError, ValueError) as error:  # LookupError: an encoding that nobody knows.
        raise StorageUnavailable(NOT_UNDERSTOOD, debug=f"{error!r}: {document[:500]!r}") from error


def _following(page: ET.Element) -> dict[str, str] | None:
    if page.findtext("IsTruncated") != "true":
        return None
    return {
        "key-marker": page.findtext("NextKeyMarker") or "",
        "upload-id-marker": page.findtext("NextUploadIdMarker") or "",
    }


def _uploads(page: ET.Element) -> Iterator[Upload]:
    """Raises ValueError. Without its id, what ends an upload would delete the object of that name."""
    for each in page.iter("Upload"):
        name, upload_id, began = (each.findtext(field) or "" for field in ("Key", "UploadId", "Initiated"))
        began_at = datetime.fromisoformat(began)
        if not upload_id or began_at.tzinfo is None:
            raise ValueError("an upload without an id, or without a time zone")
        yield Upload(name, upload_id, began_at)


def _without_namespace(document: bytes) -> ET.Element:
    """S3's kin disagree about it."""
    root = ET.fromstring(document)  # noqa: S314 - from the store that we trust with everything
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root
