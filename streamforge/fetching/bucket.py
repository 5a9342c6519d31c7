"""Sources in buckets, read with our credentials: S3 and its kin, GCS, Azure."""

from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import obstore
from obstore.exceptions import (
    BaseError,
    InvalidPathError,
    PermissionDeniedError,
    PreconditionError,
    UnauthenticatedError,
)
from obstore.store import from_url

from streamforge.contracts.source_url import SourceUrl
from streamforge.errors import (
    FetchInterrupted,
    SourceForbidden,
    SourceNotFound,
    SourceUnavailable,
    SourceUnusable,
)
from streamforge.fetching.source import Opened
from streamforge.storage.bucket import RETRIES, client_options

PIECE_BYTES = 256 * 1024


class BucketSource:
    """Credentials and endpoints come from the environment, as for the store: see streamforge.storage.bucket."""

    def __init__(self, url: SourceUrl) -> None:
        self._bucket, self._key = url.object_parts

    @asynccontextmanager
    async def open(self, start: int, validator: str | None) -> AsyncIterator[Opened]:
        with self._told():
            store: Any = from_url(self._bucket, client_options=client_options(), retry_config=RETRIES)  # type: ignore[call-overload]
            meta = await obstore.head_async(store, self._key)
        now, size = _validator_of(meta), meta["size"]
        begin = start if start and now == validator and start < size else 0
        yield Opened(begin, size, now, self._pieces(store, begin, size, now))

    async def _pieces(self, store: Any, begin: int, size: int, validator: str) -> AsyncIterator[bytes]:
        """Of one version: the whole is as long as that was, and what is read is asked what it is."""
        if size == 0:
            return
        with self._told():
            found = await obstore.get_async(store, self._key, options={"range": (begin, size)})
            if _validator_of(found.meta) != validator:
                raise FetchInterrupted(f"{self._bucket} has another version of the video now.")
            async for piece in found.stream(min_chunk_size=PIECE_BYTES):
                yield bytes(piece)

    @contextmanager
    def _told(self) -> Iterator[None]:
        """What obstore raises, as ours. Its texts have addresses with signatures in them: they go to the log, which takes those
        out."""
        try:
            yield
        except FileNotFoundError as error:
            raise SourceNotFound(f"{self._bucket} has no such object.", debug=str(error)) from error
        except (PermissionDeniedError, UnauthenticatedError) as error:
            raise SourceForbidden(
                f"{self._bucket} does not let us have it; an operator can look at the credentials of the workers.",
                debug=str(error),
            ) from error
        except (InvalidPathError, ValueError) as error:
            raise SourceUnusable(f"{self._bucket} cannot be asked for this object.", debug=str(error)) from error
        except PreconditionError as error:
            raise FetchInterrupted(f"{self._bucket} has another version of the video now.", debug=str(error)) from error
        except BaseError as error:
            raise SourceUnavailable(f"{self._bucket} does not answer right now.", debug=str(error)) from error


def _validator_of(meta: Any) -> str:
    return str(meta["e_tag"] or f"{meta['size']}-{meta['last_modified'].timestamp()}")
