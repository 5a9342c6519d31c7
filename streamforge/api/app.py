"""The application as a value: routes, middleware, error handlers, and what is opened at its start."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware

from streamforge.access.caller import Need
from streamforge.api.http.auditing import Audit
from streamforge.api.http.authentication import Authentication
from streamforge.api.http.cors import Cors
from streamforge.api.http.foreign_pages import OnlyKnownHosts, OnlyOwnPagesChange
from streamforge.api.http.hardening import NoControlCharacters, SecurityHeaders
from streamforge.api.http.middleware import AccessLog, Deadline, RealClientIp, Recovery, RelativeRedirects, RequestId
from streamforge.api.http.origins import Traced
from streamforge.api.http.problems import HANDLERS, nothing_here
from streamforge.api.http.rate_limits import RateLimits
from streamforge.api.http.rules import GuardedRoute, GuardedWebSocketRoute
from streamforge.api.resumable.answers import SpeaksTus
from streamforge.api.routes.again import reprocess_job, retry_job
from streamforge.api.routes.audit import list_audit
from streamforge.api.routes.batches import create_batch, get_batch
from streamforge.api.routes.bulk import change_many
from streamforge.api.routes.callers import create_session, create_ticket, end_session, get_session
from streamforge.api.routes.content_keys import clear_key_license, content_key
from streamforge.api.routes.control import cancel_job, change_job, pause_job, resume_job
from streamforge.api.routes.documentation import docs, openapi_document
from streamforge.api.routes.health import health, index, ready
from streamforge.api.routes.insight import list_chunks, list_logs, refresh_chunks
from streamforge.api.routes.jobs import get_job, list_events, list_jobs, refresh_playback
from streamforge.api.routes.media import media
from streamforge.api.routes.metrics import metrics
from streamforge.api.routes.process import process
from streamforge.api.routes.queue import drain_worker, list_workers, queue_stats
from streamforge.api.routes.reports import create_external_job, progress_history, report_on_job, status_detailed
from streamforge.api.routes.stream import stream_of_batch, stream_of_everything, stream_of_job
from streamforge.api.routes.uploads import (
    create_upload,
    delete_upload,
    get_upload,
    patch_upload,
    post_to_upload,
    upload_options,
)
from streamforge.api.routes.usage import usage
from streamforge.api.routes.webhooks import (
    change_webhook,
    create_webhook,
    delete_webhook,
    get_secret,
    get_webhook,
    list_deliveries,
    list_webhooks,
    redeliver,
    rotate_secret,
    test_webhook,
)
from streamforge.api.routes.websocket import progress
from streamforge.api.services import AppState, open_services
from streamforge.settings import ServerSettings, Settings


def create_app(settings: Settings) -> Starlette:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[AppState]:
        async with open_services(settings) as services:
            yield {"services": services}

    app = Starlette(
        routes=routes(settings.server),
        middleware=[
            *middleware(
                settings.server,
                traced=settings.tracing.endpoint is not None,
                are_callers_known=settings.auth.required,
            ),
            Middleware(Authentication),
            Middleware(RateLimits, settings=settings),
        ],
        exception_handlers=dict(HANDLERS),
        lifespan=lifespan,
    )
    # The router's own answer to a WebSocket is a bare 403.
    app.router.default = nothing_here
    return app


def routes(settings: ServerSettings) -> list[GuardedRoute | GuardedWebSocketRoute]:
    """Every address, and what it needs of its caller."""
    timed = [Middleware(Deadline, seconds=settings.request_timeout_seconds)]
    tus = [Middleware(SpeaksTus)]
    return [
        GuardedRoute("/", index, needs=Need.PUBLIC, middleware=timed),
        GuardedRoute("/openapi.json", openapi_document, needs=Need.PUBLIC, middleware=timed),
        GuardedRoute("/docs", docs, needs=Need.PUBLIC, middleware=timed),
        GuardedRoute("/health", health, needs=Need.PUBLIC, middleware=timed),
        GuardedRoute("/ready", ready, needs=Need.PUBLIC, middleware=timed),
        GuardedRoute("/metrics", metrics, needs=Need.ADMIN, middleware=timed),
        GuardedRoute("/audit", list_audit, needs=Need.ADMIN, middleware=timed),
        GuardedRoute("/usage", usage, needs=Need.READ, middleware=timed),
        GuardedRoute("/queue/stats", queue_stats, needs=Need.READ, middleware=timed),
        GuardedRoute("/workers", list_workers, needs=Need.ADMIN, middleware=timed),
        GuardedRoute("/workers/{worker_id}/drain", drain_worker, needs=Need.ADMIN, methods=["POST"], middleware=timed),
        GuardedRoute("/jobs", list_jobs, needs=Need.READ, middleware=timed),
        GuardedRoute("/jobs", create_external_job, needs=Need.SUBMIT, methods=["POST"], middleware=timed),
        # No deadline: to make jobs again copies their videos.
        GuardedRoute("/jobs/bulk", change_many, needs=Need.SUBMIT, methods=["POST"]),
        GuardedRoute("/jobs/{job_id}", get_job, needs=Need.READ, middleware=timed),
        GuardedRoute("/jobs/{job_id}", cancel_job, needs=Need.SUBMIT, methods=["DELETE"], middleware=timed),
        GuardedRoute("/jobs/{job_id}", change_job, needs=Need.SUBMIT, methods=["PATCH"], middleware=timed),
        GuardedRoute("/jobs/{job_id}/retry", retry_job, needs=Need.SUBMIT, methods=["POST"], middleware=timed),
        # No deadline: it copies the video.
        GuardedRoute("/jobs/{job_id}/reprocess", reprocess_job, needs=Need.SUBMIT, methods=["POST"]),
        GuardedRoute("/jobs/{job_id}/pause", pause_job, needs=Need.SUBMIT, methods=["POST"], middleware=timed),
        GuardedRoute("/jobs/{job_id}/resume", resume_job, needs=Need.SUBMIT, methods=["POST"], middleware=timed),
        GuardedRoute("/jobs/{job_id}/events", list_events, needs=Need.READ, middleware=timed),
        GuardedRoute("/jobs/{job_id}/events", report_on_job, needs=Need.REPORT, methods=["POST"], middleware=timed),
        GuardedRoute("/jobs/{job_id}/status-detailed", status_detailed, needs=Need.READ, middleware=timed),
        GuardedRoute("/jobs/{job_id}/progress-history", progress_history, needs=Need.READ, middleware=timed),
        GuardedRoute("/jobs/{job_id}/logs", list_logs, needs=Need.READ, middleware=timed),
        GuardedRoute("/jobs/{job_id}/chunks", list_chunks, needs=Need.READ, middleware=timed),
        GuardedRoute(
            "/jobs/{job_id}/chunks/refresh", refresh_chunks, needs=Need.READ, methods=["POST"], middleware=timed
        ),
        GuardedRoute(
            "/jobs/{job_id}/playback/refresh",
            refresh_playback,
            needs=Need.READ,
            methods=["POST"],
            middleware=timed,
        ),
        GuardedRoute("/batches/{batch_id}", get_batch, needs=Need.READ, middleware=timed),
        *webhook_routes(timed),
        *(
            route
            for folder in ("/keys/{job_id}", "/keys/{job_id}/{signature}")
            for route in (
                GuardedRoute(
                    f"{folder}/license", clear_key_license, needs=Need.PLAYBACK, methods=["POST"], middleware=timed
                ),
                GuardedRoute(f"{folder}/{{key_id}}", content_key, needs=Need.PLAYBACK, middleware=timed),
            )
        ),
        GuardedRoute("/tickets", create_ticket, needs=Need.READ, methods=["POST"], middleware=timed),
        GuardedRoute("/session", get_session, needs=Need.READ, middleware=timed),
        GuardedRoute("/session", create_session, needs=Need.READ, methods=["POST"], middleware=timed),
        GuardedRoute("/session", end_session, needs=Need.PUBLIC, methods=["DELETE"], middleware=timed),
        # No deadline: these take as long as the network does.
        GuardedRoute("/process", process, needs=Need.SUBMIT, methods=["POST"]),
        GuardedRoute("/uploads", upload_options, needs=Need.PUBLIC, methods=["OPTIONS"], middleware=[*tus, *timed]),
        GuardedRoute("/uploads", create_upload, needs=Need.SUBMIT, methods=["POST"], middleware=tus),
        GuardedRoute("/uploads/{upload_id}", get_upload, needs=Need.SUBMIT, middleware=tus),
        GuardedRoute("/uploads/{upload_id}", patch_upload, needs=Need.SUBMIT, methods=["PATCH"], middleware=tus),
        GuardedRoute(
            "/uploads/{upload_id}", delete_upload, needs=Need.SUBMIT, methods=["DELETE"], middleware=[*tus, *timed]
        ),
        GuardedRoute("/uploads/{upload_id}", post_to_upload, needs=Need.SUBMIT, methods=["POST"], middleware=tus),
        GuardedRoute("/batches", create_batch, needs=Need.SUBMIT, methods=["POST"]),
        GuardedRoute("/stream", stream_of_everything, needs=Need.READ),
        GuardedRoute("/jobs/{job_id}/stream", stream_of_job, needs=Need.READ),
        GuardedRoute("/batches/{batch_id}/stream", stream_of_batch, needs=Need.READ),
        GuardedWebSocketRoute("/ws/progress", progress, needs=Need.READ),
        GuardedRoute("/media/{job_id}/{path:path}", media, needs=Need.PLAYBACK),
    ]


def webhook_routes(timed: list[Middleware]) -> list[GuardedRoute]:
    """All for whoever may send jobs in: an address that is told of them may hold a password, and secrets sign."""
    handlers = [
        ("GET", "/webhooks", list_webhooks),
        ("POST", "/webhooks", create_webhook),
        ("GET", "/webhooks/{webhook_id}", get_webhook),
        ("PATCH", "/webhooks/{webhook_id}", change_webhook),
        ("DELETE", "/webhooks/{webhook_id}", delete_webhook),
        ("GET", "/webhooks/{webhook_id}/secret", get_secret),
        ("POST", "/webhooks/{webhook_id}/secret/rotate", rotate_secret),
        ("POST", "/webhooks/{webhook_id}/test", test_webhook),
        ("GET", "/webhooks/{webhook_id}/deliveries", list_deliveries),
        ("POST", "/webhooks/{webhook_id}/deliveries/{delivery_id}/redeliver", redeliver),
    ]
    return [
        GuardedRoute(path, handler, needs=Need.SUBMIT, methods=[method], middleware=timed)
        for method, path, handler in handlers
    ]


def middleware(settings: ServerSettings, *, traced: bool = False, are_callers_known: bool = False) -> list[Middleware]:
    """From the outside to the inside. CORS lies around refusals and Recovery, so that a page can read a 403 or a 500, but
    not around hosts: what a page of a name that is not ours is told is nobody's. A second Recovery is for the layers
    themselves."""
    return [
        Middleware(SecurityHeaders),
        Middleware(RequestId),
        *([Middleware(Traced)] if traced else []),
        Middleware(RealClientIp, trusted=settings.trusted_proxies, are_callers_known=are_callers_known),
        Middleware(AccessLog),
        Middleware(Audit),
        Middleware(Recovery),
        Middleware(NoControlCharacters),
        Middleware(OnlyKnownHosts, settings=settings),
        Middleware(Cors, origins=settings.cors_origins, are_callers_known=are_callers_known),
        Middleware(OnlyOwnPagesChange, settings=settings),
        Middleware(RelativeRedirects),
        Middleware(Recovery),
    ]
