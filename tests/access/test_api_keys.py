"""API keys: what they look like, what is kept of them, and what they open."""

import asyncio
import re
from collections.abc import Sequence
from datetime import timedelta
from uuid import uuid4

import pytest
from callers import MakeKey, prefix_of
from factories import run_sql
from serving import Api, assert_problem, serving
from sse import read_frames
from websockets.asyncio.client import connect
from websockets.exceptions import ConnectionClosed

from streamforge.access import api_keys, standing
from streamforge.access.api_keys import ApiKeys
from streamforge.access.caller import Scope
from streamforge.access.secret import InstallationSecret
from streamforge.access.standing import Standing
from streamforge.db.credentials import Credentials, KeyRow
from streamforge.db.pool import Database
from streamforge.errors import CredentialInvalid, InvalidField
from streamforge.settings import AuthSettings, Settings

VIDEO = {"video": ("a.mp4", b"some bytes", "video/mp4")}


async def submitted(api: Api, headers: dict[str, str]) -> str:
    return str((await api.http.post("/process", files=VIDEO, headers=headers)).raise_for_status().json()["job_id"])


class SlowRows(Credentials):
    """Whose answer to the first question is on its way for a while."""

    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.answered, self.arrives = asyncio.Event(), asyncio.Event()

    async def keys_named(self, prefixes: Sequence[str]) -> dict[str, KeyRow]:
        rows = await super().keys_named(prefixes)
        self.answered.set()
        await self.arrives.wait()
        return rows


# ── what is kept ────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_key_begins_with_its_name_and_holds_256_bits(keys: ApiKeys) -> None:
    made = [await keys.create("alice", [Scope.READ]) for _ in range(3)]
    for key in made:
        assert re.fullmatch(r"sf_[a-z2-7]{8}_[A-Za-z0-9]{43}", key)
    assert len({key[:11] for key in made}) == 3


async def test_nothing_of_its_secret_is_in_the_database(keys: ApiKeys, database_dsn: str) -> None:
    key = await keys.create("alice", [Scope.READ])
    [row] = await run_sql(database_dsn, "SELECT api_keys::text AS everything, hash FROM api_keys")
    assert key[12:] not in row["everything"]
    assert key[12:].encode().hex() not in row["everything"]
    assert len(row["hash"]) == 32


async def test_another_installation_does_not_know_it(
    keys: ApiKeys, credentials: Credentials, settings: Settings
) -> None:
    """Who copies the table to a server of his own, or puts rows into ours, has no key of it: it takes our secret, too."""
    key = await keys.create("alice", [Scope.READ])
    theirs = settings.model_copy(
        update={"auth": AuthSettings(required=True, secret="the secret of another installation, theirs alone")}
    )  # type: ignore[arg-type]
    elsewhere = ApiKeys(credentials, Standing(credentials), InstallationSecret(theirs))
    assert (await keys.caller(key)).owner == "alice"
    with pytest.raises(Exception, match="not known here"):
        await elsewhere.caller(key)


@pytest.mark.parametrize("owner", ["", "a b", "a/b", "a:b", "ä", "x" * 129])
async def test_an_owner_has_a_name_that_can_be_one(keys: ApiKeys, owner: str) -> None:
    with pytest.raises(InvalidField, match="letters, digits"):
        await keys.create(owner, [Scope.READ])


# ── what it opens ───────────────────────────────────────────────────────────────────────────────────────────────────
async def test_who_has_one_finds_what_is_ones_own(guarded_api: Api, key_of: MakeKey) -> None:
    alice, bob = await key_of("alice"), await key_of("bob")
    job_id = await submitted(guarded_api, alice)
    assert (await guarded_api.http.get(f"/jobs/{job_id}", headers=alice)).json()["id"] == job_id
    assert [job["id"] for job in (await guarded_api.http.get("/jobs", headers=alice)).json()["jobs"]] == [job_id]
    assert (await guarded_api.http.get("/jobs", headers=bob)).json()["jobs"] == []


