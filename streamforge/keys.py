"""Content keys, and what webhooks are signed with: derived from one secret wherever they are needed, stored nowhere.

HKDF (RFC 5869) makes key and key id of each job's video and audio from `keys.secret`, and the secret of each webhook. Worker
and API come to the same ones without telling each other, and a key id or a fingerprint that differs shows that their secrets
do.
"""

from typing import Final
from uuid import UUID

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from streamforge import secret_files
from streamforge.contracts.keys import KEY_BYTES, ContentKey
from streamforge.contracts.media.plan import Protection, TrackType
from streamforge.errors import InvalidSettings
from streamforge.settings import Settings

TRACK_TYPES: tuple[TrackType, ...] = ("video", "audio")
FILE_NAME: Final = "keys-secret"
WEBHOOK_SECRET_BYTES = 32
"""Standard Webhooks asks for 24 to 64."""


def derive(secret: bytes, job_id: UUID, track_type: TrackType) -> ContentKey:
    info = b"streamforge content key 1 " + job_id.bytes + track_type.encode()
    material = HKDF(SHA256(), 2 * KEY_BYTES, salt=None, info=info).derive(secret)
    return ContentKey(value=material[:KEY_BYTES], key_id=material[KEY_BYTES:].hex())


class Keys:
    """The keys of all jobs. Without `keys.secret` a worker makes one in data_dir, and an API beside it reads that."""

    def __init__(self, settings: Settings) -> None:
        self._set = settings.keys.secret
        self._file = settings.data_dir / FILE_NAME
        self._url = (settings.keys.url or "").rstrip("/")

    def folder_url(self, job_id: UUID) -> str:
        return f"{self._url}/keys/{job_id}"

    def of_job(self, job_id: UUID) -> dict[TrackType, ContentKey]:
        """For a worker: makes the secret where there is none yet."""
        return _derived(self._secret() or secret_files.read_or_make(self._file), job_id)

    def known(self, job_id: UUID) -> dict[TrackType, ContentKey]:
        """For an API: none at all where there is no secret."""
        secret = self._secret()
        return {} if secret is None else _derived(secret, job_id)

    def for_track(self, job_id: UUID, protection: Protection | None, track_type: TrackType) -> ContentKey | None:
        """What a planned job encrypts with, None for one that is not protected. Raises InvalidSettings when the plan was
        made with another secret."""
        if protection is None:
            return None
        key = self.of_job(job_id)[track_type]
        if key.key_id != protection.key_ids[track_type]:
            raise InvalidSettings(
                "This worker has another keys.secret than the one that planned the job. Several machines need the same: "
                "set STREAMFORGE_KEYS__SECRET on all workers and APIs."
            )
        return key

    def of_webhook(self, owner: str, endpoint_id: UUID, version: int) -> bytes:
        """What signs for it, in its version. Makes the secret where there is none yet, as an API may come first."""
        info = b"streamforge webhook 1 " + endpoint_id.bytes + version.to_bytes(4, "big") + owner.encode()
        return self._webhook_material(info)

    def webhook_fingerprint(self) -> str:
        """Tells whether two derive the same, and nothing else."""
        return self._webhook_material(b"streamforge webhook fingerprint 1").hex()

    def _webhook_material(self, info: bytes) -> bytes:
        secret = self._secret() or secret_files.read_or_make(self._file)
        return HKDF(SHA256(), WEBHOOK_SECRET_BYTES, salt=None, info=info).derive(secret)

    def _secret(self) -> bytes | None:
        if self._set is not None:
            return self._set.get_secret_value().encode()
        return secret_files.read(self._file)


def _derived(secret: bytes, job_id: UUID) -> dict[TrackType, ContentKey]:
    return {track_type: derive(secret, job_id, track_type) for track_type in TRACK_TYPES}
