"""Where the API may be reached when nobody has to say who they are: on this machine, and nowhere else."""

import socket
from ipaddress import IPv6Address, ip_address

from streamforge.errors import InvalidSettings
from streamforge.settings import Settings


def require_callers_beyond_loopback(settings: Settings) -> None:
    """Before anything is started. What cannot be resolved is refused where it is bound. Raises InvalidSettings."""
    host = settings.server.host
    try:
        # "localhost" is what this machine says it is.
        found = socket.getaddrinfo(host, settings.server.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    except OSError:
        return
    for _, _, _, _, address in found:
        require_callers_at(settings, str(address[0]))


def require_callers_at(settings: Settings, address: str) -> None:
    """For the address that a socket is bound to. Raises InvalidSettings."""
    if not settings.auth.required and not is_loopback(address):
        raise InvalidSettings(
            f"Others can reach {address}, and anybody there could do anything: set auth.required to true "
            "(STREAMFORGE_AUTH__REQUIRED=true), or listen on loopback (--host 127.0.0.1)."
        )


def is_loopback(address: str) -> bool:
    ip = ip_address(address)
    # Of IPv4 dressed as IPv6 Python says so only since 3.13.
    return ((ip.ipv4_mapped or ip) if isinstance(ip, IPv6Address) else ip).is_loopback
