"""Whether and how a stream is encrypted, and what it then goes without."""

from streamforge.codecs.registry import CBCS_CODECS, without_cbcs
from streamforge.contracts.media.plan import Plan, Protection
from streamforge.errors import InvalidSettings
from streamforge.settings import ProtectionSettings

NO_DOWNLOADS = "A protected film has no files to download: they would be without protection."


def with_protection(plan: Plan, settings: ProtectionSettings) -> Plan:
    """Raises InvalidSettings for a codec that the scheme is not there for."""
    if settings.scheme == "none":
        return plan
    if settings.scheme == "cbcs" and (clear := without_cbcs({rendition.codec: None for rendition in plan.renditions})):
        raise InvalidSettings(
            f"protection.scheme: {CBCS_CODECS}, and transcode.codecs of this job's profile has {' and '.join(clear)}."
        )
    protection = Protection(scheme=settings.scheme)
    warnings = [*plan.warnings, *_limits_of(protection), *([NO_DOWNLOADS] if plan.downloads else [])]
    return plan.model_copy(update={"protection": protection, "downloads": False, "warnings": warnings})


def _limits_of(protection: Protection) -> list[str]:
    """What a protected stream goes without, as warnings of the job."""
    if protection.scheme == "cbcs":
        return []
    return ["Encrypted with AES-128: there is no DASH, and there are no key frames to show while somebody winds."]
