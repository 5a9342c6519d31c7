"""Every Prometheus metric of StreamForge, in one registry: what it counts, in which unit, by which labels.

A label takes its values from a list that this code has (stages, codes of errors, names of handlers …), never from what a
caller sends: each value is a series that Prometheus keeps in memory. No label ever names a job, an owner or a file.
"""

import math
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from prometheus_client import CollectorRegistry, Counter, Gauge, GCCollector, Histogram, ProcessCollector
from prometheus_client.exposition import choose_encoder

from streamforge import __version__

REGISTRY = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

QUICK = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
SLOW = (0.1, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 14400)
"""Buckets in seconds: of what somebody waits for, and of work on media."""
SCORES = (40, 50, 60, 70, 75, 80, 85, 90, 93, 95, 97, 99)


def _counter(name: str, what: str, *labels: str) -> Counter:
    return Counter(f"streamforge_{name}", what, labels, registry=REGISTRY)


def _gauge(name: str, what: str, *labels: str) -> Gauge:
    return Gauge(f"streamforge_{name}", what, labels, registry=REGISTRY)


def _histogram(name: str, what: str, buckets: tuple[float, ...], *labels: str) -> Histogram:
    return Histogram(f"streamforge_{name}", what, labels, buckets=buckets, registry=REGISTRY)


BUILD = _gauge("build_info", "Always 1; the label tells which version this process runs.", "version")
BUILD.labels(__version__).set(1)

# ── jobs ────────────────────────────────────────────────────────────────────────────────────────────────────────────
JOBS = _gauge("jobs", "Jobs that are not over, as the database has them.", "status", "stage")
QUEUE_LENGTH = _gauge("queue_length", "Jobs that wait for their first frame.")
QUEUE_AGE = _gauge("queue_age_seconds", "How long the oldest of them waits; 0 when none does.")
JOBS_ACCEPTED = _counter("jobs_accepted", "Jobs whose bytes are safe and whose row is written.")
JOBS_FINISHED = _counter("jobs_finished", "Jobs that ended, by whose fault where they failed.", "status", "fault")
JOB_FAILURES = _counter("job_failures", "Jobs that failed, by where and of what.", "stage", "code")
STAGE_SECONDS = _histogram("stage_seconds", "How long stages of completed jobs took.", SLOW, "stage")
MEDIA_SECONDS = _counter("media_seconds", "Seconds of video or sound in completed jobs.")
VMAF = _histogram("vmaf", "Mean VMAF of each rendition of a job.", SCORES, "codec")
REPAIRS = _counter("repairs", "Chunks of a rendition that were below their floor and were encoded again.")

# A rate sees no first failure in a series that begins with it.
for _ending in (("completed", ""), ("cancelled", ""), ("failed", "caller"), ("failed", "service")):
    JOBS_FINISHED.labels(*_ending)

# ── work ────────────────────────────────────────────────────────────────────────────────────────────────────────────
ACTIVITY_SECONDS = _histogram("activity_seconds", "How long attempts of activities took.", SLOW, "activity", "outcome")
ACTIVITIES = _gauge("activities_running", "Attempts of activities that run now.", "activity")
RETRIES = _counter("retries", "Attempts that failed and are tried again.", "activity", "code")
CHUNK_SECONDS = _histogram("chunk_seconds", "How long chunks took to encode, prove and measure.", SLOW, "encoder")
SLOTS = _gauge("encoder_slots", "Media activities that this worker takes at once.")
SLOTS_IN_USE = _gauge("encoder_slots_in_use", "Media activities that run now.")
GPU_SESSIONS = _gauge("gpu_sessions", "GPU encoder sessions that this worker may open at once.")
GPU_SESSIONS_IN_USE = _gauge("gpu_sessions_in_use", "GPU encoder sessions that are open.")
MEMORY = _gauge("media_memory_bytes", "What media children of this worker may take together.")
MEMORY_HELD = _gauge("media_memory_held_bytes", "What is set aside for the children that run.")
MEMORY_WAITING = _gauge("media_memory_waiting", "Chunks that wait for memory.")
MEMORY_WAIT = _histogram("media_memory_wait_seconds", "How long chunks waited for memory.", QUICK)
CHILD_SECONDS = _histogram("media_child_seconds", "How long media children lived.", SLOW, "task", "outcome")
CHILDREN = _gauge("media_children", "Media children that live now.", "task")
WEBHOOK_TRIES = _counter("webhook_tries", "Requests to endpoints of webhooks.", "outcome")

