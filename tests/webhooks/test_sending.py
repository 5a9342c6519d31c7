"""One request to a receiver that does what it likes."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from ipaddress import ip_network
from pathlib import Path
from uuid import uuid4

import httpx
import pytest
from certificates import certify, of_server
from outbound_servers import Answer as Said
from outbound_servers import Received, answering, never, receiving

from streamforge.contracts.webhooks import OwedDelivery
from streamforge.keys import Keys
from streamforge.outbound.addresses import Outbound, resolve
from streamforge.outbound.http import client
from streamforge.settings import Settings
from streamforge.webhooks.sending import Answer, send

LOCAL = [ip_network("127.0.0.0/8")]
PLENTY = 60.0
Send = Callable[..., Awaitable[Answer]]


@pytest.fixture
def sending(tmp_path: Path) -> Send:
    """Sends a test to an address."""
    keys = Keys(Settings(data_dir=tmp_path))

    async def to(url: str, outbound: Outbound | None = None, seconds: float = PLENTY) -> Answer:
        delivery = OwedDelivery(
            id=uuid4(), owner="alice", endpoint_id=uuid4(), url=url, enabled=True, format="standard", job_id=None,
            type="webhook.test", event=None, tries=0, created_at=datetime.now(UTC), version=1, previous_until=None,
            fingerprint=None,
        )  # fmt: skip
        async with client(outbound or Outbound(LOCAL), httpx.Timeout(seconds)) as http:
            return await send(http, delivery, keys, seconds)

    return to


async def test_one_that_hangs_is_left(sending: Send) -> None:
    async with receiving(never) as receiver:
        answer = await sending(receiver.url, seconds=0.5)
    assert (answer.is_taken, answer.attempt.status_code) == (False, None)
    assert answer.attempt.failure == "No answer came within 0.5 seconds."


async def test_one_that_says_a_letter_now_and_then_is_left_as_well(sending: Send) -> None:
    """A limit that begins anew with each byte would never end."""

    async def drip(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with_patience = (b"HTTP/1.1 200 OK\r\n", *[b"X-Slow: y\r\n"] * 1000)
        try:
            for line in with_patience:
                writer.write(line)
                await writer.drain()
                await asyncio.sleep(0.1)
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(drip, "127.0.0.1", 0)
    async with server:
        answer = await sending(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/", seconds=1)
    assert answer.attempt.failure == "No answer came within 1 seconds."


async def test_what_it_answers_besides_its_status_is_not_read(sending: Send) -> None:
    """It could be without end."""
    sent = 0

    async def pour(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        try:
            while True:
                writer.write(bytes(65536))
                await writer.drain()
                sent += 65536
        except ConnectionError:
            pass
        finally:
            writer.close()

    server = await asyncio.start_server(pour, "127.0.0.1", 0)
    async with server:
        answer = await sending(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/")
    assert answer.is_taken
    assert sent < 64 * 2**20


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_is_not_followed(sending: Send, status: int) -> None:
    async with answering() as elsewhere, answering(status, {"Location": elsewhere.url}) as receiver:
        answer = await sending(receiver.url)
        assert elsewhere.requests == []
    assert answer.attempt.status_code == status
    assert answer.attempt.failure == "It was redirected, which is not followed."


async def test_nor_is_one_to_the_metadata_of_a_cloud(sending: Send) -> None:
    async with answering(302, {"Location": "http://169.254.169.254/latest/meta-data/"}) as receiver:
        answer = await sending(receiver.url)
    assert (answer.is_taken, answer.attempt.status_code) == (False, 302)


async def test_a_name_that_leads_inside_later_is_not_asked(sending: Send) -> None:
    """It was a public address when the webhook was made."""
    answers = iter([["1.1.1.1"], ["127.0.0.1"]])

    async def rebound(host: str, port: int) -> list[str]:
        return next(answers)

    outbound = Outbound(resolver=rebound)
    async with answering() as inside:
        url = f"http://hooks.example:{inside.port}/"
        await outbound.require_allowed(url)
        answer = await sending(url, outbound)
        assert inside.requests == []
    assert "outbound.allowed_networks" in str(answer.attempt.failure)


async def test_one_that_is_not_there_is_a_failure_like_others(sending: Send) -> None:
    async with answering() as receiver:
        url = receiver.url
    for address in (url, "http://no-such-host.invalid/", "http://127.0.0.1:1/"):
        answer = await sending(address)
        assert answer.attempt.status_code is None
        assert str(answer.attempt.failure).startswith("It cannot be reached: ")


async def test_a_certificate_is_held_to_the_name_and_not_to_the_address(
    sending: Send, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The connection goes to an address that was looked at; who is there still has to be who was asked for."""
    certify(tmp_path, "hooks.example")

    async def here(host: str, port: int) -> list[str]:
        return ["127.0.0.1"]

    async with answering(tls=of_server(tmp_path, "hooks.example")) as receiver:
        url = f"https://hooks.example:{receiver.port}/"
        assert "certificate verify failed" in str((await sending(url, Outbound(LOCAL, here))).attempt.failure)
        monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "hooks.example.pem"))
        other = await sending(url.replace("hooks.", "other."), Outbound(LOCAL, here))
        assert "other.example" in str(other.attempt.failure)
        assert receiver.requests == []
        assert (await sending(url, Outbound(LOCAL, here))).is_taken


IN_AN_HOUR = format_datetime(datetime.now(UTC) + timedelta(hours=1), usegmt=True)


@pytest.mark.parametrize(
    ("said", "seconds"),
    [
        ("120", 120),
        ("0", 0),
        ("99999999999999999999", 86_400),
        pytest.param(IN_AN_HOUR, 3600, id="in an hour"),
        ("Sun, 06 Nov 1994 08:49:37 GMT", 0),
        ("soon", None),
        ("-5", None),
        ("", None),
    ],
)
async def test_how_long_it_asks_us_to_wait(sending: Send, said: str, seconds: float | None) -> None:
    async with answering(503, {"Retry-After": said}) as receiver:
        answer = await sending(receiver.url)
    assert answer.wait_seconds == (None if seconds is None else pytest.approx(seconds, abs=600))


async def test_how_long_it_took_is_told(sending: Send) -> None:
    async def slowly(_: Received) -> Said:
        await asyncio.sleep(0.2)
        return 200, {}

    began = time.monotonic()
    async with receiving(slowly) as receiver:
        answer = await sending(receiver.url)
    assert 200 <= answer.attempt.milliseconds <= 1000 * (time.monotonic() - began) + 1


async def test_the_resolver_of_the_system_is_asked() -> None:
    assert await resolve("127.0.0.1", 80) == ["127.0.0.1"]
