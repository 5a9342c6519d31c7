"""What request handlers work with, opened when the application starts."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import TypedDict
from uuid import UUID

import structlog
from starlette.requests import HTTPConnection
from starlette.requests import Request as StarletteRequest

from streamforge.access.api_keys import ApiKeys
from streamforge.access.audit import Auditor
from streamforge.access.authenticator import Authenticator
from streamforge.access.caller import ANYBODY, Caller, Scope
from streamforge.access.rates import Rates
from streamforge.access.secret import InstallationSecret
from streamforge.access.sessions import Sessions
from streamforge.access.slots import Slots
from streamforge.access.standing import CHANNEL as CALLERS_CHANNEL
from streamforge.access.standing import Standing
from streamforge.access.tickets import Tickets
from streamforge.api.cancels import Cancels
from streamforge.api.controls import Controls
from streamforge.api.etas import Etas
from streamforge.api.http.stream_limits import StreamLimits
from streamforge.api.launcher import Launcher
from streamforge.api.manifests import Manifests
from streamforge.api.playback import Playbacks
from streamforge.api.purges import Purges
from streamforge.api.queue_stats import QueueWatch
from streamforge.api.quotas import Quotas
from streamforge.api.readiness import CHECK_TIMEOUT, Readiness
from streamforge.api.resumable.holdings import CHANNEL as UPLOADS_CHANNEL
from streamforge.api.resumable.holdings import Holdings
from streamforge.api.resumable.uploads import ResumableUploads
from streamforge.api.retries import Retries
from streamforge.api.service_gauges import ServiceGauges
from streamforge.api.uploads import Uploads
from streamforge.api.workflows import Workflows
from streamforge.checks import Check
from streamforge.db.audit import AuditLog
from streamforge.db.counters import Counters
from streamforge.db.credentials import Credentials
from streamforge.db.fetches import Fetches
from streamforge.db.jobs import Jobs, OwnJobs
from streamforge.db.listener import EVENTS_CHANNEL, Listener
from streamforge.db.locks import UploadLocks
from streamforge.db.migrations import apply_migrations
from streamforge.db.pool import Database
from streamforge.db.roles import Roles
from streamforge.db.uploads import OwnUploads
from streamforge.db.uploads import Uploads as UploadRows
from streamforge.db.webhooks import Deliveries, OwnWebhooks
from streamforge.db.workers import Workers
from streamforge.errors import (
    AccessRefused,
    DatabaseUnavailable,
    InvalidField,
    InvalidSettings,
    MissingPart,
    ScopeMissing,
    StorageUnavailable,
    StreamForgeError,
    TemporalUnavailable,
)
from streamforge.events.broadcaster import Broadcaster
from streamforge.events.log import EventLog, OwnLog
from streamforge.events.reports import Reports
from streamforge.events.sources import BatchSource, JobSource, OwnerSource
from streamforge.events.stream import Streams
from streamforge.keys import Keys
from streamforge.observability import metrics
from streamforge.observability.exposition import exposed
from streamforge.observability.tracing import Tracing, tracing_of
from streamforge.outbound.addresses import Outbound
from streamforge.retry import STARTUP_WAIT_SECONDS, until_available
from streamforge.settings import Settings
from streamforge.sinks.opening import senders, sending
from streamforge.storage import Storage, open_storage
from streamforge.storage.ownership import claim_if_there
from streamforge.temporal.connect import connect

log = structlog.stdlib.get_logger(__name__)


@dataclass(frozen=True)
class Own:
    """What one owner has: jobs, batches and their log, to be looked at, changed and followed."""

    jobs: OwnJobs
    log: OwnLog
    uploads: OwnUploads

    def job(self, job_id: UUID) -> JobSource:
        return JobSource(job_id, self.log, self.jobs)

    def batch(self, batch_id: UUID) -> BatchSource:
        return BatchSource(batch_id, self.log, self.jobs)

    def everything(self) -> OwnerSource:
        return OwnerSource(self.log, self.jobs)


@dataclass(frozen=True)
class Services:
    """What requests are served with. Of jobs there is nothing here but through `of`, and `of_all` for administrators."""

    settings: Settings
    authenticator: Authenticator
    standing: Standing
    tickets: Tickets
    sessions: Sessions
    audit_log: AuditLog
    auditor: Auditor
    database: Database
    of: Callable[[str], Own]
    of_all: Callable[[str], Own]
    announce: Callable[[Iterable[UUID]], Awaitable[None]]
    retries: Retries
    reports: Reports
    queue: QueueWatch
    workers: Workers
    webhooks: Callable[[str], OwnWebhooks]
    outbound: Outbound
    broadcaster: Broadcaster
    streams: Streams
    limits: StreamLimits
    rates: Rates
    quotas: Quotas
    storage: Storage
    manifests: Manifests
    uploads: Uploads
    resumable: ResumableUploads
    workflows: Workflows
    cancels: Cancels
    controls: Controls
    purges: Purges
    launcher: Launcher
    etas: Etas
    keys: Keys
    playbacks: Playbacks
    readiness: Readiness
    gauges: ServiceGauges
    tracing: Tracing | None


class AppState(TypedDict):
    services: Services


Request = StarletteRequest[AppState]


def services_of(connection: HTTPConnection[AppState]) -> Services:
    return connection.state["services"]


def caller_of(connection: HTTPConnection[AppState]) -> Caller:
    """Who asks. Raises why nobody is known: CredentialMissing, CredentialInvalid, DatabaseUnavailable."""
    found: Caller | StreamForgeError = connection.scope["state"]["caller"]
    if isinstance(found, StreamForgeError):
        raise found
    return found


def known_caller_of(connection: HTTPConnection[AppState]) -> Caller | None:
    """Who asks, where nobody has to say so."""
    found: Caller | StreamForgeError = connection.scope["state"]["caller"]
    return found if isinstance(found, Caller) else None


def owner_of(connection: HTTPConnection[AppState]) -> str:
    """Whose jobs a caller may see."""
    return caller_of(connection).owner


def own(connection: HTTPConnection[AppState]) -> Own:
    """What the caller of this request has: the one place in which a request becomes an owner's. Administrators have what is
    anybody's."""
    services, caller = services_of(connection), caller_of(connection)
    return (services.of_all if caller.may(Scope.ADMIN) else services.of)(owner_of(connection))


