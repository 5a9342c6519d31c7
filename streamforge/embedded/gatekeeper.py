"""Temporal's development server knows no authentication, and on loopback everybody on the machine reaches it. So it runs in
a network of its own, which only this program leads into: `python -m streamforge.embedded.gatekeeper PORT… -- COMMAND…`.

The gatekeeper listens on this machine's loopback, leaves for a new network namespace, and starts the server in there. Of
each connection the kernel tells by whose process it was opened (sock_diag(7)), and only those of the same user and of root
are led in. That needs no certificates, no password and no word of the client: Temporal's own command line and a browser work
as ever, for their own user.

A browser does what any page says that it shows. Temporal's own page answers to every name, so what asks over HTTP/1 has to
name this machine in `Host` (`streamforge.own_names`); gRPC is nothing that a browser speaks.

A port has the same number outside and inside. It imports next to nothing, to be started quickly.
"""

import asyncio
import errno
import os
import signal
import socket
import struct
import subprocess
import sys
from collections.abc import Sequence
from contextlib import suppress

from streamforge.kernel import namespaces
from streamforge.kernel.syscalls import die_with_parent
from streamforge.own_names import name_in, stays_here

HOST = "127.0.0.1"
BACKLOG = 128
PIECE_BYTES = 2**18
ROOT = 0
END_OF_HEAD = b"\r\n\r\n"
"""Of HTTP/1, and in what every HTTP/2 connection begins with (RFC 9113, 3.4)."""
SENTENCE = b"This is for this machine alone: ask for it as 127.0.0.1 or localhost.\n"
MISDIRECTED = (
    b"HTTP/1.1 421 Misdirected Request\r\nContent-Type: text/plain\r\nConnection: close\r\n"
    b"Content-Length: %d\r\n\r\n%s" % (len(SENTENCE), SENTENCE)
)

PORT_TAKEN, NO_NETWORK = 3, 4
"""Exit codes. Behind the latter nothing has been started."""

NETLINK_SOCK_DIAG, SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST = 4, 20, 1
TCP_ESTABLISHED = 1
HEADER = struct.Struct("=IHHII")
REQUEST = struct.Struct("=BBBBI")
SOCKET_ID = struct.Struct(">HH4s12x4s12xIII")
"""Of struct inet_diag_sockid; ports and addresses in the order of the network, the rest is zero here or all ones."""
ANSWER_BEGINS, ANSWER_ENDS = struct.Struct("=BBBB"), struct.Struct("=IIIII")
"""Of struct inet_diag_msg: family and state; and, behind the id of the socket, expires, rqueue, wqueue, uid, inode."""
ANY_COOKIE = 0xFFFFFFFF


class Registry:
    """Whose a connection is, by the kernel of the network in which this is made."""

    def __init__(self) -> None:
        self._kernel = socket.socket(socket.AF_NETLINK, socket.SOCK_DGRAM, NETLINK_SOCK_DIAG)
        self._kernel.connect((0, 0))

    def close(self) -> None:
        self._kernel.close()

    def owner(self, near: tuple[str, int], far: tuple[str, int]) -> int | None:
        """Of the socket at `near` that is connected to `far`. None where there is none any more: what is closed has no owner,
        and whatever it left behind is nobody's word."""
        self._kernel.send(_question(near, far))
        answer = self._kernel.recv(8192)
        (_, kind, _, _, _), body = HEADER.unpack_from(answer), answer[HEADER.size :]
        if kind != SOCK_DIAG_BY_FAMILY:
            return None
        _, state, _, _ = ANSWER_BEGINS.unpack_from(body)
        _, _, _, owner, inode = ANSWER_ENDS.unpack_from(body, ANSWER_BEGINS.size + SOCKET_ID.size)
        return int(owner) if state == TCP_ESTABLISHED and inode else None


def _question(near: tuple[str, int], far: tuple[str, int]) -> bytes:
    which = SOCKET_ID.pack(
        near[1], far[1], socket.inet_aton(near[0]), socket.inet_aton(far[0]), 0, ANY_COOKIE, ANY_COOKIE
    )
    body = REQUEST.pack(socket.AF_INET, socket.IPPROTO_TCP, 0, 0, 0xFFFFFFFF) + which
    return HEADER.pack(HEADER.size + len(body), SOCK_DIAG_BY_FAMILY, NLM_F_REQUEST, 0, 0) + body


