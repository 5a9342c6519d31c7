"""Names in `Host` that can only mean the machine on which they are said. The owner of any other name can have it point here: to
the browser, a page of that name then is our own, and reads what it asks for (DNS rebinding). Everything of ours that listens
on loopback and speaks HTTP refuses other names, whether or not callers have to say who they are."""

import re
from ipaddress import ip_address

_AUTHORITY = re.compile(r"(\[(?P<address>[^\]]+)\]|(?P<name>[^:\[\]]+))(:\d*)?")


def name_in(authority: str) -> str:
    """Without its port, brackets and last dot; "" where that is no name."""
    match = _AUTHORITY.fullmatch(authority)
    return (match["address"] or match["name"]).lower().removesuffix(".") if match else ""


def stays_here(name: str) -> bool:
    """An address cannot be pointed elsewhere, and RFC 6761 has browsers look up no `localhost`."""
    return is_address(name) or name == "localhost" or name.endswith(".localhost")


def is_loopback(host: str) -> bool:
    return host == "localhost" or (is_address(host) and ip_address(host).is_loopback)


def is_address(name: str) -> bool:
    try:
        ip_address(name)
    except ValueError:
        return False
    return True