async def test_what_is_another_s_is_answered_like_what_is_not_there(guarded_api: Api, key_of: MakeKey) -> None:
    alice, bob = await key_of("alice"), await key_of("bob")
    job_id = await submitted(guarded_api, alice)
    for path in ("/jobs/{}", "/jobs/{}/events", "/jobs/{}/stream"):
        theirs = await guarded_api.http.get(path.format(job_id), headers=bob)
        nobody_s = await guarded_api.http.get(path.format(uuid4()), headers=bob)
        assert_problem(theirs, 404, "job.not_found")
        assert {**theirs.json(), "request_id": 0} == {**nobody_s.json(), "request_id": 0}


async def test_without_one_a_job_that_is_there_is_answered_like_one_that_is_not(
    guarded_api: Api, key_of: MakeKey
) -> None:
    job_id = await submitted(guarded_api, await key_of("alice"))
    for path in ("/jobs/{}", "/jobs/{}/events", "/jobs/{}/stream"):
        answers = [await guarded_api.http.get(path.format(each)) for each in (job_id, uuid4(), "nonsense")]
        assert {answer.status_code for answer in answers} == {401}
        assert len({(answer.json()["detail"], answer.headers["www-authenticate"]) for answer in answers}) == 1


@pytest.mark.parametrize(
    ("scopes", "allowed", "refused"),
    [
        (["read"], ["GET /jobs"], {"POST /process": "submit"}),
        (["submit"], ["POST /process"], {"GET /jobs": "read"}),
        (["report"], [], {"POST /process": "submit", "GET /jobs": "read"}),
        (["admin"], ["GET /jobs", "POST /process"], {}),
    ],
)
async def test_each_scope_is_good_for_what_it_says(
    guarded_api: Api, key_of: MakeKey, scopes: list[str], allowed: list[str], refused: dict[str, str]
) -> None:
    key = await key_of("alice", *scopes)
    for address in [*allowed, *refused]:
        method, path = address.split()
        answer = await guarded_api.http.request(method, path, files=VIDEO if method == "POST" else None, headers=key)
        if address in allowed:
            assert answer.is_success, answer.text
        else:
            assert_problem(answer, 403, "auth.scope_missing")
            challenge = answer.headers["www-authenticate"]
            assert challenge.startswith('Bearer realm="streamforge", error="insufficient_scope"')
            assert challenge.endswith(f'scope="{refused[address]}"')
    assert len(guarded_api.uploads) == 0


async def test_a_reporter_reports_and_does_nothing_else(guarded_api: Api, key_of: MakeKey) -> None:
    alice, reporter, stranger = await key_of("alice"), await key_of("alice", "report"), await key_of("bob", "report")
    made = await guarded_api.http.post("/jobs", json={"kind": "external", "key": "a.mp4"}, headers=alice)
    job_id = made.raise_for_status().json()["id"]
    report = {"videoId": "v", "jobId": job_id, "status": "started", "timestamp": "2026-01-31T12:00:00Z"}
    assert (await guarded_api.http.post(f"/jobs/{job_id}/events", json=report, headers=reporter)).status_code == 200
    assert_problem(
        await guarded_api.http.post(f"/jobs/{job_id}/events", json=report, headers=stranger), 404, "job.not_found"
    )
    # Who may make jobs may report on them.
    assert (await guarded_api.http.post(f"/jobs/{job_id}/events", json=report, headers=alice)).json()[
        "outcome"
    ] == "repeated"
    for method, path in (("GET", ""), ("GET", "/events"), ("DELETE", ""), ("POST", "/pause")):
        answered = await guarded_api.http.request(method, f"/jobs/{job_id}{path}", headers=reporter)
        assert_problem(answered, 403, "auth.scope_missing")