class Door:
    """A port outside that leads to the same one inside."""

    def __init__(self, listening: socket.socket, registry: Registry, admitted: frozenset[int]) -> None:
        self._listening = listening
        self._inside = int(listening.getsockname()[1])
        self._registry = registry
        self._admitted = admitted

    async def serve(self) -> None:
        server = await asyncio.start_server(self._receive, sock=self._listening, limit=PIECE_BYTES)
        async with server:
            await server.serve_forever()

    async def _receive(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        near, far = writer.get_extra_info("peername"), writer.get_extra_info("sockname")
        if self._registry.owner(near, far) not in self._admitted:
            writer.transport.abort()
            return
        # A browser never asks by two names on one connection.
        head = await _head(reader)
        if head is None or not _names_us(head):
            writer.write(MISDIRECTED if head else b"")
            writer.close()
            return
        try:
            inner_reader, inner_writer = await asyncio.open_connection(HOST, self._inside, limit=PIECE_BYTES)
        except OSError:
            writer.transport.abort()  # It is still starting, or has ended.
            return
        inner_writer.write(head)
        try:
            await asyncio.gather(_carry(reader, inner_writer), _carry(inner_reader, writer))
        finally:
            writer.close()
            inner_writer.close()


async def _head(reader: asyncio.StreamReader) -> bytes | None:
    """None of what has no end, or is no HTTP."""
    try:
        return await reader.readuntil(END_OF_HEAD)
    except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, ConnectionError):
        return None


def _names_us(head: bytes) -> bool:
    """What has no `Host` comes from no browser."""
    fields = (line.partition(b":") for line in head.splitlines()[1:])
    hosts = (value for name, _, value in fields if name.strip().lower() == b"host")
    return all(stays_here(name_in(host.strip().decode("latin-1"))) for host in hosts)


async def _carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """To the end of what one side says; then the other side is told so."""
    with suppress(ConnectionError):
        while piece := await reader.read(PIECE_BYTES):
            writer.write(piece)
            await writer.drain()
    with suppress(OSError, RuntimeError):
        writer.write_eof()


def main(arguments: Sequence[str]) -> int:
    die_with_parent(signal.SIGTERM)
    cut = arguments.index("--")
    try:
        listening = [_listening(int(port)) for port in arguments[:cut]]
    except OSError as error:
        return _ended(PORT_TAKEN, error)
    admitted = frozenset({ROOT, os.geteuid()})
    try:
        registry = Registry()  # Of this network, in which the callers are, not of the one behind the next line.
        _refuse_unless_known(registry)
        namespaces.leave(namespaces.CLONE_NEWNET)
        namespaces.bring_up_loopback()
    except OSError as error:
        return _ended(NO_NETWORK, error)
    return asyncio.run(_keep([Door(door, registry, admitted) for door in listening], arguments[cut + 1 :]))


def _listening(port: int) -> socket.socket:
    """Connections inherit TCP_NODELAY (tcp(7)). asyncio sets it only on sockets that were made with IPPROTO_TCP, which these
    are not: each small answer of Temporal would wait 40 ms for the client's delayed acknowledgement."""
    listening = socket.create_server((HOST, port), backlog=BACKLOG)
    listening.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listening


def _ended(code: int, error: OSError) -> int:
    print(f"gatekeeper: {error}", flush=True)
    return code


def _refuse_unless_known(registry: Registry) -> None:
    """Raises OSError where the kernel does not tell whose a connection is: nobody would be led in."""
    with socket.create_server((HOST, 0)) as server, socket.create_connection(server.getsockname()) as mine:
        if registry.owner(mine.getsockname(), mine.getpeername()) != os.geteuid():
            raise OSError(errno.ENOSYS, "the kernel does not tell whose a connection is")


async def _keep(doors: Sequence[Door], command: Sequence[str]) -> int:
    """Until the server ends; it ends with us, however we end."""
    server = await asyncio.create_subprocess_exec(
        *command, stdin=subprocess.DEVNULL, preexec_fn=lambda: die_with_parent(signal.SIGKILL)
    )
    # A kill -9 of it loses nothing: every change is in its file before anybody hears of it.
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _stop, server)
    serving = [asyncio.create_task(door.serve()) for door in doors]
    try:
        return await server.wait()
    finally:
        for task in serving:
            task.cancel()


def _stop(server: asyncio.subprocess.Process) -> None:
    with suppress(ProcessLookupError):
        server.terminate()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
