"""The application as a value: routes, middleware, error handlers, and what is opened at its start."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.routing import BaseRoute, Route, WebSocketRoute

from streamforge.api.http.foreign_pages import OnlyKnownHosts, OnlyOwnPagesChange
from streamforge.api.http.middleware import AccessLog, Deadline, RealClientIp, Recovery, RelativeRedirects, RequestId
from streamforge.api.http.problems import HANDLERS, nothing_here
from streamforge.api.routes.batches import create_batch, get_batch
from streamforge.api.routes.content_keys import clear_key_license, content_key
from streamforge.api.routes.health import health, index, ready
from streamforge.api.routes.jobs import cancel_job, get_job, list_events, list_jobs
from streamforge.api.routes.media import media
from streamforge.api.routes.process import process
from streamforge.api.routes.stream import stream_of_batch, stream_of_everything, stream_of_job
from streamforge.api.routes.websocket import progress
from streamforge.api.services import AppState, open_services
from streamforge.settings import ServerSettings, Settings

EXPOSED_HEADERS = [
    "Location",
    "X-Request-ID",
    "Content-Range",
    "Content-Length",
    "Accept-Ranges",
    "ETag",
    "Retry-After",
]


def create_app(settings: Settings) -> Starlette:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[AppState]:
        async with open_services(settings) as services:
            yield {"services": services}

    app = Starlette(
        routes=routes(settings.server),
        middleware=middleware(settings.server),
        exception_handlers=dict(HANDLERS),
        lifespan=lifespan,
    )
    # The router's own answer to a WebSocket is a bare 403.
    app.router.default = nothing_here
    return app


def routes(settings: ServerSettings) -> list[BaseRoute]:
    timed = [Middleware(Deadline, seconds=settings.request_timeout_seconds)]
    return [
        Route("/", index, middleware=timed),
        Route("/health", health, middleware=timed),
        Route("/ready", ready, middleware=timed),
        Route("/jobs", list_jobs, middleware=timed),
        Route("/jobs/{job_id}", get_job, middleware=timed),
        Route("/jobs/{job_id}", cancel_job, methods=["DELETE"], middleware=timed),
        Route("/jobs/{job_id}/events", list_events, middleware=timed),
        Route("/batches/{batch_id}", get_batch, middleware=timed),
        Route("/keys/{job_id}/license", clear_key_license, methods=["POST"], middleware=timed),
        Route("/keys/{job_id}/{key_id}", content_key, middleware=timed),
        # No deadline: these take as long as the network does.
        Route("/process", process, methods=["POST"]),
        Route("/batches", create_batch, methods=["POST"]),
        Route("/stream", stream_of_everything),
        Route("/jobs/{job_id}/stream", stream_of_job),
        Route("/batches/{batch_id}/stream", stream_of_batch),
        WebSocketRoute("/ws/progress", progress),
        Route("/media/{job_id}/{path:path}", media),
    ]


def middleware(settings: ServerSettings) -> list[Middleware]:
    """From the outside to the inside. CORS lies around refusals and Recovery, so that a page can read a 403 or a 500, but
    not around hosts: what a page of a name that is not ours is told is nobody's. A second Recovery is for the layers
    themselves."""
    return [
        Middleware(RequestId),
        Middleware(RealClientIp, trusted=settings.trusted_proxies),
        Middleware(AccessLog),
        Middleware(Recovery),
        Middleware(OnlyKnownHosts, settings=settings),
        Middleware(
            CORSMiddleware,
            allow_origins=settings.cors_origins,
            allow_methods=["GET", "HEAD", "POST", "DELETE", "OPTIONS"],
            allow_headers=["*"],
            expose_headers=EXPOSED_HEADERS,
        ),
        Middleware(OnlyOwnPagesChange, settings=settings),
        Middleware(RelativeRedirects),
        Middleware(Recovery),
    ]
