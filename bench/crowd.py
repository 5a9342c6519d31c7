"""Many clients of an event stream in one process: plain sockets and one selector, so that they cost little themselves."""

import re
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass, field

CONNECTING_AT_ONCE = 250
ID = re.compile(rb"id: (\d+)")
SENT = re.compile(rb"sent (\d+)")
FRAME_END = re.compile(rb"\r\n\r\n|\n\n")


@dataclass(eq=False)
class Listener:
    """`ids` of the numbered frames it got, in order; `latencies` of those whose message tells when it was sent."""

    socket: socket.socket
    ids: list[int] = field(default_factory=list)
    latencies: list[float] = field(default_factory=list)
    frames: int = 0
    rest: bytes = b""

    def read(self) -> None:
        self.take(self.socket.recv(1 << 18))

    def take(self, data: bytes) -> None:
        now = time.time_ns()
        *blocks, self.rest = FRAME_END.split(self.rest + data)
        for block in blocks:
            if sent := SENT.search(block):
                self.frames += 1
                self.latencies.append((now - int(sent[1])) / 1e9)
                if number := ID.search(block):
                    self.ids.append(int(number[1]))


class Crowd:
    """`with Crowd(host, port, path, 1000) as crowd`: all connected, and answered."""

    def __init__(self, host: str, port: int, path: str, count: int, last_event_id: int | None = None) -> None:
        self._address = (host, port)
        cursor = "" if last_event_id is None else f"Last-Event-ID: {last_event_id}\r\n"
        head = f"GET {path} HTTP/1.1\r\nHost: {host}:{port}\r\nAccept: text/event-stream\r\n{cursor}\r\n"
        self._request = head.encode()
        self._count = count
        self._selector = selectors.DefaultSelector()
        self.listeners: list[Listener] = []

    def __enter__(self) -> "Crowd":
        while len(self.listeners) < self._count:
            some = [self._connect() for _ in range(min(CONNECTING_AT_ONCE, self._count - len(self.listeners)))]
            for listener in some:
                answer = listener.socket.recv(1 << 16)
                assert b" 200 OK" in answer, answer
                listener.take(answer.partition(b"\r\n\r\n")[2])
            self.listeners += some
        return self

    def __exit__(self, *_: object) -> None:
        for listener in self.listeners:
            listener.socket.close()
        self._selector.close()

    def read_until(self, done: Callable[[], bool], seconds: float) -> bool:
        """Read what comes until `done`, which is asked now and then; False when it took longer."""
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                return False
            for key, _ in self._selector.select(timeout=0.05):
                key.data.read()
        return True

    @property
    def frames(self) -> int:
        return sum(listener.frames for listener in self.listeners)

    @property
    def latencies(self) -> list[float]:
        return [each for listener in self.listeners for each in listener.latencies]

    def _connect(self) -> Listener:
        connection = socket.create_connection(self._address, timeout=30)
        connection.sendall(self._request)
        listener = Listener(connection)
        self._selector.register(connection, selectors.EVENT_READ, listener)
        return listener
