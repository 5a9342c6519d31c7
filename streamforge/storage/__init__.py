"""Object storage behind one small protocol."""

from streamforge.errors import InvalidSettings
from streamforge.settings import Settings
from streamforge.storage.local import LocalStorage
from streamforge.storage.protocol import AlreadyThere, ObjectInfo, ResumableStorage, Storage

__all__ = ["AlreadyThere", "ObjectInfo", "ResumableStorage", "Storage", "open_storage"]


def open_storage(settings: Settings) -> ResumableStorage:
    """The store that `storage.url` names; a folder under the data dir when it names none. Raises InvalidSettings."""
    url = settings.storage.url
    if url is None:
        return LocalStorage(settings.data_dir / "storage", for_others=False)
    if url.startswith("file://"):
        return LocalStorage.from_url(url)
    if "://" not in url:
        raise InvalidSettings(
            "Settings are not valid: storage.url must be a URL like s3://bucket/prefix or file:///path."
        )
    from streamforge.storage.bucket import BucketStorage  # noqa: PLC0415 - obstore is only loaded where it is used

    return BucketStorage.from_url(url)