def own_of(connection: HTTPConnection[AppState], owner: str | None) -> Own:
    """What is `owner`'s, as that owner sees it, where a caller names one; only administrators may name others.

    Raises ScopeMissing, InvalidField.
    """
    if owner is None:
        return own(connection)
    if owner != owner_of(connection):
        require(connection, Scope.ADMIN)
    try:
        return services_of(connection).of(owner)
    except ValueError as error:
        raise InvalidField("`owner` is no name of an owner.") from error


def require(connection: HTTPConnection[AppState], scope: Scope) -> None:
    """Raises why there is no caller, with the scope that would do; ScopeMissing."""
    try:
        allowed = caller_of(connection).may(scope)
    except AccessRefused as refused:
        refused.scope = scope
        raise
    if not allowed:
        raise ScopeMissing(f"This needs a credential with the scope {scope}.", scope=scope)


async def is_shown_to_caller(connection: HTTPConnection[AppState], job_id: UUID) -> bool:
    """Whether somebody who has shown who they are may read this job. Where nobody has to, everybody may read it, and that
    opens no stream which is for those alone who were given its address."""
    try:
        caller = caller_of(connection)
    except AccessRefused:
        return False
    return caller != ANYBODY and caller.may(Scope.READ) and await own(connection).jobs.state(job_id) is not None


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Needs the database, for which it waits a bounded time, but not Temporal: jobs are accepted without it.

    Raises MissingPart, InvalidSettings, DatabaseUnavailable, MigrationEdited, StoreTaken.
    """
    temporal = await connect(settings.temporal, lazy=True, measured=settings.metrics.port is not None)
    storage = open_storage(settings)
    uploads = Uploads(settings.data_dir / "uploads", settings.input, disks=storage.disks)
    await asyncio.to_thread(uploads.prepare)
    database = await _open_database(settings)
    locks = UploadLocks(database.dsn)
    try:
        jobs, events, credentials = Jobs(database), EventLog(database), Credentials(database)
        rows = UploadRows(database)
        holdings = Holdings(locks, rows)
        secret = InstallationSecret(settings)
        secret.require_readable()
        await claim_if_there(storage, jobs)
        workflows = Workflows(temporal)
        cancels = Cancels(jobs, events, workflows, storage)
        controls, purges = Controls(jobs, events, workflows), Purges(jobs, storage)
        readiness = _readiness(uploads, jobs, workflows, storage)
        gauges = ServiceGauges(jobs, workflows, readiness)
        sinks = senders(settings.sinks, database)
        async with (
            Broadcaster(events, settings.server.heartbeat_seconds) as broadcaster,
            Standing(credentials) as standing,
            Listener(
                database.dsn,
                {
                    EVENTS_CHANNEL: _each([broadcaster.on_notification, *(sink.on_notification for sink in sinks)]),
                    CALLERS_CHANNEL: standing.on_notification,
                    UPLOADS_CHANNEL: holdings.on_notification,
                },
                [broadcaster.on_reconnected, standing.on_reconnected, *(sink.look for sink in sinks)],
            ),
            sending(sinks),
            Launcher(jobs, workflows, cancels, controls, purges) as launcher,
            ResumableUploads(
                settings,
                storage=storage,
                disks=uploads,
                uploads=rows,
                events=events,
                holdings=holdings,
                launcher=launcher,
                workflows=workflows,
            ).swept() as resumable,
            Reports(database, jobs) as reports,
            Auditor(AuditLog(database)) as auditor,
            Rates(Counters(database)) as rates,
            Slots(database) as slots,
            _metrics(settings, uploads, storage, gauges),
            tracing_of(settings.tracing, "api") as tracing,
        ):
            tickets = Tickets(secret, standing, settings.auth.ticket_seconds)
            sessions = Sessions(credentials, secret, standing, settings.auth.session_seconds)
            yield Services(
                settings=settings,
                authenticator=Authenticator(settings, ApiKeys(credentials, standing, secret), tickets, sessions),
                standing=standing,
                tickets=tickets,
                sessions=sessions,
                audit_log=AuditLog(database),
                auditor=auditor,
                database=database,
                of=lambda owner: Own(jobs.of(owner), events.of(owner), rows.of(owner)),
                of_all=lambda owner: Own(jobs.of_all(owner), events.of_all(owner), rows.of_all(owner)),
                announce=jobs.announce,
                reports=reports,
                retries=Retries(jobs, Fetches(database), workflows, storage),
                queue=QueueWatch(database),
                workers=Workers(database),
                webhooks=Deliveries(database).of,
                outbound=Outbound(settings.outbound.allowed_networks),
                broadcaster=broadcaster,
                streams=Streams(broadcaster),
                limits=StreamLimits(settings, slots),
                rates=rates,
                quotas=Quotas(settings, slots),
                storage=storage,
                manifests=Manifests(storage),
                uploads=uploads,
                resumable=resumable,
                workflows=workflows,
                cancels=cancels,
                controls=controls,
                purges=purges,
                launcher=launcher,
                etas=Etas(jobs),
                keys=Keys(settings),
                playbacks=Playbacks(settings, jobs),
                readiness=readiness,
                gauges=gauges,
                tracing=tracing,
            )
    finally:
        await locks.close()
        await database.close()


def _each(told: Sequence[Callable[[str], None]]) -> Callable[[str], None]:
    def tell(payload: str) -> None:
        for each in told:
            each(payload)

    return tell


@asynccontextmanager
async def _metrics(
    settings: Settings, uploads: Uploads, storage: Storage, gauges: ServiceGauges
) -> AsyncIterator[None]:
    """On their own port, where there is one; nobody looks at anything otherwise."""
    metrics.watch_disk("uploads", uploads.folder)
    for disk in storage.disks:
        metrics.watch_disk("store", disk)
    with exposed(settings.metrics.host, settings.metrics.port) as url:
        if url is None:
            yield
            return
        log.info("metrics can be asked for", url=url)
        async with gauges.kept_fresh():
            yield


def _readiness(uploads: Uploads, jobs: Jobs, workflows: Workflows, storage: Storage) -> Readiness:
    def check(name: str, ask: Callable[[], Awaitable[object]], unavailable: type[StreamForgeError]) -> Check:
        return Check(name, ask, unavailable, timeout=CHECK_TIMEOUT)

    return Readiness(
        [
            check("database", jobs.check, DatabaseUnavailable),
            check("temporal", workflows.check, TemporalUnavailable),
            check("storage", storage.check, StorageUnavailable),
            check("disk", lambda: uploads.admit(None), StorageUnavailable),
        ]
    )


async def _open_database(settings: Settings) -> Database:
    dsn = settings.database.dsn
    if dsn is None:
        raise MissingPart("No database is configured: run `streamforge up`, or set STREAMFORGE_DATABASE__DSN.")
    roles = Roles(settings.database.roles)
    await until_available(lambda: apply_migrations(dsn, roles), give_up_after=STARTUP_WAIT_SECONDS)
    database = await until_available(
        lambda: Database.open(dsn, settings.database.pool_size, roles), give_up_after=STARTUP_WAIT_SECONDS
    )
    if settings.database.require_isolation and not database.is_isolated:
        await database.close()
        raise InvalidSettings(
            "database.require_isolation is set, and PostgreSQL does not hold us to the roles of "
            f"{settings.database.roles}; `streamforge doctor` says what is missing."
        )
    return database
