"""The port on which Prometheus asks a process for its metrics, and Kubernetes a worker how it is."""

import errno
import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType
from typing import TYPE_CHECKING
from wsgiref.simple_server import WSGIServer

from prometheus_client import make_wsgi_app, start_http_server

from streamforge.errors import InvalidSettings, PortInUse
from streamforge.observability.metrics import REGISTRY
from streamforge.own_names import is_loopback, name_in, stays_here

if TYPE_CHECKING:
    from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

Probe = Callable[[], bool]

NO_PROBES: Mapping[str, Probe] = MappingProxyType({})


@contextmanager
def exposed(host: str, port: int | None, probes: Mapping[str, Probe] = NO_PROBES) -> Iterator[str | None]:
    """Metrics at the URL, in a thread of their own: a process whose event loop stands still is the one to look at. Beside
    them each path of `probes` is answered with 200 or 503. Port 0 takes any free one; None: there is no such port, and no URL.

    Raises PortInUse, InvalidSettings.
    """
    if port is None:
        yield None
        return
    server, thread = _start(host, port)
    answers = _probed(make_wsgi_app(REGISTRY), probes)
    server.set_app(_to_own_names(answers) if is_loopback(host) else answers)
    try:
        yield f"http://{_bracketed(host)}:{server.server_port}/metrics"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _probed(metrics: "WSGIApplication", probes: Mapping[str, Probe]) -> "WSGIApplication":
    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        probe = probes.get(environ["PATH_INFO"])
        if probe is None:
            return metrics(environ, start_response)
        well = probe()
        start_response("200 OK" if well else "503 Service Unavailable", [("Content-Type", "text/plain")])
        return [b"yes\n" if well else b"no\n"]

    return answer


def _to_own_names(answers: "WSGIApplication") -> "WSGIApplication":
    """No page of a browser on this machine reads them by a name of its own that points here."""

    def answer(environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        host = environ.get("HTTP_HOST")
        if host is None or stays_here(name_in(host)):
            return answers(environ, start_response)
        start_response("421 Misdirected Request", [("Content-Type", "text/plain")])
        return [b"Ask for this machine by its address, or as localhost.\n"]

    return answer


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
