"""`/keys/…`: to whom, what, and in which form."""

import json
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import AsyncIterator
from hashlib import sha256
from hmac import new as hmac
from uuid import UUID, uuid4

import pytest
from serving import Api, assert_problem, serving

from streamforge.contracts.keys import ContentKey
from streamforge.keys import Keys
from streamforge.settings import KeySettings, Settings
from streamforge.storage import layout
from streamforge.storage.local import LocalStorage

JOB = UUID("550e8400-e29b-41d4-a716-446655440000")
TOKEN = "a token of sixteen or more"


@pytest.fixture
async def video_key(api: Api) -> ContentKey:
    """Of a job with a stream."""
    return await with_stream(api.settings)


@pytest.fixture
async def guarded(settings: Settings) -> AsyncIterator[Api]:
    keys = KeySettings.model_validate({"token": TOKEN})
    async with serving(settings.model_copy(update={"keys": keys})) as api:
        yield api


async def with_stream(settings: Settings) -> ContentKey:
    await LocalStorage(settings.data_dir / "storage").put_bytes(layout.output(JOB, "master.m3u8"), b"#EXTM3U\n")
    return Keys(settings).of_job(JOB)["video"]


def base64url(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def unpadded(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


# ── one key ─────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_key_is_its_sixteen_bytes_and_nobody_keeps_it(api: Api, video_key: ContentKey) -> None:
    for key_id in (video_key.key_id, video_key.key_id.upper()):
        response = await api.http.get(f"/keys/{JOB}/{key_id}", headers={"Origin": "https://player.example"})
        assert (response.status_code, response.content) == (200, video_key.value)
        assert response.headers["content-type"] == "application/octet-stream"
        assert response.headers["cache-control"] == "no-store"
        assert response.headers["access-control-allow-origin"] == "*"


async def test_another_key_of_the_job_is_another_key(api: Api, video_key: ContentKey) -> None:
    sound = Keys(api.settings).of_job(JOB)["audio"]
    assert (await api.http.get(f"/keys/{JOB}/{sound.key_id}")).content == sound.value != video_key.value


async def test_what_is_not_there_is_not_found(api: Api, video_key: ContentKey) -> None:
    for path in (f"{JOB}/{'0' * 32}", f"{uuid4()}/{video_key.key_id}"):
        assert_problem(await api.http.get(f"/keys/{path}"), 404, "key.not_found")


async def test_a_key_goes_with_its_stream(api: Api, video_key: ContentKey) -> None:
    await LocalStorage(api.settings.data_dir / "storage").delete(layout.output_folder(JOB))
    assert_problem(await api.http.get(f"/keys/{JOB}/{video_key.key_id}"), 404, "key.not_found")


async def test_an_api_with_another_secret_has_no_key_to_give(settings: Settings) -> None:
    other = settings.model_copy(update={"keys": KeySettings.model_validate({"secret": "x" * 32})})
    key = await with_stream(other)
    async with serving(settings) as api:
        response = await api.http.get(f"/keys/{JOB}/{key.key_id}")
    assert_problem(response, 404, "key.not_found")
    assert "keys.secret" in response.json()["detail"]


@pytest.mark.parametrize("key_id", ["0", "0" * 31, "0" * 33, "g" * 32])
async def test_a_malformed_key_id_is_told(api: Api, key_id: str) -> None:
    assert_problem(await api.http.get(f"/keys/{JOB}/{key_id}"), 400, "request.malformed_key_id")


async def test_a_malformed_job_id_is_told(api: Api) -> None:
    assert_problem(await api.http.get(f"/keys/x/{'0' * 32}"), 400, "request.malformed_job_id")


# ── Clear Key ───────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_licence_is_what_the_w3c_calls_one(api: Api, video_key: ContentKey) -> None:
    asked = {"kids": [base64url(bytes.fromhex(video_key.key_id))], "type": "temporary"}
    response = await api.http.post(f"/keys/{JOB}/license", content=json.dumps(asked))
    assert response.status_code == 200
    assert response.headers["cache-control"] == "no-store"
    found = response.json()
    assert found["type"] == "temporary"
    assert {key["kty"] for key in found["keys"]} == {"oct"}
    keys = Keys(api.settings).of_job(JOB).values()
    assert {unpadded(key["kid"]): unpadded(key["k"]) for key in found["keys"]} == {
        bytes.fromhex(key.key_id): key.value for key in keys
    }


async def test_a_licence_for_keys_of_others_is_not_found(api: Api, video_key: ContentKey) -> None:
    for kids in ([], [base64url(bytes(16))], ["nonsense"]):
        response = await api.http.post(f"/keys/{JOB}/license", json={"kids": kids})
        assert_problem(response, 404, "key.not_found")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"kids": 1}', b"\xff", b"x" * 100_000])
async def test_what_is_no_licence_request_is_told(api: Api, video_key: ContentKey, body: bytes) -> None:
    response = await api.http.post(f"/keys/{JOB}/license", content=body)
    assert_problem(response, 400, "request.invalid_field")


async def test_a_licence_is_posted_for(api: Api, video_key: ContentKey) -> None:
    assert (await api.http.get(f"/keys/{JOB}/license")).status_code in {400, 405}


# ── to whom ─────────────────────────────────────────────────────────────────────────────────────────────────────────
def signed_link(expires: int | str, job: UUID = JOB, token: str = TOKEN) -> dict[str, str]:
    signature = hmac(token.encode(), f"{job}:{expires}".encode(), sha256).hexdigest()
    return {"expires": str(expires), "signature": signature}


async def test_with_a_token_set_only_its_owner_is_answered(guarded: Api) -> None:
    key = await with_stream(guarded.settings)
    address = f"/keys/{JOB}/{key.key_id}"
    for scheme in ("Bearer", "bearer"):
        response = await guarded.http.get(address, headers={"Authorization": f"{scheme} {TOKEN}"})
        assert response.content == key.value
    refused = ["", "Bearer", f"Basic {TOKEN}", TOKEN, f"Bearer {TOKEN[:-1]}", f"Bearer {TOKEN}x"]
    for header in refused:
        response = await guarded.http.get(address, headers={"Authorization": header})
        assert_problem(response, 401, "key.refused")
        assert response.headers["www-authenticate"] == 'Bearer realm="streamforge"'
    response = await guarded.http.get(address, headers={"Authorization": b"Bearer \xff\xfe"})
    assert_problem(response, 401, "key.refused")


async def test_a_signed_link_lets_a_viewer_in_until_it_expires(guarded: Api) -> None:
    key = await with_stream(guarded.settings)
    address, now = f"/keys/{JOB}/{key.key_id}", int(time.time())
    assert (await guarded.http.get(address, params=signed_link(now + 60))).content == key.value
    response = await guarded.http.post(
        f"/keys/{JOB}/license", params=signed_link(now + 60), json={"kids": [base64url(bytes.fromhex(key.key_id))]}
    )
    assert response.status_code == 200
    for params in (
        signed_link(now - 1),
        signed_link(now + 60, job=uuid4()),
        signed_link(now + 60, token="another token that is long"),
        signed_link(now + 60) | {"expires": str(now + 61)},
        signed_link("never"),
        signed_link("-1"),
        signed_link("٣"),
        signed_link("9" * 40),
        {"expires": str(now + 60)},
        {"expires": str(now + 60), "signature": "ü"},
    ):
        assert_problem(await guarded.http.get(address, params=params), 401, "key.refused")


async def test_who_is_refused_does_not_learn_what_there_is(guarded: Api) -> None:
    """Not even whether the job has a stream."""
    assert_problem(await guarded.http.get(f"/keys/{uuid4()}/{'0' * 32}"), 401, "key.refused")
