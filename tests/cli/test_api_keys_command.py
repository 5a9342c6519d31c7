"""`streamforge api-keys`, and an `up` that others can reach."""

import asyncio
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from commandline import Up, clean_up, fresh_streamforge, start, streamforge
from serving import AUTHORITIES
from test_up import wait_for

from streamforge.doctor import Level, _callers_there
from streamforge.settings import Settings

VIDEO = Path(__file__).parents[1] / "media" / "bbb-720p-5s.mp4"
GUARDED = {"STREAMFORGE_AUTH__REQUIRED": "true"}


@pytest.fixture(scope="module")
def guarded_up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One that listens on every address of this machine."""
    running = start(tmp_path_factory.mktemp("guarded") / "data", "--no-worker", "--host", "0.0.0.0", **GUARDED)
    yield running
    clean_up(running.data_dir, running)


def api_keys(up: Up, command: str, *arguments: str) -> str:
    done = streamforge(
        "api-keys", command, *arguments, "--data-dir", str(up.data_dir), cwd=up.data_dir.parent, **GUARDED
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def created(up: Up, *options: str) -> str:
    return api_keys(up, "create", "--owner", "alice", *options).split()[-1]


def status(up: Up, key: str | None = None) -> int:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return httpx.get(f"{up.parts.api_url}/jobs", headers=headers, trust_env=False, verify=AUTHORITIES).status_code


@pytest.mark.parametrize("command", ["up", "api"])
def test_beyond_loopback_nothing_starts_without_callers(tmp_path: Path, command: str) -> None:
    parts = {"STREAMFORGE_DATABASE__DSN": "postgresql://127.0.0.1:1/x", "STREAMFORGE_TEMPORAL__ADDRESS": "127.0.0.1:1"}
    for host in ("0.0.0.0", "::"):
        refused = streamforge(command, "--host", host, "--port", "0", "--data-dir", "data", cwd=tmp_path, **parts)
        assert refused.returncode == 1
        assert refused.stderr.startswith(f"streamforge: Others can reach {host}, "), refused.stderr
        assert "STREAMFORGE_AUTH__REQUIRED=true" in refused.stderr
        assert refused.stderr.count("\n") == 1


def test_the_last_word_is_a_key_that_opens(guarded_up: Up) -> None:
    assert status(guarded_up) == 401
    assert status(guarded_up, created(guarded_up)) == 200
    assert status(guarded_up, created(guarded_up, "--scope", "submit")) == 403


def test_who_made_and_who_revoked_a_key_is_in_the_audit_log(guarded_up: Up) -> None:
    key = created(guarded_up)
    admin = created(guarded_up, "--scope", "admin")
    api_keys(guarded_up, "revoke", key)
    page = httpx.get(
        f"{guarded_up.parts.api_url}/audit",
        params={"target": f"api-key:{key[:11]}"},
        headers={"Authorization": f"Bearer {admin}"},
        trust_env=False,
    )
    entries = page.raise_for_status().json()["entries"]
    assert [entry["action"] for entry in entries] == ["api-keys revoke", "api-keys create"]
    assert {entry["target_owner"] for entry in entries} == {"alice"}
    assert all(entry["credential"].startswith("command:") for entry in entries)


def test_the_list_names_keys_without_showing_them(guarded_up: Up) -> None:
    key = created(guarded_up, "--scope", "read,admin", "--expires", "90d")
    listed = api_keys(guarded_up, "list")
    assert key[:11] in listed
    assert key[12:] not in listed
    assert "admin,read" in listed


def test_a_revoked_key_is_refused_within_seconds(guarded_up: Up) -> None:
    key = created(guarded_up)
    assert status(guarded_up, key) == 200
    assert api_keys(guarded_up, "revoke", key[:11]) == f"Revoked {key[:11]}.\n"
    wait_for(lambda: status(guarded_up, key) == 401)


def test_a_key_that_the_api_would_not_know_is_not_made(guarded_up: Up) -> None:
    """As where a service has `auth.secret` in its environment, and an administrator's shell has another one, or none: the key
    was shown, and opened nothing."""
    create = ("api-keys", "create", "--owner", "ada", "--data-dir", str(guarded_up.data_dir))
    another = streamforge(*create, cwd=guarded_up.data_dir.parent, STREAMFORGE_AUTH__SECRET="x" * 32)
    secret = guarded_up.data_dir / "access-secret"
    aside = secret.rename(secret.with_suffix(".aside"))
    none = streamforge(*create, cwd=guarded_up.data_dir.parent)
    was_made = secret.exists()
    aside.rename(secret)
    assert not was_made
    for refused in (another, none):
        assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
        assert "was started with another secret, by which it knows API keys" in refused.stderr


def test_another_api_beside_it_asks_callers_too(guarded_up: Up) -> None:
    """Else, with the environment forgotten, all that the first one guards is anybody's on this machine; and with a proxy
    there, everybody's."""
    beside = ("api", "--port", "0", "--data-dir", str(guarded_up.data_dir))
    refused = streamforge(*beside, cwd=guarded_up.data_dir.parent)
    assert (refused.returncode, refused.stderr.count("\n")) == (1, 1)
    assert "set auth.required to true" in refused.stderr


