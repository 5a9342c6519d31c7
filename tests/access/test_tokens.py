"""Access tokens of an OpenID provider: a real one, in a process of its own."""

import asyncio
import base64
import hmac
import json
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.hashes import SHA256, SHA512, HashAlgorithm
from joserfc import jwt
from joserfc.jwk import ECKey, RSAKey
from programs import npm_packages, program
from pydantic import ValidationError
from serving import Api, assert_problem, serving
from sse import read_frames

from streamforge.access import signing_keys
from streamforge.access.caller import Scope
from streamforge.access.tokens import Tokens, owner_of_claim
from streamforge.embedded.ports import free_port
from streamforge.errors import CredentialInvalid, ProviderUnavailable
from streamforge.settings import OidcSettings, Settings

FOLDER = Path(__file__).parent / "provider"
AUDIENCE = "https://video.example"
Key = RSAKey | ECKey


@dataclass
class Provider:
    """A running provider, and the key that it signs with."""

    url: str
    key: Key
    log: Path

    def token(self, client: str = "alice", scope: str = "read submit", audience: str = AUDIENCE) -> str:
        """As a program gets one."""
        asked = {"grant_type": "client_credentials", "scope": scope, "resource": audience}
        secret = (client, f"secret of {client}".replace(" ", "+"))
        answer = httpx.post(f"{self.url}/token", data=asked, auth=secret, trust_env=False)
        return str(answer.raise_for_status().json()["access_token"])

    def signed(self, *, header: dict[str, Any] | None = None, key: Any = None, **claims: Any) -> str:
        """What it would sign if it were asked to: with its own key, these claims; None leaves one out."""
        now = int(time.time())
        usual = {"iss": self.url, "aud": AUDIENCE, "sub": "alice", "iat": now, "exp": now + 60, "scope": "read"}
        whole = {name: value for name, value in (usual | claims).items() if value is not None}
        head = {"alg": "RS256", "kid": self.key.kid, "typ": "at+jwt"} | (header or {})
        return jwt.encode(head, whole, key or self.key, algorithms=[head["alg"]])

    @property
    def fetches(self) -> int:
        """How often somebody has asked it for its keys."""
        return self.log.read_text().count("GET /jwks")

    def settings(self, **others: Any) -> OidcSettings:
        return OidcSettings(issuer=self.url, audience=AUDIENCE, **others)


@contextmanager
def provider(key: Key, log: Path, port: int, seconds: int = 60) -> Iterator[Provider]:
    node = program("node", "nodejs", package="nodejs")
    npm_packages(FOLDER)
    wanted = {"port": port, "keys": [key.as_dict(private=True)], "clients": ["alice", "bob"], "seconds": seconds}
    with log.open("w", encoding="utf-8") as file:
        process = subprocess.Popen(
            [node, "provider.mjs", json.dumps(wanted)], cwd=FOLDER, stdout=file, stderr=subprocess.STDOUT
        )
    try:
        end = time.monotonic() + 60
        while "ready\n" not in log.read_text(encoding="utf-8"):
            assert process.poll() is None, log.read_text(encoding="utf-8")
            assert time.monotonic() < end, log.read_text(encoding="utf-8")
            time.sleep(0.02)
        yield Provider(f"http://127.0.0.1:{port}", key, log)
    finally:
        process.kill()
        process.wait()


def new_key(alg: str = "RS256") -> Key:
    told = {"alg": alg, "use": "sig"}
    if alg == "ES256":
        return ECKey.generate_key("P-256", told, auto_kid=True)  # type: ignore[arg-type]
    return RSAKey.generate_key(2048, told, auto_kid=True)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Provider]:
    with provider(new_key(), tmp_path_factory.mktemp("provider") / "log", free_port()) as started:
        yield started


@pytest.fixture
def tokens(running: Provider) -> Tokens:
    return Tokens(running.settings())


def guarded_by(settings: Settings, oidc: OidcSettings) -> Settings:
    return settings.model_copy(update={"auth": settings.auth.model_copy(update={"oidc": oidc})})


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


