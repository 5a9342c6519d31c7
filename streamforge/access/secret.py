"""The secret of the installation, and a key of its own for each purpose.

HKDF (RFC 5869) derives each key from the one secret: what leaks from one purpose says nothing of another, and a value made
for one is worth nothing where another is expected. All APIs of an installation need the same secret;
workers need none, and are not to have it.
"""

import hmac
from enum import StrEnum
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from streamforge import secret_files
from streamforge.errors import InvalidSettings
from streamforge.settings import MIN_SECRET_LENGTH, Settings

FILE_NAME: Final = "access-secret"
KEY_BYTES = 32


class Purpose(StrEnum):
    """What a key is for. The words go into the derivation: another word is another key."""

    API_KEYS = "api keys"
    SESSIONS = "sessions"
    TICKETS = "tickets"
    PLAYBACK = "playback"
    FINGERPRINT = "fingerprint"


class InstallationSecret:
    """`auth.secret`, or what is in `auth.secret_file`; where neither is set, one that is made in the data folder."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._secret: bytes | None = None

    def key(self, purpose: Purpose) -> bytes:
        """32 bytes. Raises InvalidSettings when the file cannot be read, or holds too little."""
        if self._secret is None:
            self._secret = _secret_of(self._settings)
        info = b"streamforge access 1 " + purpose.encode()
        return HKDF(SHA256(), KEY_BYTES, salt=None, info=info).derive(self._secret)

    def fingerprint(self) -> str:
        """Tells whether two have the same secret, and nothing else of it."""
        return self.key(Purpose.FINGERPRINT).hex()

    def is_known(self, fingerprint: str) -> bool:
        """Whether it is this one's. None is made for it. Raises InvalidSettings."""
        there = self._settings.auth.has_secret or (self._settings.data_dir / FILE_NAME).exists()
        return there and hmac.compare_digest(self.fingerprint(), fingerprint)

    def require_readable(self) -> None:
        """Where one is given; none is made. Raises InvalidSettings."""
        if self._settings.auth.has_secret:
            _secret_of(self._settings)


def _secret_of(settings: Settings) -> bytes:
    auth = settings.auth
    if auth.secret is not None:
        return auth.secret.get_secret_value().encode()
    if auth.secret_file is None:
        return secret_files.read_or_make(settings.data_dir / FILE_NAME)
    try:
        # Editors and `echo` end a file with a line break, which `auth.secret` would not have.
        secret = auth.secret_file.read_bytes().rstrip(b"\r\n")
    except OSError as error:
        raise InvalidSettings(f"auth.secret_file {auth.secret_file} cannot be read: {error.strerror}.") from error
    if len(secret) < MIN_SECRET_LENGTH:
        raise InvalidSettings(f"auth.secret_file {auth.secret_file} holds less than {MIN_SECRET_LENGTH} characters.")
    return secret
