"""Who may have the files and the keys of a job's stream, and under which addresses they are told."""

from collections import OrderedDict
from dataclasses import dataclass
from datetime import UTC, datetime
from time import time
from uuid import UUID

from streamforge.access.secret import InstallationSecret, Purpose
from streamforge.access.signatures import MARK, Opens, Signatures, SignedAddresses, expiry_of
from streamforge.contracts.chunks import ChunkPage
from streamforge.contracts.job import Playback
from streamforge.contracts.job_options import JobOptions
from streamforge.contracts.job_view import JobView
from streamforge.contracts.pipeline import ProcessVideoResult
from streamforge.db.jobs import Film, Jobs
from streamforge.settings import Settings

KEPT_FILMS = 10_000
"""Some 300 bytes each. A player asks for a segment every few seconds, and what is asked of the database never changes."""


@dataclass(frozen=True)
class Grant:
    """Somebody may have it: everybody (`public`), whoever has the address that is `signed`, or this caller alone."""

    public: bool = False
    signed: SignedAddresses | None = None
    """As what was asked for: this is how a manifest then names the keys."""


class Playbacks:
    """All methods that look for a job raise DatabaseUnavailable, unless it was asked for before."""

    def __init__(self, settings: Settings, jobs: Jobs) -> None:
        self._settings = settings
        self._jobs = jobs
        self._signatures = Signatures(InstallationSecret(settings).key(Purpose.PLAYBACK))
        self._signed_by_profile = {name: settings.is_signed(name) for name in settings.profiles}
        self.signed_by_default = self._signed_by_profile[settings.profile]
        self._films: OrderedDict[UUID, Film] = OrderedDict()

    def by_signature(self, segment: str, opens: Opens, job_id: UUID) -> Grant:
        """Whether there is such a job does not matter, and is not told. Raises PlaybackRefused, PlaybackExpired."""
        expires = self._signatures.expiry(segment, opens, job_id, time())
        return Grant(signed=SignedAddresses(self._signatures, job_id, expires))

    async def is_signed(self, job_id: UUID) -> bool:
        """Of a job that is not there: as of one that says nothing."""
        film = await self.film(job_id)
        return self._is_signed(film.profile, film.playback) if film else self._is_signed(None, None)

    def _is_signed(self, profile: str | None, asked: str | None) -> bool:
        """What a job asks for goes before its profile. One that is no longer there counts as that of jobs that name none. A
        word that only a later version knows is not `public`."""
        if asked is not None:
            return asked != "public"
        return self._signed_by_profile.get(profile or "", self.signed_by_default)

    async def film(self, job_id: UUID) -> Film | None:
        film = self._films.get(job_id) or await self._jobs.film(job_id)
        if film is not None:
            self._films[job_id] = film
            self._films.move_to_end(job_id)
            if len(self._films) > KEPT_FILMS:
                self._films.popitem(last=False)
        return film

    def told(self, job: JobView) -> JobView:
        """A job as it is told now: with fresh addresses where they need a signature."""
        has_addresses = job.playback is not None or job.result is not None
        addresses = self._addresses(job.id, job.options) if has_addresses else None
        if addresses is None:
            return job
        return job.model_copy(
            update={"playback": _signed(job.playback, addresses), "result": _signed_in(job.result, addresses)}
        )

    def chunks_told(self, page: ChunkPage, job_id: UUID, options: JobOptions) -> ChunkPage:
        """The same of its segments."""
        addresses = self._addresses(job_id, options)
        if addresses is None:
            return page
        signed = ChunkPage.model_validate(addresses.of(page.model_dump(mode="json")))
        return signed.model_copy(update={"expires_at": datetime.fromtimestamp(addresses.expires, UTC)})

    def _addresses(self, job_id: UUID, options: JobOptions) -> SignedAddresses | None:
        """None where a stream needs no signature."""
        if not self._is_signed(options.profile, options.playback):
            return None
        expires = expiry_of(time(), self._settings.playback.expires_seconds)
        return SignedAddresses(self._signatures, job_id, expires)


def _signed(playback: Playback | None, addresses: SignedAddresses) -> Playback | None:
    if playback is None:
        return None
    signed = Playback.model_validate(addresses.of(playback.model_dump(mode="json")))
    return signed.model_copy(update={"expires_at": datetime.fromtimestamp(addresses.expires, UTC)})


def _signed_in(result: ProcessVideoResult | None, addresses: SignedAddresses) -> ProcessVideoResult | None:
    if result is None:
        return None
    return ProcessVideoResult.model_validate(addresses.of(result.model_dump(mode="json")))


def split(path: str) -> tuple[str | None, str]:
    """The signature that stands in front of a file's name, if one does, and the name."""
    first, _, rest = path.partition("/")
    return (first, rest) if first.startswith(MARK) else (None, path)