# ── what a token opens ──────────────────────────────────────────────────────────────────────────────────────────────
async def test_who_shows_one_is_its_subject_with_its_scopes(settings: Settings, running: Provider) -> None:
    async with serving(guarded_by(settings, running.settings())) as api:
        alice, bob = bearer(running.token("alice")), bearer(running.token("bob"))
        job = await submitted(api, alice)
        assert (await api.http.get(f"/jobs/{job}", headers=alice)).status_code == 200
        assert_problem(await api.http.get(f"/jobs/{job}", headers=bob), 404, "job.not_found")
        assert (await api.http.get("/session", headers=alice)).json()["credential"] == "jwt:alice"
        only_reads = bearer(running.token(scope="read other"))
        assert_problem(await api.http.post("/process", headers=only_reads), 403, "auth.scope_missing")
        assert_problem(
            await api.http.get("/jobs", headers=bearer(running.token(scope="other"))), 403, "auth.scope_missing"
        )


async def submitted(api: Api, headers: dict[str, str]) -> str:
    video = {"video": ("a.mp4", b"some bytes", "video/mp4")}
    return str((await api.http.post("/process", files=video, headers=headers)).raise_for_status().json()["job_id"])


async def test_sessions_and_tickets_are_made_of_one_and_end_with_it(settings: Settings, running: Provider) -> None:
    async with serving(guarded_by(settings, running.settings(clock_skew_seconds=0))) as api:
        token = bearer(running.signed(exp=int(time.time()) + 3))
        url = (await api.http.post("/tickets", json={"path": "/stream"}, headers=token)).json()["url"]
        cookie = (await api.http.post("/session", headers=token)).raise_for_status().headers["set-cookie"]
        async with api.http.stream("GET", url) as response:
            assert [frame.event async for frame in read_frames(response)] == ["status", ""]
        assert_problem(await api.http.get(url), 401, "auth.invalid")
        over = await api.http.get("/jobs", headers={"Cookie": cookie.partition(";")[0]})
        assert_problem(over, 401, "auth.invalid")


async def test_keys_go_on_beside_tokens(settings: Settings, running: Provider) -> None:
    async with serving(guarded_by(settings, running.settings())) as api:
        refused = await api.http.get("/jobs", headers=bearer("sf_aaaaaaaa_" + "a" * 43))
        assert_problem(refused, 401, "auth.invalid")
        assert "API key" in refused.json()["detail"]


@pytest.mark.parametrize("alg", ["ES256"])
async def test_other_signatures_are_known_too(tmp_path: Path, alg: str) -> None:
    with provider(new_key(alg), tmp_path / "log", free_port()) as other:
        assert (await Tokens(other.settings()).caller(other.token())).owner == "alice"


async def test_the_claims_are_those_that_are_set(running: Provider) -> None:
    tokens = Tokens(running.settings(owner_claim="email", scope_claim="roles", scope_prefix="video:"))
    token = running.signed(email="a.b@films.example", roles=["video:admin", "video:other", "submit"], scope="read")
    caller = await tokens.caller(token)
    assert (caller.owner, caller.scopes) == ("a.b@films.example", {Scope.ADMIN})


# ── what is none ────────────────────────────────────────────────────────────────────────────────────────────────────
NOW = int(time.time())
DAY = 86_400

WRONG: dict[str, Callable[[Provider], str]] = {
    "of another audience": lambda it: it.token(audience="https://other.example"),
    "for nobody": lambda it: it.signed(aud=None),
    "of another issuer": lambda it: it.signed(iss="https://evil.example"),
    "of no issuer": lambda it: it.signed(iss=None),
    "expired": lambda it: it.signed(exp=NOW - 31),
    "without an end": lambda it: it.signed(exp=None),
    "whose end is no time": lambda it: it.signed(exp="tomorrow"),
    "whose end nobody lives to see": lambda it: it.signed(exp=10**30),
    "not yet valid": lambda it: it.signed(nbf=NOW + DAY),
    "from the future": lambda it: it.signed(iat=NOW + DAY),
    "of nobody": lambda it: it.signed(sub=None),
    "of nobody in particular": lambda it: it.signed(sub=""),
    "of everybody": lambda it: it.signed(sub="everyone"),
    "of a number": lambda it: it.signed(sub=7),
    "of somebody with too long a name": lambda it: it.signed(sub="ä" * 40),
    "for another use": lambda it: it.signed(header={"typ": "logout+jwt"}),
    "signed by another key of that name": lambda it: it.signed(key=RSAKey.generate_key(2048)),
    "signed by a key that is named nowhere": lambda it: it.signed(header={"kid": "nobody's"}),
    "signed with the public key as a secret": lambda it: by_hand(
        it, {"alg": "HS256"}, lambda text: hmac.digest(it.key.as_pem(private=False), text, "sha256")
    ),
    "signed with a method that is not allowed": lambda it: by_hand(it, {"alg": "RS512"}, rsa(it, SHA512())),
    "not signed": lambda it: unsigned(it.signed()),
    "changed": lambda it: changed(it.signed()),
    "of a critical extension": lambda it: by_hand(it, {"alg": "RS256", "crit": ["x"], "x": 1}, rsa(it, SHA256())),
    "too long": lambda it: it.signed(filler="x" * 20_000),
    "cut off": lambda it: it.signed().rpartition(".")[0],
    "nothing": lambda it: "",
    "dots": lambda it: "..",
    "not even text": lambda it: "é.é.é",
}


