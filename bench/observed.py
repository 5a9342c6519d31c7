"""What it costs to be looked at: small jobs with metrics that are scraped every second, traces and log files, beside the same
without any of it. In turns, so that what else the machine does falls on both."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from statistics import median

import httpx

from bench import clips, report
from bench.system import process, running
from streamforge.embedded.ports import free_port

RUNS = 20
BAR_RATIO = 1.05
HOST = "127.0.0.1"


def main() -> None:
    report.machine()
    clip = clips.small()
    ports = free_port(HOST), free_port(HOST)
    with receiver() as endpoint:
        looked_at = {
            "METRICS__PORT": str(ports[0]),
            "METRICS__WORKER_PORT": str(ports[1]),
            "TRACING__ENDPOINT": endpoint,
        }
        with (
            running(settings={"LOG__FILE_COUNT": "0"}) as plain,
            running(settings=looked_at) as observed,
            scraping(ports),
        ):
            seconds: dict[str, list[float]] = {plain.url: [], observed.url: []}
            for number in range(RUNS + 1):
                for url, measured in seconds.items():
                    run = asyncio.run(process(url, clip))
                    if number:  # The first warms up.
                        measured.append(run.seconds)
            report.spread("POST → done, without", seconds[plain.url])
            report.spread("POST → done, with metrics, traces and log files", seconds[observed.url])
            ratio = median(seconds[observed.url]) / median(seconds[plain.url])
            report.number("with ÷ without", ratio, bar=BAR_RATIO)
            scrapes = [httpx.get(f"http://{HOST}:{port}/metrics") for port in ports for _ in range(20)]
            report.spread("one scrape", [scrape.elapsed.total_seconds() * 1000 for scrape in scrapes], "ms")
            report.number("… of the worker", len(scrapes[-1].content) / 1024, "KiB")


@contextmanager
def scraping(ports: tuple[int, ...]) -> Iterator[None]:
    over = threading.Event()

    def scrape() -> None:
        while not over.wait(1):
            for port in ports:
                httpx.get(f"http://{HOST}:{port}/metrics").raise_for_status()

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


@contextmanager
def receiver() -> Iterator[str]:
    """Of traces; takes everything."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer((HOST, 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://{HOST}:{server.server_address[1]}"
        server.shutdown()


if __name__ == "__main__":
    main()
