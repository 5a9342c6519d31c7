"""From what a request shows to the caller it proves."""

from dataclasses import dataclass

from streamforge.access.caller import ANYBODY, Caller
from streamforge.errors import CredentialInvalid, CredentialMissing
from streamforge.settings import Settings


@dataclass(frozen=True)
class Shown:
    """What a request shows of its caller, and does not prove yet."""

    bearer: str | None = None


class Authenticator:
    def __init__(self, settings: Settings) -> None:
        self._required = settings.auth.required

    async def caller(self, shown: Shown) -> Caller:
        """Raises CredentialMissing, CredentialInvalid."""
        if not self._required:
            return ANYBODY
        if shown.bearer is not None:
            raise CredentialInvalid("This credential is not known here.")
        raise CredentialMissing("Say who you are: send an API key as `Authorization: Bearer sf_…`.")