def by_hand(it: Provider, header: dict[str, Any], sign: Callable[[bytes], bytes]) -> str:
    """What no library makes."""
    text = f"{encoded(json.dumps({'kid': it.key.kid} | header).encode())}.{it.signed().split('.')[1]}"
    return f"{text}.{encoded(sign(text.encode()))}"


def rsa(it: Provider, algorithm: HashAlgorithm) -> Callable[[bytes], bytes]:
    assert isinstance(it.key, RSAKey)
    private: Any = it.key.private_key
    return lambda text: private.sign(text, PKCS1v15(), algorithm)


def encoded(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def test_by_hand_makes_what_would_be_good_otherwise(running: Provider) -> None:
    """Else those that are made so would be refused for another reason."""
    token = by_hand(running, {"alg": "RS256"}, rsa(running, SHA256()))
    assert jwt.decode(token, running.key, algorithms=["RS256"]).claims["sub"] == "alice"


def unsigned(token: str) -> str:
    head = encoded(b'{"alg":"none"}')
    return f"{head}.{token.split('.')[1]}."


def changed(token: str) -> str:
    head, payload, signature = token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "==")) | {"sub": "bob"}
    return f"{head}.{encoded(json.dumps(claims).encode())}.{signature}"


@pytest.mark.parametrize("what", WRONG)
async def test_a_token_is_refused_that_is(running: Provider, tokens: Tokens, what: str) -> None:
    with pytest.raises(CredentialInvalid):
        await tokens.caller(WRONG[what](running))


async def test_one_like_these_is_not(running: Provider, tokens: Tokens) -> None:
    assert (await tokens.caller(running.signed())).owner == "alice"
    assert (await tokens.caller(running.signed(aud=["x", AUDIENCE]))).owner == "alice"
    assert (await tokens.caller(running.signed(header={"typ": "JWT"}))).owner == "alice"


async def test_the_provider_s_clock_may_be_off_by_a_little(running: Provider) -> None:
    lately = {"exp": int(time.time()) - 20, "iat": int(time.time()) + 20}
    assert await Tokens(running.settings(clock_skew_seconds=60)).caller(running.signed(**lately))
    with pytest.raises(CredentialInvalid):
        await Tokens(running.settings(clock_skew_seconds=0)).caller(running.signed(**lately))


# ── whose it is ─────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("subject", "owner"),
    [
        ("alice", "alice"),
        ("a.b-c_d@films.example", "a.b-c_d@films.example"),
        ("auth0|7", "auth0+7C7"),
        ("a+7Cb", "a+2B7Cb"),
        ("a:b/c d", "a+3Ab+2Fc+20d"),
        ("ä", "+C3+A4"),
        ("Everyone", "Everyone"),
        ("?", "+3F"),
        ("\ud800", "+ED+A0+80"),
    ],
)
def test_a_subject_has_an_owner_s_name_that_is_no_other_s(subject: str, owner: str) -> None:
    assert owner_of_claim(subject) == owner


# ── keys that change ────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_new_key_is_fetched_when_a_token_names_it_and_the_old_one_is_forgotten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing_keys, "COOL_DOWN_SECONDS", 0.0)
    port = free_port()
    with provider(new_key(), tmp_path / "log", port) as first:
        tokens = Tokens(first.settings())
        old = first.token()
        await tokens.caller(old)
    with provider(new_key(), tmp_path / "log2", port) as second:
        assert (await tokens.caller(second.token())).owner == "alice"
        with pytest.raises(CredentialInvalid):
            await tokens.caller(old)


async def test_keys_that_never_were_do_not_flood_the_provider(running: Provider) -> None:
    tokens, before = Tokens(running.settings()), running.fetches
    for number in range(50):
        with pytest.raises(CredentialInvalid):
            await tokens.caller(running.signed(header={"kid": f"made up {number}"}))
    assert running.fetches == before + 1
    assert await tokens.caller(running.signed()), "who is right does not suffer for it"
    assert running.fetches == before + 1


