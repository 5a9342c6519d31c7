"""No secret stands in a line of the log, wherever in it, and however it got there."""

import base64
import json
import logging
import string
import time
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import assume, given
from hypothesis import strategies as st
from logged import logging_as

from streamforge.observability.redaction import Redactor, secrets_of
from streamforge.settings import Settings

LETTERS = string.ascii_letters + string.digits
words = st.text(LETTERS, min_size=12, max_size=40)


def jwt(secret: str) -> str:
    parts = (json.dumps({"alg": "RS256"}), json.dumps({"sub": secret}))
    return ".".join([*(base64.urlsafe_b64encode(part.encode()).decode().rstrip("=") for part in parts), secret])


def key(secret: str) -> str:
    return f"sf_abcd2345_{secret}"


# What a secret looks like where it might be told; all of it is gone afterwards.
SHAPES = {
    "bearer": lambda s: f"Authorization: Bearer {s}",
    "basic": lambda s: f"'authorization': 'Basic {s}'",
    "an API key": lambda s: f"the key {key(s)} is revoked",
    "an API key in a header": lambda s: f"authorization=Bearer {key(s)}",
    "a JWT": lambda s: f"cannot verify {jwt(s)}!",
    "a DSN": lambda s: f"cannot reach postgresql://streamforge:{s}@db.example:5432/x",
    "a DSN with no user": lambda s: f"redis://:{s}@cache/0",
    "a signed path": lambda s: f"GET /media/550e8400-e29b-41d4-a716-446655440000/~1-1789-{s}/index.m3u8",
    "a signed path, encoded": lambda s: f"/keys/x/%7E1-1789-{s}/license",
    "a ticket": lambda s: f"wss://video.example/ws/progress?job_id=5&ticket={s}",
    "a token in an address": lambda s: f"https://x.example/a?b=c&access_token={s}#top",
    "a presigned address": lambda s: f"https://b.example/o?X-Amz-Signature={s}&X-Amz-Expires=60",
    "a cookie": lambda s: f"Cookie: session={s}",
    "a password": lambda s: f"password={s} is wrong",
    "JSON": lambda s: json.dumps({"client_secret": s}),
    "a dictionary": lambda s: repr({"api_key": s}),
    "a webhook": lambda s: f"options: {{'webhook_url': 'https://hooks.example/T0/{s}'}}",
    "a webhook's password": lambda s: f"webhook_url=https://u:{s}@hooks.example/x",
}


def said(redactor: Redactor, **fields: Any) -> str:
    return json.dumps(redactor(None, "info", fields))


@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES.keys())
@given(secret=words, before=st.text(max_size=20), after=st.sampled_from(["", " ", "\n", ", more", '"', "'"]))
def test_a_secret_is_gone_whatever_stands_around_it(shape: Any, secret: str, before: str, after: str) -> None:
    assume(secret not in f"{before} {shape('')}")  # Such as a part of "authorization", which may be told.
    text = f"{before.rstrip(LETTERS + '_')} {shape(secret)}{after}"
    line = said(Redactor(), event=text, details=[text, {"deep": {"deeper": (text,)}}], error=ValueError(text))
    assert secret not in line


FIELDS = [
    "password",
    "db_password",
    "token",
    "access_token",
    "Authorization",
    "cookie",
    "api_key",
    "ticket",
    "signature",
    "secret",
]


@pytest.mark.parametrize("field", FIELDS)
@given(secret=words)
def test_what_a_field_calls_a_secret_is_one(field: str, secret: str) -> None:
    assert secret not in said(Redactor(), event="x", **{field: secret}, nested={field: {"value": secret}})


@given(secret=st.text(string.printable, min_size=8, max_size=40).filter(str.strip))
def test_secrets_of_this_installation_are_gone_wherever_they_stand(secret: str) -> None:
    line = Redactor([secret])(None, "info", {"event": f"before{secret}after", "more": {secret: [secret]}})
    assert secret not in repr([*line.values(), *line["more"]])


def test_what_may_be_told_stays() -> None:
    """Whose key it was, which host, which job: a line without them would help nobody."""
    told = said(
        Redactor(),
        event="refused sf_abcd2345_SECRETSECRETSECRET at postgresql://u:SECRETSECRET@db.example/x",
        webhook_url="https://hooks.example/T0/SECRETSECRET",
        path="/media/550e8400-e29b-41d4-a716-446655440000/720p/0.m4s",
        job_id="550e8400-e29b-41d4-a716-446655440000",
        seconds=1.5,
        attempt=3,
        well=True,
        nothing=None,
    )
    assert "SECRET" not in told
    for stays in ("sf_abcd2345_", "db.example/x", "https://hooks.example/", "/720p/0.m4s", '"attempt": 3', "1.5"):
        assert stays in told


LONG = 200_000
HOSTILE = [
    *(
        "secret a.",
        "secret-",
        "eyJ-eyJaaaa",
        "?sig",
        "?a&",
        "@ a.",
        "@ http://a",
        "webhook ",
        "bearer ",
        "sf_a_",
        "/~",
        "token\t",
    ),
    *("AKIA", "eyJaaaa.", "password: ", "authorization=bearer ", "?key%", "a.b://", "token_", ". secret"),
]


@pytest.mark.parametrize("piece", HOSTILE)
def test_a_text_made_to_take_long_takes_no_longer(piece: str) -> None:
    """It would hold up all that the process does: a part that is looked for from every letter to the end took seconds for
    10,000 characters."""
    text = f"secret @ ? {piece[:-2]}{piece[-2:] * (LONG // 2)} {piece * (LONG // len(piece))}"
    began = time.perf_counter()
    Redactor().text(text)
    assert time.perf_counter() - began < 10


def test_what_the_settings_hold_is_known(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "from-the-environment")
    settings = Settings.model_validate(
        {
            "keys": {"secret": "k" * 32, "token": "t" * 16},
            "database": {"dsn": "postgresql://u:p%23ssword@db/x"},
        }
    )
    assert secrets_of(settings) == {"k" * 32, "t" * 16, "p%23ssword", "from-the-environment"}
    assert "p#ssword" not in Redactor(secrets_of(settings)).text("it is p#ssword")


# ── as it is written ────────────────────────────────────────────────────────────────────────────────────────────────
def test_no_way_into_the_log_goes_around_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """structlog's, the standard library's, tracebacks; on stderr and in the file."""
    settings = Settings.model_validate({"data_dir": tmp_path, "keys": {"token": "installation-token"}})
    with logging_as("api", settings):
        structlog.stdlib.get_logger("a").warning("bearer SECRETSECRET", dsn="postgresql://u:SECRETSECRET@h/d")
        logging.getLogger("b").error("the token %s, Bearer %s", "installation-token", "SECRETSECRET")
        try:
            raise RuntimeError("postgresql://u:SECRETSECRET@h/d")
        except RuntimeError:
            structlog.stdlib.get_logger("c").exception("broke")
            logging.getLogger("d").exception("broke, too")
        kept = (tmp_path / "logs" / "api-1.jsonl").read_text(encoding="utf-8")
    shown = capsys.readouterr().err
    assert len(kept.splitlines()) == 4
    for text in (kept, shown):
        assert "SECRETSECRET" not in text
        assert "installation-token" not in text
        assert "RuntimeError" in text
