"""The client for programs without an event loop. It has one of its own, in a thread: it works in a notebook, and may be used by
several threads at a time."""

from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator
from contextlib import ExitStack
from functools import wraps
from types import TracebackType
from typing import Any, Concatenate, ParamSpec, Self, TypeVar

from anyio.from_thread import start_blocking_portal

from streamforge.client.client import GIVE_UP_SECONDS, RETRY_SECONDS, StreamForgeClient
from streamforge.client.transport import DEFAULT_URL

P = ParamSpec("P")
R = TypeVar("R")


def _waits(
    method: Callable[Concatenate[StreamForgeClient, P], Coroutine[Any, Any, R]],
) -> "Callable[Concatenate[SyncStreamForgeClient, P], R]":
    @wraps(method)
    def waiting(self: "SyncStreamForgeClient", /, *args: P.args, **kwargs: P.kwargs) -> R:
        async def call() -> R:
            return await method(self._client, *args, **kwargs)

        return self._portal.call(call)

    return waiting


def _iterates(
    method: Callable[Concatenate[StreamForgeClient, P], AsyncGenerator[R]],
) -> "Callable[Concatenate[SyncStreamForgeClient, P], Iterator[R]]":
    @wraps(method)
    def iterating(self: "SyncStreamForgeClient", /, *args: P.args, **kwargs: P.kwargs) -> Iterator[R]:
        values = method(self._client, *args, **kwargs)
        try:
            while True:
                try:
                    yield self._portal.call(values.__anext__)
                except StopAsyncIteration:
                    return
        finally:
            self._portal.call(values.aclose)

    return iterating


class SyncStreamForgeClient:
    """`with SyncStreamForgeClient() as client: …`. Its methods are those of StreamForgeClient, and return when there is an
    answer; what that yields this one yields, too."""

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        api_key: str | None = None,
        retry_seconds: float = RETRY_SECONDS,
        give_up_seconds: float = GIVE_UP_SECONDS,
    ) -> None:
        """As that of StreamForgeClient."""
        self._client = StreamForgeClient(
            url, api_key=api_key, retry_seconds=retry_seconds, give_up_seconds=give_up_seconds
        )
        self._open = ExitStack()
        self._portal = self._open.enter_context(start_blocking_portal())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        with self._open:
            self._portal.call(self._client.aclose)

    submit = _waits(StreamForgeClient.submit)
    submit_url = _waits(StreamForgeClient.submit_url)
    submit_batch = _waits(StreamForgeClient.submit_batch)
    plan = _waits(StreamForgeClient.plan)
    upload = _waits(StreamForgeClient.upload)
    upload_progress = _waits(StreamForgeClient.upload_progress)
    upload_limits = _waits(StreamForgeClient.upload_limits)
    end_upload = _waits(StreamForgeClient.end_upload)

    job = _waits(StreamForgeClient.job)
    jobs = _waits(StreamForgeClient.jobs)
    find = _waits(StreamForgeClient.find)
    find_all = _iterates(StreamForgeClient.find_all)
    events = _waits(StreamForgeClient.events)
    chunks = _waits(StreamForgeClient.chunks)
    refresh_chunks = _waits(StreamForgeClient.refresh_chunks)
    logs = _waits(StreamForgeClient.logs)
    cancel = _waits(StreamForgeClient.cancel)
    purge = _waits(StreamForgeClient.purge)
    change = _waits(StreamForgeClient.change)
    pause = _waits(StreamForgeClient.pause)
    resume = _waits(StreamForgeClient.resume)
    retry = _waits(StreamForgeClient.retry)
    reprocess = _waits(StreamForgeClient.reprocess)
    change_many = _waits(StreamForgeClient.change_many)
    batch = _waits(StreamForgeClient.batch)

    follow = _waits(StreamForgeClient.follow)
    watch = _iterates(StreamForgeClient.watch)
    watch_batch = _iterates(StreamForgeClient.watch_batch)
    watch_everything = _iterates(StreamForgeClient.watch_everything)
    watch_by_websocket = _iterates(StreamForgeClient.watch_by_websocket)

    refresh_playback = _waits(StreamForgeClient.refresh_playback)
    media = _waits(StreamForgeClient.media)
    download = _waits(StreamForgeClient.download)
    content_key = _waits(StreamForgeClient.content_key)
    license = _waits(StreamForgeClient.license)

    create_external = _waits(StreamForgeClient.create_external)
    report = _waits(StreamForgeClient.report)
    status_detailed = _waits(StreamForgeClient.status_detailed)
    progress_history = _waits(StreamForgeClient.progress_history)

    webhooks = _waits(StreamForgeClient.webhooks)
    create_webhook = _waits(StreamForgeClient.create_webhook)
    webhook = _waits(StreamForgeClient.webhook)
    change_webhook = _waits(StreamForgeClient.change_webhook)
    delete_webhook = _waits(StreamForgeClient.delete_webhook)
    webhook_secret = _waits(StreamForgeClient.webhook_secret)
    rotate_webhook_secret = _waits(StreamForgeClient.rotate_webhook_secret)
    test_webhook = _waits(StreamForgeClient.test_webhook)
    deliveries = _waits(StreamForgeClient.deliveries)
    redeliver = _waits(StreamForgeClient.redeliver)

    who_am_i = _waits(StreamForgeClient.who_am_i)
    ticket = _waits(StreamForgeClient.ticket)
    sign_in = _waits(StreamForgeClient.sign_in)
    sign_out = _waits(StreamForgeClient.sign_out)

    queue = _waits(StreamForgeClient.queue)
    workers = _waits(StreamForgeClient.workers)
    drain = _waits(StreamForgeClient.drain)
    usage = _waits(StreamForgeClient.usage)
    audit = _waits(StreamForgeClient.audit)
    health = _waits(StreamForgeClient.health)
    ready = _waits(StreamForgeClient.ready)
    metrics = _waits(StreamForgeClient.metrics)
    index = _waits(StreamForgeClient.index)
    openapi = _waits(StreamForgeClient.openapi)
    documentation = _waits(StreamForgeClient.documentation)