async def test_a_wrong_key_is_refused_by_the_same_work_and_words(guarded_api: Api, key_of: MakeKey) -> None:
    """Whether such a key begins with the name of one that is there or not."""
    right = (await key_of("alice"))["Authorization"]
    wrong = [
        f"{right[:-1]}{'a' if right[-1] != 'a' else 'b'}",
        f"Bearer sf_{'a' * 8}_{'b' * 43}",
        "Bearer sf_",
        "Bearer x",
    ]
    answers = [await guarded_api.http.get("/jobs", headers={"Authorization": each}) for each in wrong]
    for answer in answers:
        assert_problem(answer, 401, "auth.invalid")
        assert 'error="invalid_token"' in answer.headers["www-authenticate"]
    assert len({answer.json()["detail"] for answer in answers}) == 1


@pytest.mark.parametrize("header", [b"Bearer sf_\xff\xfe", b"Bearer " + b"x" * 20_000, b"Bearer", b"Bearer \x01"])
async def test_nonsense_is_no_error_of_ours(guarded_api: Api, header: bytes) -> None:
    answer = await guarded_api.http.get("/jobs", headers={b"Authorization": header})
    assert answer.status_code in {400, 401}


# ── its end ─────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_key_that_has_expired_is_told_so(guarded_api: Api, key_of: MakeKey) -> None:
    expired = await key_of("alice", lasts=timedelta(seconds=-1))
    refused = await guarded_api.http.get("/jobs", headers=expired)
    assert_problem(refused, 401, "auth.invalid")
    assert "expired" in refused.json()["detail"]


async def test_revoking_is_heard_at_once(
    guarded_api: Api, key_of: MakeKey, credentials: Credentials, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "REMEMBERED_SECONDS", 600)
    key = await key_of("alice")
    assert (await guarded_api.http.get("/jobs", headers=key)).status_code == 200
    assert await credentials.revoke_key(prefix_of(key))
    async with asyncio.timeout(60):
        while (answer := await guarded_api.http.get("/jobs", headers=key)).status_code == 200:
            await asyncio.sleep(0.01)
    assert_problem(answer, 401, "auth.invalid")
    assert "revoked" in answer.json()["detail"]


