"""Who may watch where callers have to say who they are."""

import json
import time
from uuid import UUID, uuid4

import pytest
from callers import MakeKey
from factories import new_job
from serving import Api, assert_problem, serving

from streamforge.access.secret import InstallationSecret, Purpose
from streamforge.access.signatures import Signatures, SignedAddresses
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import Playback, Stage
from streamforge.db.jobs import Jobs
from streamforge.errors import ReceiptUnreadable
from streamforge.events.log import EventLog
from streamforge.keys import Keys
from streamforge.settings import KeySettings, PlaybackSettings, Settings
from streamforge.storage import layout
from streamforge.storage.local import LocalStorage
from streamforge.verification import verify

SEGMENT = b"some bytes of a film"
TOKEN = "a token of sixteen or more"


@pytest.fixture
async def film(settings: Settings, guarded_api: Api, jobs: Jobs, events: EventLog) -> UUID:
    """Of Ada, who said nothing of playback."""
    return await made(settings, jobs, events)


async def made(settings: Settings, jobs: Jobs, events: EventLog, **options: object) -> UUID:
    job = new_job(**options)
    await jobs.of("ada").create(job, progress=5, message="File received")
    playback = Playback(hls=layout.media(job.id, "master.m3u8"), dash=None)
    await events.append(job.id, JobChange(stage=Stage.TRANSCODING, message="Playable", playback=playback))
    storage = LocalStorage(settings.data_dir / "storage")
    for name in ("master.m3u8", "720p/0.m4s"):
        await storage.put_bytes(layout.output(job.id, name), SEGMENT)
    return job.id


async def test_streams_are_signed_unless_something_says_otherwise(
    guarded_api: Api, film: UUID, key_of: MakeKey
) -> None:
    ada = await key_of("ada", "read")
    playback = (await guarded_api.http.get(f"/jobs/{film}", headers=ada)).json()["playback"]
    assert (await guarded_api.http.get(playback["hls"])).content == SEGMENT
    fresh = await guarded_api.http.post(f"/jobs/{film}/playback/refresh", headers=ada)
    assert (await guarded_api.http.get(fresh.json()["hls"])).content == SEGMENT


async def test_without_a_signature_nobody_learns_whether_there_is_such_a_job(guarded_api: Api, film: UUID) -> None:
    for path in ("media/{}/master.m3u8", f"keys/{{}}/{'0' * 32}"):
        for job_id in (film, uuid4()):
            assert_problem(await guarded_api.http.get("/" + path.format(job_id)), 401, "auth.required")


async def test_callers_watch_their_own_without_a_signature(guarded_api: Api, film: UUID, key_of: MakeKey) -> None:
    """As curl and ffmpeg do, which can send a header; for nobody else to keep."""
    answer = await guarded_api.http.get(f"/media/{film}/720p/0.m4s", headers=await key_of("ada", "read"))
    assert (answer.content, answer.headers["cache-control"]) == (SEGMENT, "private, no-cache")
    key = Keys(guarded_api.settings).of_job(film)["video"]
    given = await guarded_api.http.get(f"/keys/{film}/{key.key_id}", headers=await key_of("ada", "read"))
    assert given.content == key.value


async def test_what_belongs_to_another_is_not_there(guarded_api: Api, film: UUID, key_of: MakeKey) -> None:
    bob = await key_of("bob", "read", "submit")
    assert_problem(await guarded_api.http.get(f"/media/{film}/master.m3u8", headers=bob), 404, "media.not_found")
    assert_problem(await guarded_api.http.get(f"/keys/{film}/{'0' * 32}", headers=bob), 404, "key.not_found")
    assert_problem(await guarded_api.http.post(f"/jobs/{film}/playback/refresh", headers=bob), 404, "job.not_found")


async def test_who_may_only_send_may_not_watch(guarded_api: Api, film: UUID, key_of: MakeKey) -> None:
    ada = await key_of("ada", "submit")
    for job_id in (film, uuid4()):
        answer = await guarded_api.http.get(f"/media/{job_id}/master.m3u8", headers=ada)
        assert_problem(answer, 403, "auth.scope_missing")
    assert_problem(
        await guarded_api.http.post(f"/jobs/{film}/playback/refresh", headers=ada), 403, "auth.scope_missing"
    )


async def test_a_public_stream_is_public(settings: Settings, guarded_api: Api, jobs: Jobs, events: EventLog) -> None:
    film = await made(settings, jobs, events, playback="public")
    for headers in ({}, {"Authorization": "Bearer nonsense"}):
        answer = await guarded_api.http.get(f"/media/{film}/720p/0.m4s", headers=headers)
        assert (answer.content, answer.headers["cache-control"][:6]) == (SEGMENT, "public")


async def test_where_streams_are_public_a_signed_one_is_as_if_it_were_not_there(
    settings: Settings, jobs: Jobs, events: EventLog, key_of: MakeKey
) -> None:
    public = settings.model_copy(update={"playback": PlaybackSettings(mode="public")})
    film = await made(settings, jobs, events, playback="signed")
    async with serving(public) as api:
        for job_id in (film, uuid4()):
            assert_problem(await api.http.get(f"/media/{job_id}/master.m3u8"), 404, "media.not_found")
        ada = await key_of("ada", "read")
        assert (await api.http.get(f"/media/{film}/master.m3u8", headers=ada)).content == SEGMENT


async def test_the_token_of_keys_is_no_credential_and_still_opens_them(
    settings: Settings, jobs: Jobs, events: EventLog, key_of: MakeKey
) -> None:
    """With it set a signature alone does not; the job's own people need neither."""
    with_token = settings.model_copy(update={"keys": KeySettings.model_validate({"token": TOKEN})})
    film = await made(settings, jobs, events)
    key = Keys(settings).of_job(film)["video"]
    signatures = Signatures(InstallationSecret(settings).key(Purpose.PLAYBACK))
    address = SignedAddresses(signatures, film, int(time.time()) + 60).of(f"/keys/{film}/{key.key_id}")
    async with serving(with_token) as api:
        for path in (f"/keys/{film}/{key.key_id}", address):
            assert_problem(await api.http.get(path), 401, "key.refused")
            for headers in ({"Authorization": f"Bearer {TOKEN}"}, await key_of("ada", "read")):
                assert (await api.http.get(path, headers=headers)).content == key.value
        assert_problem(await api.http.get("/jobs", headers={"Authorization": f"Bearer {TOKEN}"}), 401, "auth.invalid")


async def test_verify_works_with_a_signed_address(guarded_api: Api, film: UUID, key_of: MakeKey) -> None:
    """Manifests that name keys by signed addresses are compared as they are stored."""
    from hashlib import sha256

    playlist = f'#EXT-X-KEY:METHOD=AES-128,URI="/keys/{film}/00"\n'.encode()
    storage = LocalStorage(guarded_api.settings.data_dir / "storage")
    await storage.put_bytes(layout.output(film, "720p/index.m3u8"), playlist)
    listed = {"720p/index.m3u8": {"size_bytes": len(playlist), "sha256": sha256(playlist).hexdigest()}}
    receipt = json.dumps({"job_id": str(film), "files": listed}).encode()
    await storage.put_bytes(layout.output(film, "result.json"), receipt)
    told = (await guarded_api.http.get(f"/jobs/{film}", headers=await key_of("ada", "read"))).json()["playback"]["hls"]
    for address in (told, told.removesuffix("/master.m3u8")):
        assert (await verify(guarded_api.url + address)).problems == []
    with pytest.raises(ReceiptUnreadable, match=r"name its signed address, or a key with --api-key-file"):
        await verify(f"{guarded_api.url}/media/{film}")
