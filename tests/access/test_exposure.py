"""Where the API may listen when nobody has to say who they are."""

from pathlib import Path

import httpx
import pytest

from streamforge.access.exposure import require_callers_at, require_callers_beyond_loopback
from streamforge.api.http.server import running
from streamforge.errors import InvalidSettings
from streamforge.settings import AuthSettings, ServerSettings, Settings

REFUSAL = r"^Others can reach .*, and anybody there could do anything: set auth\.required to true .*127\.0\.0\.1\)\.$"

OURS = ["127.0.0.1", "127.1.2.3", "::1", "::ffff:127.0.0.1", "localhost"]
OTHERS = ["0.0.0.0", "::", "192.0.2.1", "::ffff:192.0.2.1", "2001:db8::1"]


def listening_on(host: str, *, required: bool = False, **settings: object) -> Settings:
    server = ServerSettings(host=host, port=0)
    return Settings(server=server, auth=AuthSettings(required=required), **settings)  # type: ignore[arg-type]


@pytest.mark.parametrize("host", OURS)
def test_loopback_is_ours(host: str) -> None:
    require_callers_beyond_loopback(listening_on(host))


@pytest.mark.parametrize("host", OTHERS)
def test_elsewhere_callers_have_to_say_who_they_are(host: str) -> None:
    with pytest.raises(InvalidSettings, match=REFUSAL):
        require_callers_beyond_loopback(listening_on(host))
    require_callers_beyond_loopback(listening_on(host, required=True))


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "fe80::1%eth0"])
def test_what_a_socket_is_bound_to_counts(address: str) -> None:
    """A name may mean another address by then."""
    with pytest.raises(InvalidSettings, match=REFUSAL):
        require_callers_at(listening_on("localhost"), address)


async def test_the_api_does_not_start_there(settings: Settings) -> None:
    open_door = settings.model_copy(
        update={"server": ServerSettings(host="0.0.0.0", port=0), "auth": AuthSettings(required=False)}
    )
    with pytest.raises(InvalidSettings, match=REFUSAL):
        async with running(open_door):
            pass


async def test_it_does_where_callers_say_who_they_are(settings: Settings) -> None:
    elsewhere = settings.model_copy(update={"server": ServerSettings(host="0.0.0.0", port=0)})
    async with running(elsewhere) as url, httpx.AsyncClient() as http:
        assert (await http.get(f"http://127.0.0.1:{httpx.URL(url).port}/jobs")).status_code == 401


def test_where_others_share_the_database_they_share_the_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared = {"database": {"dsn": "postgresql://db/streamforge"}}
    with pytest.raises(ValueError, match=r"auth\.secret \(or auth\.secret_file\) must be set"):
        Settings(auth={"required": True}, **shared)  # type: ignore[arg-type]
    Settings(auth={"required": True, "secret_file": tmp_path / "secret"}, **shared)  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="both set"):
        AuthSettings(secret="x" * 32, secret_file=tmp_path / "secret")  # type: ignore[arg-type]