async def test_unheard_it_bites_when_the_row_is_forgotten(
    guarded_api: Api, key_of: MakeKey, database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As between the loss of the connection that listens and the next one."""
    monkeypatch.setattr(standing, "REMEMBERED_SECONDS", 0.3)
    key = await key_of("alice")
    assert (await guarded_api.http.get("/jobs", headers=key)).status_code == 200
    await run_sql(database_dsn, "UPDATE api_keys SET revoked_at = now()")
    async with asyncio.timeout(20):
        while (await guarded_api.http.get("/jobs", headers=key)).status_code == 200:
            await asyncio.sleep(0.05)


async def test_who_is_known_costs_no_question(guarded_api: Api, key_of: MakeKey, database_dsn: str) -> None:
    key = await key_of("alice")
    assert (await guarded_api.http.get("/jobs", headers=key)).status_code == 200
    await run_sql(database_dsn, "ALTER TABLE api_keys RENAME TO api_keys_elsewhere")
    assert (await guarded_api.http.get("/jobs", headers=key)).status_code == 200


async def test_a_row_that_was_read_before_its_key_was_revoked_is_not_believed_afterwards(
    keys: ApiKeys, credentials: Credentials, database: Database
) -> None:
    prefix = (await keys.create("alice", [Scope.READ]))[:11]
    rows = SlowRows(database)
    held = Standing(rows)
    reading = asyncio.create_task(held.key(prefix))
    await rows.answered.wait()
    await credentials.revoke_key(prefix)
    held.on_notification(f"key:{prefix}")
    rows.arrives.set()
    await reading
    with pytest.raises(CredentialInvalid, match="revoked"):
        await held.require([f"key:{prefix}"])


async def test_an_open_stream_ends_when_its_key_is_revoked(
    guarded_api: Api, key_of: MakeKey, credentials: Credentials
) -> None:
    key, other = await key_of("alice"), await key_of("alice")
    job_id = await submitted(guarded_api, key)
    for path in (f"/jobs/{job_id}/stream", "/stream"):
        async with (
            guarded_api.http.stream("GET", path, headers=key) as ends,
            guarded_api.http.stream("GET", path, headers=other) as goes_on,
        ):
            frames, others = read_frames(ends), read_frames(goes_on)
            assert (await anext(frames)).event == "status"
            assert (await anext(others)).event == "status"
            await credentials.revoke_key(prefix_of(key))
            async with asyncio.timeout(20):
                assert [frame.event async for frame in frames] == [""], "the hint to come back, and then to be refused"
        assert_problem(await guarded_api.http.get(path, headers=key), 401, "auth.invalid")
        key = await key_of("alice")


async def test_an_open_stream_ends_when_its_key_expires(guarded_api: Api, key_of: MakeKey) -> None:
    key = await key_of("alice", lasts=timedelta(seconds=1.5))
    async with guarded_api.http.stream("GET", "/stream", headers=key) as response, asyncio.timeout(20):
        assert [frame.event async for frame in read_frames(response)] == ["status", ""]


async def test_an_open_websocket_ends_too(guarded_api: Api, key_of: MakeKey, credentials: Credentials) -> None:
    key = await key_of("alice")
    url = f"{guarded_api.url.replace('http', 'ws')}/ws/progress"
    async with connect(url, additional_headers=key) as websocket:
        await websocket.recv()
        await credentials.revoke_key(prefix_of(key))
        with pytest.raises(ConnectionClosed) as closed:
            async with asyncio.timeout(20):
                await websocket.recv()
    assert closed.value.rcvd is not None
    assert closed.value.rcvd.code == 1008, "policy violation"


async def test_what_nobody_heard_ends_streams_too(
    guarded_api: Api, key_of: MakeKey, database_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(standing, "REMEMBERED_SECONDS", 0.1)
    monkeypatch.setattr(standing, "RECHECK_SECONDS", 0.1)
    key = await key_of("alice")
    async with guarded_api.http.stream("GET", "/stream", headers=key) as response, asyncio.timeout(20):
        frames = read_frames(response)
        assert (await anext(frames)).event == "status"
        await run_sql(database_dsn, "UPDATE api_keys SET revoked_at = now()")
        assert [frame.event async for frame in frames] == [""]


# ── when it was used ────────────────────────────────────────────────────────────────────────────────────────────────
async def test_its_last_use_is_written_now_and_then(
    settings: Settings, key_of: MakeKey, credentials: Credentials
) -> None:
    key, unused = await key_of("alice"), await key_of("bob")
    async with serving(settings) as api:
        for _ in range(3):
            assert (await api.http.get("/jobs", headers=key)).status_code == 200
        [row] = (await credentials.keys_named([prefix_of(key)])).values()
        assert row.last_used_at is None, "not at each request"
    rows = {row.prefix: row.last_used_at for row in await credentials.keys()}
    assert rows[prefix_of(key)] is not None, "at the latest when the process ends"
    assert rows[prefix_of(unused)] is None


async def test_revoked_keys_stay_to_be_told(credentials: Credentials, key_of: MakeKey) -> None:
    prefix = prefix_of(await key_of("alice"))
    assert await credentials.revoke_key(prefix)
    first = await credentials.keys_named([prefix])
    assert await credentials.revoke_key(prefix), "a second time is no error"
    assert await credentials.keys_named([prefix]) == first
    assert not await credentials.revoke_key("sf_aaaaaaaa")


def test_lookups_are_bounded() -> None:
    assert standing.MOST_REMEMBERED <= 10_000
    assert standing.REMEMBERED_SECONDS <= 5
    assert api_keys.LENGTH_BEHIND * 5.95 >= 255
