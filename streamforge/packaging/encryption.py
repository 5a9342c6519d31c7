"""What manifests say about encryption, and what those who encrypt and those who write manifests must agree on."""

import hashlib
from dataclasses import dataclass
from uuid import UUID
from xml.etree import ElementTree as ET

from streamforge.contracts.media.encoded import Segment
from streamforge.contracts.media.plan import EncodePlan, Protection, TrackType

LICENSE = "license"
"""Beside the keys of a job: the same keys in the form of the W3C's Clear Key."""

CLEAR_KEY_FORMAT = "org.w3.clearkey"
"""What hls.js calls keys that the browser decrypts with."""

CENC_NAMESPACE = "urn:mpeg:cenc:2013"
DASHIF_NAMESPACE = "https://dashif.org/CPS"
COMMON_PROTECTION = "urn:mpeg:dash:mp4protection:2011"
CLEAR_KEY = "urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e"

ET.register_namespace("cenc", CENC_NAMESPACE)
ET.register_namespace("dashif", DASHIF_NAMESPACE)


def has_dash(plan: EncodePlan) -> bool:
    """DASH players know common encryption only."""
    return plan.protection is None or plan.protection.scheme == "cbcs"


def license_url(protection: Protection | None) -> str | None:
    """Of the licence server of Clear Key, where there is something for it to do."""
    if protection is None or protection.scheme != "cbcs":
        return None
    return f"{protection.key_url}/{LICENSE}"


def initialization_vector(key_id: str, track: str, name: str) -> bytes:
    """16 bytes that no other file under this key has. The same for every attempt, so that they write the same bytes."""
    return hashlib.sha256(f"{key_id}/{track}/{name}".encode()).digest()[:16]


# ── HLS ─────────────────────────────────────────────────────────────────────────────────────────────────────────────
@dataclass(frozen=True)
class KeyTags:
    """EXT-X-KEY (RFC 8216 §4.3.2.4) of one type of track."""

    protection: Protection | None
    track_type: TrackType

    def around_map(self, map_tag: str) -> list[str]:
        """An init segment holds nothing that AES-128 could hide: it stays clear, so no key may apply to it. The key of
        common encryption is for samples, and the init segment has everything else about it."""
        if self.protection is None:
            return [map_tag]
        if self.protection.scheme == "aes-128":
            return ["#EXT-X-KEY:METHOD=NONE", map_tag]
        tag = f'#EXT-X-KEY:METHOD=SAMPLE-AES,URI="{self._url}"'
        return [tag, f'{tag},KEYFORMAT="{CLEAR_KEY_FORMAT}",KEYID=0x{self._key_id}', map_tag]

    def before(self, track: str, segment: Segment) -> list[str]:
        """Each file has its own initialization vector."""
        if self.protection is None or self.protection.scheme != "aes-128":
            return []
        vector = initialization_vector(self._key_id, track, segment.file_name).hex()
        return [f'#EXT-X-KEY:METHOD=AES-128,URI="{self._url}",IV=0x{vector}']

    @property
    def _key_id(self) -> str:
        assert self.protection is not None
        return self.protection.key_ids[self.track_type]

    @property
    def _url(self) -> str:
        assert self.protection is not None
        return f"{self.protection.key_url}/{self._key_id}"


# ── DASH ────────────────────────────────────────────────────────────────────────────────────────────────────────────
def add_content_protection(adaptation: ET.Element, protection: Protection | None, track_type: TrackType) -> None:
    """Common encryption, and the Clear Key licence server of DASH-IF's interoperability points."""
    if protection is None:
        return
    default_key_id = {f"{{{CENC_NAMESPACE}}}default_KID": str(UUID(protection.key_ids[track_type]))}
    common = {"schemeIdUri": COMMON_PROTECTION, "value": protection.scheme} | default_key_id
    ET.SubElement(adaptation, "ContentProtection", common)
    clear_key = ET.SubElement(
        adaptation, "ContentProtection", {"schemeIdUri": CLEAR_KEY, "value": "ClearKey1.0"} | default_key_id
    )
    ET.SubElement(clear_key, f"{{{DASHIF_NAMESPACE}}}Laurl").text = license_url(protection)