def test_doctor_tells_what_the_api_says_whatever_its_own_settings_are(guarded_up: Up) -> None:
    """It said that only this machine reached an API that listened to all, because its own settings said so."""
    there = asyncio.run(_callers_there(guarded_up.parts.api_url, Settings()))
    assert (there.level, there.says) == (Level.OK, f"have to say who they are at {guarded_up.parts.api_url}")
    away = asyncio.run(_callers_there("http://127.0.0.1:1", Settings()))
    assert (away.level, away.says) == (Level.FAILED, "the API does not answer at http://127.0.0.1:1")


def test_commands_show_the_key_that_the_environment_or_a_file_names(guarded_up: Up, tmp_path: Path) -> None:
    """Never one that stands in the command line, where everybody on the machine sees it."""
    key = created(guarded_up)
    (tmp_path / "key").write_text(f"{key}\n")
    submit = ["submit", str(VIDEO), "--url", guarded_up.parts.api_url]
    nobody = fresh_streamforge(*submit, cwd=tmp_path)
    assert (nobody.returncode, nobody.stderr.count("\n")) == (1, 1)
    assert "Say who you are" in nobody.stderr
    assert "STREAMFORGE_API_KEY_FILE or --api-key-file" in nobody.stderr
    for arguments, settings in (
        ([], {"STREAMFORGE_API_KEY": key}),
        ([], {"STREAMFORGE_API_KEY_FILE": str(tmp_path / "key")}),
        (["--api-key-file", str(tmp_path / "key")], {"STREAMFORGE_API_KEY": "sf_another"}),
    ):
        sent = streamforge(*submit, *arguments, cwd=tmp_path, **settings)
        assert sent.returncode == 0, sent.stderr
        job = httpx.get(
            f"{guarded_up.parts.api_url}/jobs/{sent.stdout.strip()}",
            headers={"Authorization": f"Bearer {key}"},
            trust_env=False,
        )
        assert job.json()["status"] == "pending"
    gone = streamforge(*submit, cwd=tmp_path, STREAMFORGE_API_KEY_FILE=str(tmp_path / "none"))
    assert (gone.returncode, gone.stderr.count("\n")) == (1, 1)
    assert "cannot be read" in gone.stderr


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (("revoke", "sf_aaaaaaaa"), "There is no such key"),
        (("create", "--owner", "a b"), "An owner has letters, digits"),
        (("create", "--owner", "a", "--expires", "soon"), "one is written like 90d, 12h or 30m"),
        (("create", "--owner", "a", "--scope", "read,write"), "there are submit, report, read, admin"),
    ],
)
def test_what_cannot_be_is_told(guarded_up: Up, arguments: tuple[str, ...], sentence: str) -> None:
    place = ["--data-dir", str(guarded_up.data_dir)]
    refused = streamforge("api-keys", *arguments, *place, cwd=guarded_up.data_dir.parent, COLUMNS="200")
    assert refused.returncode in {1, 2}
    assert sentence in refused.stderr
    assert "Traceback" not in refused.stderr


def test_where_no_database_ever_was_it_says_so(tmp_path: Path) -> None:
    refused = fresh_streamforge("api-keys", "list", "--data-dir", "data", cwd=tmp_path)
    assert refused.returncode == 1
    assert refused.stderr.startswith("streamforge: There is no database in ")


def test_with_a_database_elsewhere_the_secret_must_be_given(tmp_path: Path) -> None:
    """Else it would be made here, and no API elsewhere would know the key."""
    elsewhere = {"STREAMFORGE_DATABASE__DSN": "postgresql://127.0.0.1:1/x"}
    refused = streamforge("api-keys", "create", "--owner", "alice", cwd=tmp_path, **elsewhere)
    assert refused.returncode == 1
    assert "STREAMFORGE_AUTH__SECRET" in refused.stderr


def test_keys_can_be_made_while_nothing_runs(guarded_up: Up) -> None:
    """The last test of this `up`: it ends it, and starts another one."""
    guarded_up.stop(signal.SIGTERM)
    key = created(guarded_up)
    assert key[:11] in api_keys(guarded_up, "list")
    again = start(guarded_up.data_dir, "--no-worker", "--host", "0.0.0.0", **GUARDED)
    try:
        assert status(again, key) == 200
    finally:
        clean_up(again.data_dir, again)
