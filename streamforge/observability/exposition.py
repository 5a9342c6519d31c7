"""The port on which Prometheus asks a process for its metrics."""

import errno
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from wsgiref.simple_server import WSGIServer

from prometheus_client import start_http_server

from streamforge.errors import InvalidSettings, PortInUse
from streamforge.observability.metrics import REGISTRY


@contextmanager
def exposed(host: str, port: int | None) -> Iterator[str | None]:
    """Metrics at the URL, in a thread of their own: a process whose event loop stands still is the one to look at. Port 0
    takes any free one; None: there is no such port, and no URL.

    Raises PortInUse, InvalidSettings.
    """
    if port is None:
        yield None
        return
    server, thread = _start(host, port)
    try:
        yield f"http://{_bracketed(host)}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _start(host: str, port: int) -> tuple[WSGIServer, threading.Thread]:
    try:
        return start_http_server(port, addr=host, registry=REGISTRY)
    except socket.gaierror as error:
        raise InvalidSettings(f"Settings are not valid: metrics.host {host!r} is no address.") from error
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            raise PortInUse(
                f"Port {port} on {host}, for metrics, is in use by another program; choose another one in metrics.port "
                "or metrics.worker_port."
            ) from error
        raise InvalidSettings(f"Cannot show metrics on {host}, port {port}: {error.strerror}.") from error


def _bracketed(host: str) -> str:
    return f"[{host}]" if ":" in host else host
