"""Which addresses a stranger may have us connect to.

Whoever names an address makes us ask from within our own network: for the metadata of a cloud (169.254.169.254), a database,
the router (server-side request forgery, CWE-918). So a name is resolved once, every address it has is looked at, and the
connection goes to one of those: a name that resolves elsewhere a moment later (DNS rebinding) is not asked again.
"""

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address
from urllib.parse import urlsplit

from streamforge.errors import AddressRefused

Address = IPv4Address | IPv6Address
Network = IPv4Network | IPv6Network
Resolve = Callable[[str, int], Awaitable[Sequence[str]]]
"""All addresses of a host, as text. Raises OSError when there are none."""

PATIENCE_SECONDS = 5.0
"""With a resolver that says nothing, where somebody waits for an answer of ours."""

SCHEMES = frozenset({"http", "https"})
_NAT64 = IPv6Network("64:ff9b::/96")
"""RFC 6052: an IPv4 address as networks without IPv4 reach it, in the last four bytes."""
_NOT_PUBLIC_EITHER = (IPv4Network("192.0.0.0/24"), IPv4Network("192.88.99.0/24"), IPv6Network("64:ff9b:1::/48"))
"""Of the special registries of IANA; Python knows them since 3.11.9 only, or not at all."""


async def resolve(host: str, port: int) -> list[str]:
    """What the system's resolver says, which also knows 2130706433, 0x7f.1 and other spellings of 127.0.0.1."""
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(each[4][0]) for each in found))


class Outbound:
    """Where strangers may have us connect to: anywhere in public, and into `allowed` networks."""

    def __init__(self, allowed: Sequence[Network] = (), resolver: Resolve = resolve) -> None:
        self._allowed = tuple(allowed)
        self._resolve = resolver

    async def addresses(self, host: str, port: int) -> list[str]:
        """All that this host has, in the order to be tried. Raises AddressRefused, also when only one of them is refused,
        and OSError when it has none."""
        found = await self._resolve(host, port)
        if not all(self.allows(ip_address(each)) for each in found):
            raise AddressRefused(
                f"{host} is in a network that this service does not connect to; an operator can name it in "
                "outbound.allowed_networks.",
                debug=f"{host} resolves to {', '.join(found)}",
            )
        return list(found)

    async def require_allowed(self, url: str) -> None:
        """Told at once of what would be refused later. A name that nobody knows yet is no reason: it may come.

        Raises AddressRefused.
        """
        parts = urlsplit(url)
        if parts.scheme not in SCHEMES or not parts.hostname:
            raise AddressRefused("Only addresses that begin with http:// or https:// are connected to.")
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                await self.addresses(parts.hostname, parts.port or 0)
        except (OSError, UnicodeError):  # TimeoutError, too.
            return

    def allows(self, address: Address) -> bool:
        plain = _within(address)
        return any(each in network for each in {address, plain} for network in self._allowed) or _is_public(plain)


def _within(address: Address) -> Address:
    """The IPv4 address that one of IPv6 stands for: what reaches that must be held to its rules."""
    if isinstance(address, IPv4Address):
        return address
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    teredo = address.teredo
    return address.ipv4_mapped or address.sixtofour or (teredo[1] if teredo else None) or address


def _is_public(address: Address) -> bool:
    """`is_global` alone takes multicast, ::127.0.0.1 and fec0:: for public."""
    is_local = isinstance(address, IPv6Address) and (address.is_site_local or address.scope_id is not None)
    is_special = any(address in network for network in _NOT_PUBLIC_EITHER)
    return address.is_global and not (address.is_multicast or address.is_reserved or is_local or is_special)
