"""Where strangers may have us connect to: anywhere in public, and where an operator says."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from ipaddress import ip_address, ip_network

import httpx
import pytest
from outbound_servers import answering

from streamforge.errors import AddressRefused
from streamforge.outbound.addresses import Outbound
from streamforge.outbound.http import client

LOCAL = [ip_network("127.0.0.0/8")]


def resolving(*answers: list[str]) -> Callable[[str, int], Awaitable[list[str]]]:
    """A resolver that says something else each time, as that of somebody who attacks."""
    left = list(answers)

    async def resolve(host: str, port: int) -> list[str]:
        return left.pop(0)

    return resolve


@asynccontextmanager
async def asking(outbound: Outbound) -> AsyncIterator[httpx.AsyncClient]:
    async with client(outbound, httpx.Timeout(20)) as http:
        yield http


@pytest.mark.parametrize(
    "address",
    [
        "0.0.0.0",
        "10.1.2.3",
        "100.64.0.1",
        "127.0.0.1",
        "127.8.8.8",
        "169.254.169.254",
        "172.16.0.1",
        "192.168.1.1",
        "192.0.0.8",
        "198.18.0.1",
        "224.0.0.1",
        "239.1.1.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",
        "2001:0:5ef5:79fb:0:0:f5ff:fffe",
        "fc00::1",
        "fd00:ec2::254",
        "fe80::1",
        "fe80::1%eth0",
        "fec0::1",
        "ff02::1",
        "ff0e::1",
        "2001:db8::1",
    ],
)
def test_what_is_private_local_or_reserved_is_refused_in_every_spelling(address: str) -> None:
    assert not Outbound().allows(ip_address(address))


@pytest.mark.parametrize("address", ["1.1.1.1", "8.8.8.8", "2606:4700:4700::1111", "64:ff9b::808:808"])
def test_public_addresses_are_allowed(address: str) -> None:
    assert Outbound().allows(ip_address(address))


def test_a_network_that_an_operator_names_is_allowed_and_no_other() -> None:
    outbound = Outbound([ip_network("10.1.0.0/16"), ip_network("fd00:1::/32")])
    assert all(outbound.allows(ip_address(each)) for each in ("10.1.2.3", "fd00:1::5", "::ffff:10.1.2.3", "1.1.1.1"))
    assert not any(outbound.allows(ip_address(each)) for each in ("10.2.0.1", "fd00:2::5", "::ffff:10.2.0.1"))


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "[::1]", "localhost", "2130706433", "0x7f.1", "0177.1", "127.1", "[::ffff:127.0.0.1]"]
)
async def test_no_spelling_of_this_machine_reaches_it(host: str) -> None:
    async with answering() as server, asking(Outbound()) as http:
        with pytest.raises(AddressRefused, match=r"outbound\.allowed_networks"):
            await http.get(f"http://{host}:{server.port}/")
        assert server.requests == []


async def test_a_name_with_one_address_that_is_refused_is_refused() -> None:
    outbound = Outbound(resolver=resolving(["1.1.1.1", "169.254.169.254"]))
    with pytest.raises(AddressRefused):
        await outbound.addresses("both.example", 80)


async def test_the_connection_goes_to_the_address_that_was_looked_at() -> None:
    """A name that resolves elsewhere the second time is asked once: there is no moment between looking and connecting."""
    outbound = Outbound(LOCAL, resolver=resolving(["127.0.0.1"], ["169.254.169.254"]))
    async with answering() as server, asking(outbound) as http:
        answer = await http.get(f"http://hooks.example:{server.port}/first")
        assert answer.status_code == 200
        assert server.requests[0].headers["host"] == f"hooks.example:{server.port}"
        with pytest.raises(AddressRefused):
            await http.get(f"http://hooks.example:{server.port}/second")
        assert [request.path for request in server.requests] == ["/first"]


async def test_the_next_address_is_tried_where_nobody_listens_on_the_first() -> None:
    async with answering() as server, asking(Outbound(LOCAL, resolving(["127.0.0.77", "127.0.0.1"]))) as http:
        assert (await http.get(f"http://hooks.example:{server.port}/")).status_code == 200


async def test_redirects_are_told_not_followed() -> None:
    async with (
        answering(302, {"Location": "http://169.254.169.254/latest/meta-data/"}) as server,
        asking(Outbound(LOCAL)) as http,
    ):
        answer = await http.get(f"http://127.0.0.1:{server.port}/")
        assert (answer.status_code, len(server.requests)) == (302, 1)


async def test_a_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """It would connect to whatever it is asked for."""
    async with answering() as proxy, answering() as server:
        monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{proxy.port}")
        async with asking(Outbound(LOCAL)) as http:
            await http.get(f"http://127.0.0.1:{server.port}/")
        assert (len(proxy.requests), len(server.requests)) == (0, 1)


async def test_a_name_that_nobody_knows_cannot_be_connected_to() -> None:
    async with asking(Outbound()) as http:
        with pytest.raises(httpx.ConnectError, match="cannot be resolved"):
            await http.get("http://no-such-host.invalid/")


@pytest.mark.parametrize("url", ["ftp://example.org/", "file:///etc/passwd", "gopher://1.1.1.1/", "http:///path", "x"])
async def test_only_http_is_spoken(url: str) -> None:
    with pytest.raises(AddressRefused, match="http"):
        await Outbound().require_allowed(url)


async def test_what_would_be_refused_later_is_told_at_once() -> None:
    with pytest.raises(AddressRefused):
        await Outbound().require_allowed("http://169.254.169.254/latest/")
    await Outbound().require_allowed("https://1.1.1.1/hook")
    await Outbound().require_allowed("https://not-there-yet.invalid/hook")