async def test_while_the_provider_is_away_what_is_known_holds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signing_keys, "COOL_DOWN_SECONDS", 0.0)
    monkeypatch.setattr(signing_keys, "KEEP_SECONDS", 0.0)
    with provider(new_key(), tmp_path / "log", free_port()) as it:
        tokens = Tokens(it.settings())
        token = it.token()
        await tokens.caller(token)
    assert (await tokens.caller(token)).owner == "alice"
    monkeypatch.setattr(signing_keys, "KEEP_WHILE_AWAY_SECONDS", 0.0)
    with pytest.raises(ProviderUnavailable):
        await tokens.caller(token)


async def test_a_provider_that_hangs_holds_up_nobody_whose_key_is_known(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing_keys, "COOL_DOWN_SECONDS", 0.0)
    monkeypatch.setattr(signing_keys, "KEEP_SECONDS", 0.0)
    port = free_port()
    with provider(new_key(), tmp_path / "log", port) as it:
        tokens, token = Tokens(it.settings()), it.token()
        await tokens.caller(token)
    async with saying_nothing(port):
        monkeypatch.setattr(signing_keys, "TIMEOUT_SECONDS", 0.1)
        assert (await tokens.caller(token)).owner == "alice", "the first who asks finds out"
        monkeypatch.setattr(signing_keys, "TIMEOUT_SECONDS", 600.0)
        async with asyncio.timeout(60):
            assert (await tokens.caller(token)).owner == "alice"


@asynccontextmanager
async def saying_nothing(port: int) -> AsyncIterator[None]:
    """A server that takes connections, and no more."""
    taken: list[asyncio.StreamWriter] = []
    async with await asyncio.start_server(lambda _, writer: taken.append(writer), "127.0.0.1", port):
        yield
        for each in taken:
            each.close()


async def test_who_asks_and_hangs_up_keeps_nobody_from_hearing_of_a_key(running: Provider) -> None:
    """Else a token that names a new key every half a minute, and a closed connection, would be enough."""
    tokens, token = Tokens(running.settings()), running.token()
    asking = asyncio.create_task(tokens.caller(token))
    while tokens._keys._tried_at is None:
        await asyncio.sleep(0)
    asking.cancel()
    assert (await tokens.caller(token)).owner == "alice"


@pytest.mark.parametrize(
    "key",
    [{"kty": "EC", "crv": "P-0", "x": "AA", "y": "AA"}, {"kty": "RSA", "n": 7}, {"kty": "OKP"}, 7, None, {"kty": []}],
)
def test_a_key_that_is_none_is_no_reason_to_forget_the_others(key: object) -> None:
    good = new_key()
    assert [each.kid for each in signing_keys._usable({"keys": [key, good.as_dict(private=False)]})] == [good.kid]


async def test_where_nothing_is_known_it_is_no_fault_of_the_caller(settings: Settings, running: Provider) -> None:
    nobody = OidcSettings(issuer=f"http://127.0.0.1:{free_port()}", audience=AUDIENCE)
    async with serving(guarded_by(settings, nobody)) as api:
        refused = await api.http.get("/jobs", headers=bearer(running.signed()))
        assert_problem(refused, 503, "auth.provider_unavailable")
        assert refused.headers["retry-after"]
        assert (await api.http.get("/health", headers=bearer(running.signed()))).status_code == 200


async def test_a_provider_that_calls_itself_otherwise_is_not_believed(running: Provider) -> None:
    other_name = OidcSettings(issuer=running.url.replace("127.0.0.1", "localhost"), audience=AUDIENCE)
    with pytest.raises(ProviderUnavailable):
        await Tokens(other_name).caller(running.signed(iss=other_name.issuer))


# ── settings ────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("wrong", "sentence"),
    [
        ({"issuer": "https://login.example"}, "issuer and audience go together"),
        ({"issuer": "http://login.example", "audience": "x"}, "no address like https"),
        ({"issuer": "http://127.0.0.1.evil.example", "audience": "x"}, "no address like https"),
        ({"issuer": "https://x", "audience": "x", "jwks_url": "ftp://x"}, "no address like https"),
        ({"algorithms": ["none"]}, "algorithms"),
        ({"algorithms": ["HS256"]}, "algorithms"),
        ({"algorithms": []}, "algorithms"),
    ],
)
def test_what_could_let_anybody_in_is_a_wrong_setting(wrong: dict[str, Any], sentence: str) -> None:
    with pytest.raises(ValidationError, match=sentence):
        OidcSettings(**wrong)
