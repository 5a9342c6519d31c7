"""An HTTP client for addresses that strangers name: each connection goes to an address that was looked at."""

import asyncio
from collections.abc import Iterable

import httpcore
import httpx

from streamforge import __version__
from streamforge.outbound.addresses import Outbound

SocketOption = httpcore.SOCKET_OPTION


def client(outbound: Outbound, timeout: httpx.Timeout, limits: httpx.Limits | None = None) -> httpx.AsyncClient:
    """It follows no redirects: where one leads has to be asked for anew, and is looked at then. A proxy of the environment is
    not used: it would connect to what it likes.

    Its requests raise AddressRefused, and what httpx raises.
    """
    return httpx.AsyncClient(
        transport=_Guarded(outbound, limits or httpx.Limits(max_keepalive_connections=0)),
        timeout=timeout,
        follow_redirects=False,
        trust_env=False,
        headers={"User-Agent": f"streamforge/{__version__}"},
    )


class _Guarded(httpx.AsyncHTTPTransport):
    def __init__(self, outbound: Outbound, limits: httpx.Limits) -> None:
        # Certificates of the environment (SSL_CERT_FILE) are an operator's word; they open no address.
        super().__init__(limits=limits)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=httpx.create_ssl_context(),
            max_connections=limits.max_connections,
            max_keepalive_connections=limits.max_keepalive_connections,
            keepalive_expiry=limits.keepalive_expiry,
            network_backend=_PinnedBackend(outbound),
        )


class _PinnedBackend(httpcore.AsyncNetworkBackend):
    """Connects to what it has resolved and looked at itself. TLS is still held to the name: httpcore asks for it after."""

    def __init__(self, outbound: Outbound) -> None:
        self._outbound = outbound
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[SocketOption] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        failure: Exception = httpcore.ConnectError(f"{host} has no address.")
        for address in await self._addresses(host, port, timeout):
            try:
                return await self._network.connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)

    async def _addresses(self, host: str, port: int, timeout: float | None) -> list[str]:
        try:
            async with asyncio.timeout(timeout):
                return await self._outbound.addresses(host, port)
        except (OSError, UnicodeError) as error:  # Of a resolver that says nothing, TimeoutError, too.
            raise httpcore.ConnectError(f"{host} cannot be resolved: {error}") from error
