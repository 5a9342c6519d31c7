"""Which kind of source an address is of."""

from streamforge.contracts.source_url import SourceUrl
from streamforge.fetching.http import HttpSource
from streamforge.fetching.source import Source
from streamforge.outbound.addresses import Outbound
from streamforge.settings import Settings


def source_of(url: SourceUrl, settings: Settings) -> Source:
    """Nothing is contacted yet. Raises SourceNotAllowed."""
    settings.source_urls.require_allowed(url)
    if not url.is_object:
        return HttpSource(url, Outbound(settings.outbound.allowed_networks), settings.source_urls.silence_seconds)
    from streamforge.fetching.bucket import BucketSource  # noqa: PLC0415 - obstore is only loaded where it is used

    return BucketSource(url)