# ── what it stands on ───────────────────────────────────────────────────────────────────────────────────────────────
DEPENDENCY_UP = _gauge("dependency_up", "1 where a dependency of the API is well, else 0.", "dependency")
POLLERS = _gauge("queue_pollers", "Workers that asked Temporal for work on a queue a moment ago.", "queue")
POOL_SIZE = _gauge("db_pool_size", "Connections to PostgreSQL that this process may have.")
POOL_IN_USE = _gauge("db_pool_in_use", "Connections that a query or a transaction has.")
POOL_WAITING = _gauge("db_pool_waiting", "Queries that wait for a connection.")
POOL_WAIT = _histogram("db_pool_wait_seconds", "How long queries waited for a connection.", QUICK)
DISK_FREE = _gauge("disk_free_bytes", "Room on the disk of a folder of this process.", "folder")
DISK_SIZE = _gauge("disk_size_bytes", "Size of the disk of a folder of this process.", "folder")

# ── the API ─────────────────────────────────────────────────────────────────────────────────────────────────────────
REQUESTS = _counter("http_requests", "Requests that ended; a stream counts when its client goes.", "handler", "status")
REQUEST_SECONDS = _histogram("http_request_seconds", "How long requests took, streams left out.", QUICK, "handler")
UPLOAD_BYTES = _counter("upload_bytes", "Bytes of videos that came in.")
UPLOADS = _gauge("uploads", "Videos that come in now.")
STREAM_CLIENTS = _gauge("stream_clients", "Clients that follow events now.", "transport")
CLIENTS_DROPPED = _counter("stream_clients_dropped", "Clients that were cut off because they took too little.")
EVENTS_DELIVERED = _counter("events_delivered", "Frames handed to clients of streams.")
EVENT_LAG = _histogram(
    "event_lag_seconds", "From the time of an event to its delivery to who follows it.", QUICK, "source"
)
SINK_EVENTS = _counter("sink_events", "Events that a sink has taken.", "sink")
SINK_FAILURES = _counter(
    "sink_failures", "Times that a sink, or the database before it, could not; what was to go out waits.", "sink"
)
EVENTS_WRITTEN = _counter("events_written", "Events written to the log.")
EVENT_WRITE_SECONDS = _histogram("event_write_seconds", "How long transactions of the log took.", QUICK)

LOG_LINES_LOST = _counter("log_lines_lost", "Lines that could not be written to the log file.")


@contextmanager
def timed(histogram: Histogram) -> Iterator[None]:
    """Also where the block raises."""
    began = time.perf_counter()
    try:
        yield
    finally:
        histogram.observe(time.perf_counter() - began)


def watch_disk(folder: str, path: Path) -> None:
    """Looked at when somebody asks; NaN where the disk does not answer."""
    DISK_FREE.labels(folder).set_function(_or_nan(lambda: shutil.disk_usage(path).free))
    DISK_SIZE.labels(folder).set_function(_or_nan(lambda: shutil.disk_usage(path).total))


def _or_nan(ask: Callable[[], float]) -> Callable[[], float]:
    """One value that cannot be had must not take the whole page with it."""

    def answer() -> float:
        try:
            return ask()
        except OSError:
            return math.nan

    return answer


def page(accept: str) -> tuple[bytes, str]:
    """All metrics of this process and the content type, in the format that the `Accept` header asks for."""
    encode, content_type = choose_encoder(accept)
    return encode(REGISTRY), content_type
