"""Free and busy TCP ports, asked before anything is started on them."""

import errno
import socket
from collections.abc import Mapping

from streamforge.errors import PortInUse

NOT_HERE = {errno.EADDRNOTAVAIL, socket.EAI_NONAME, socket.EAI_AGAIN, socket.EAI_FAIL}
"""No interface has the address, or nobody knows the name: the numbers of getaddrinfo(3) come as those of an OSError."""


def free_port(host: str = "127.0.0.1") -> int:
    """A port nobody listens on now. The kernel picks at random, so that two callers hardly ever get the same."""
    with socket.create_server((host, 0)) as probe:
        return int(probe.getsockname()[1])


def is_free(host: str, port: int) -> bool:
    try:
        claim(host, port, flag="")
    except PortInUse:
        return False
    return True


def refuse_equal(chosen: Mapping[str, int]) -> None:
    """By command line flag; 0, any free one, is never another's. Raises PortInUse, naming two flags."""
    flags: dict[int, str] = {}
    for flag, port in chosen.items():
        if port and flags.setdefault(port, flag) != flag:
            raise PortInUse(
                f"{flags[port]} and {flag} are both {port}; choose another for one of them, or 0 for any free."
            )


def claim(host: str, port: int, *, flag: str) -> int:
    """`port` if it can be listened on, a free one for 0.

    Raises PortInUse, naming the command line flag that changes it.
    """
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.create_server((host, port), family=family) as probe:
            return int(probe.getsockname()[1])
    except OSError as error:
        if error.errno in NOT_HERE:
            raise PortInUse(
                f"This machine has no address {host} to listen on; choose 127.0.0.1, 0.0.0.0 for all, or another that "
                "`ip address` shows, with --host."
            ) from error
        why = "is in use by another program" if error.errno == errno.EADDRINUSE else f"cannot be used: {error.strerror}"
        raise PortInUse(
            f"Port {port} on {host} {why}; choose another with {flag} N, or {flag} 0 for any free one."
        ) from error


class Port:
    """One that a part listens on: the one that was asked for, or with 0 any free one. Between the choice and the part that
    binds it another program may be quicker."""

    def __init__(self, host: str, asked: int, *, flag: str | None = None) -> None:
        """Without a flag to name, one that was asked for is taken on trust. Raises PortInUse."""
        self.host = host
        self.number = asked if asked and flag is None else claim(host, asked, flag=flag or "")
        self._any = asked == 0

    def choose_again(self, *, even_if_free: bool) -> bool:
        """Whether it is another one now; one that was asked for stays."""
        if not self._any or (not even_if_free and is_free(self.host, self.number)):
            return False
        self.number = claim(self.host, 0, flag="")
        return True
