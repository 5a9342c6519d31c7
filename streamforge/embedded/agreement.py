"""What is started beside an `up`, on its data folder, knows callers as its API does, or does not start."""

from streamforge.access.secret import InstallationSecret
from streamforge.embedded import endpoints
from streamforge.errors import InvalidSettings
from streamforge.settings import Settings

HOW = "auth.secret (STREAMFORGE_AUTH__SECRET), auth.secret_file or --config"


def require_same_callers(settings: Settings) -> None:
    """For another API: one that asked nobody would show all that the first one guards. Raises InvalidSettings."""
    if _fingerprint(settings) is not None and not settings.auth.required:
        raise InvalidSettings(
            f"Callers of the `up` that runs on {settings.data_dir} have to say who they are, and here anybody could do "
            "anything: set auth.required to true (STREAMFORGE_AUTH__REQUIRED=true)."
        )
    require_same_secret(settings)


def require_same_secret(settings: Settings) -> None:
    """Raises InvalidSettings."""
    fingerprint = _fingerprint(settings)
    if fingerprint is not None and not InstallationSecret(settings).is_known(fingerprint):
        raise InvalidSettings(
            f"The `up` that runs on {settings.data_dir} was started with another secret, by which it knows API keys: give "
            f"this command the same {HOW}."
        )


def _fingerprint(settings: Settings) -> str | None:
    """None where no `up` runs, or one that asks nobody who they are."""
    running = endpoints.read(settings.data_dir) if endpoints.is_running(settings.data_dir) else None
    return running.secret_fingerprint if running else None
