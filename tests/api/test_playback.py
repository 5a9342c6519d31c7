"""`playback`: a stream that everybody may watch who knows its job's id, or only who was given an address that is signed."""

import asyncio
import json
import re
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest
import pytest_asyncio
from factories import COMPLETED, FAILED, PROCESSING, accepted, run_sql
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import SecretStr
from serving import Api, assert_problem, serving

from streamforge.access.secret import InstallationSecret, Purpose
from streamforge.access.signatures import Opens, Signatures
from streamforge.client import StreamForgeClient
from streamforge.contracts.events import JobChange
from streamforge.contracts.job import Playback, Stage, TextView
from streamforge.contracts.media.stills import StillsView
from streamforge.contracts.pipeline import DownloadView, ProcessVideoResult
from streamforge.db.jobs import Jobs
from streamforge.db.pool import Database
from streamforge.embedded.ports import free_port
from streamforge.events.log import EventLog
from streamforge.keys import Keys
from streamforge.settings import AuthSettings, DatabaseSettings, ServerSettings, Settings, TemporalSettings
from streamforge.storage import layout
from streamforge.storage.local import LocalStorage

pytestmark = pytest.mark.asyncio(loop_scope="module")

SEGMENT = bytes(range(256)) * 4
FILES = (
    "master.m3u8",
    "manifest.mpd",
    "poster.jpg",
    "thumbnails.vtt",
    "sprites-0.jpg",
    "text-1/text.vtt",
    "downloads/720p.mp4",
)


@dataclass
class Films:
    """Jobs of one API as they are when they have completed, with files to be watched."""

    api: Api
    jobs: Jobs
    events: EventLog

    @property
    def storage(self) -> LocalStorage:
        return LocalStorage(self.api.settings.data_dir / "storage")

    async def make(self, **options: Any) -> UUID:
        job_id = await accepted(self.jobs, key="films/intro.mov", **options)
        for name in (*FILES, "720p/0.m4s", "720p/init.mp4"):
            await self.storage.put_bytes(layout.output(job_id, name), SEGMENT)
        await self.storage.put_bytes(layout.output(job_id, "720p/playlist.m3u8"), self.playlist(job_id))
        await self.events.append(job_id, PROCESSING)
        await self.events.append(job_id, self.playable(job_id))
        done = COMPLETED.model_copy(update={"result": self.result(job_id), "playback": self.playback(job_id)})
        await self.events.append(job_id, done)
        return job_id

    def playable(self, job_id: UUID) -> JobChange:
        return JobChange(
            event="playable", stage=Stage.TRANSCODING, message="Playable in 720p", playback=self.playback(job_id)
        )

    def playback(self, job_id: UUID) -> Playback:
        def at(name: str) -> str:
            return layout.media(job_id, name)

        return Playback(
            hls=at("master.m3u8"),
            dash=at("manifest.mpd"),
            poster=at("poster.jpg"),
            thumbnails=at("thumbnails.vtt"),
            captions=[TextView(label="English", kind="captions", src=at("text-1/text.vtt"))],
            license=f"/keys/{job_id}/license",
        )

    def result(self, job_id: UUID) -> dict[str, Any]:
        download = DownloadView(rendition="720p", path=layout.media(job_id, "downloads/720p.mp4"), size_bytes=1024)
        return ProcessVideoResult(
            duration=2.0,
            size_bytes=1024,
            file_count=1,
            source_sha256="0" * 64,
            renditions=[],
            playback=self.playback(job_id),
            downloads=[download],
            pictures=StillsView(sprites=[layout.media(job_id, "sprites-0.jpg")]),
        ).model_dump(mode="json")

    def key_url(self, job_id: UUID) -> str:
        return f"/keys/{job_id}/{Keys(self.api.settings).of_job(job_id)['video'].key_id}"

    def playlist(self, job_id: UUID) -> bytes:
        return f'#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="{self.key_url(job_id)}"\n0.m4s\n'.encode()

    def signed(self, job_id: UUID, name: str, *, seconds: float = 60, opens: Opens = Opens.MEDIA) -> str:
        """An address as this API signs them, for so long from now."""
        signatures = Signatures(InstallationSecret(self.api.settings).key(Purpose.PLAYBACK))
        return f"/{opens}/{job_id}/{signatures.segment(opens, job_id, int(time.time() + seconds))}/{name}"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def films(postgres_dsn: str, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Films]:
    name = f"playback_{uuid4().hex}"
    await run_sql(postgres_dsn, f"CREATE DATABASE {name} TEMPLATE streamforge_template")
    chosen = Settings(
        data_dir=tmp_path_factory.mktemp("playback") / "data",
        server=ServerSettings(port=0),
        database=DatabaseSettings(dsn=postgres_dsn.rpartition("/")[0] + f"/{name}"),
        temporal=TemporalSettings(address=f"127.0.0.1:{free_port('127.0.0.1')}"),
        auth=AuthSettings(secret=SecretStr("a secret of this installation, for tests")),
        profiles={"default": {}, "members": {"playback": {"mode": "signed"}}},
    )
    database = await Database.open(str(chosen.database.dsn))
    try:
        async with serving(chosen) as api:
            yield Films(api, Jobs(database), EventLog(database))
    finally:
        await database.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def signed(films: Films) -> UUID:
    return await films.make(playback="signed")


def addresses(value: Any) -> Iterator[str]:
    """All in a JSON document."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from addresses(each)
    elif isinstance(value, str) and value.startswith(("/media/", "/keys/")):
        yield value


# ── what is told ────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_every_address_that_a_job_tells_is_signed_and_good(films: Films, signed: UUID) -> None:
    job = await films.api.job(signed)
    found = list(addresses(job))
    assert len(found) == 2 * 6 + 2
    for address in found:
        assert re.match(rf"/(media|keys)/{signed}/~1-\d+-[\w-]{{43}}/[^~]+$", address)
        if address.startswith("/media/"):
            assert (await films.api.http.get(address)).content == SEGMENT


async def test_lists_tell_the_same(films: Films, signed: UUID) -> None:
    for query in ("limit=100", f"ids={signed}"):
        jobs = (await films.api.http.get(f"/jobs?{query}")).json()["jobs"]
        [listed] = [job for job in jobs if job["id"] == str(signed)]
        assert all("/~1-" in address for address in addresses(listed))


async def test_it_is_told_how_long_they_are_good(films: Films, signed: UUID) -> None:
    playback: Any = (await films.api.job(signed))["playback"]
    expires = int(playback["hls"].split("~1-")[1].split("-")[0])
    lifetime = films.api.settings.playback.expires_seconds
    assert lifetime * 11 / 12 - 5 < expires - time.time() <= lifetime
    told = Playback.model_validate(playback).expires_at
    assert told is not None
    assert told.timestamp() == expires


async def test_events_have_no_addresses_that_a_replay_would_bring_when_they_are_over(
    films: Films, signed: UUID
) -> None:
    events = (await films.api.http.get(f"/jobs/{signed}/events")).json()["events"]
    assert "playable" in [event["event"] for event in events]
    assert "/media/" not in json.dumps(events)
    assert "/media/" not in str(await films.api.whole_stream(signed))


async def test_what_is_stored_is_plain(films: Films, signed: UUID) -> None:
    job = await films.jobs.of("everyone").get(signed)
    assert job is not None
    assert job.playback == films.playback(signed)


async def test_a_public_stream_needs_no_signature_and_has_none(films: Films) -> None:
    for options in ({"playback": "public", "profile": "members"}, {}):
        job_id = await films.make(**options)
        job = await films.api.job(job_id)
        assert Playback.model_validate(job["playback"]) == films.playback(job_id)
        for address in addresses(job["playback"]):
            if address.startswith("/media/"):
                assert (await films.api.http.get(address)).content == SEGMENT


async def test_a_profile_says_it_for_its_jobs(films: Films) -> None:
    job_id = await films.make(profile="members")
    assert_problem(await films.api.http.get(f"/media/{job_id}/master.m3u8"), 404, "media.not_found")
    assert all("/~1-" in address for address in addresses(await films.api.job(job_id)))


async def test_a_word_that_a_later_version_wrote_is_not_taken_for_public(films: Films) -> None:
    job_id = await films.make()
    await run_sql(
        str(films.api.settings.database.dsn),
        """UPDATE jobs SET options = options || '{"playback": "members"}' WHERE id = $1""",
        job_id,
    )
    assert_problem(await films.api.http.get(f"/media/{job_id}/master.m3u8"), 404, "media.not_found")


async def test_another_word_is_refused(films: Films) -> None:
    refused = await films.api.post(playback="private")
    assert_problem(refused, 400, "request.invalid_field")
    assert "`playback`" in refused.json()["detail"]


# ── to be asked for again ───────────────────────────────────────────────────────────────────────────────────────────
async def test_refresh_gives_addresses_that_are_good(films: Films, signed: UUID) -> None:
    answer = await films.api.http.post(f"/jobs/{signed}/playback/refresh")
    assert answer.headers["cache-control"] == "no-store"
    assert (await films.api.http.get(answer.json()["hls"])).content == SEGMENT
    async with StreamForgeClient(films.api.url) as client:
        assert (await client.refresh_playback(signed)).hls == answer.json()["hls"]


async def test_where_there_is_nothing_to_play_it_says_so(films: Films) -> None:
    failed = await accepted(films.jobs, playback="signed")
    await films.events.append(failed, FAILED.model_copy(update={"playback": films.playback(failed)}))
    for job_id, sentence in ((await accepted(films.jobs), "yet"), (failed, "failed")):
        refused = await films.api.http.post(f"/jobs/{job_id}/playback/refresh")
        assert_problem(refused, 409, "playback.nothing_there")
        assert sentence in refused.json()["detail"]
    assert_problem(await films.api.http.post(f"/jobs/{uuid4()}/playback/refresh"), 404, "job.not_found")


async def test_a_stream_that_grows_is_watched_on_under_fresh_addresses(films: Films) -> None:
    """Both at once, and each with what is newest."""
    job_id = await accepted(films.jobs, playback="signed")
    await films.events.append(job_id, PROCESSING)
    await films.events.append(job_id, films.playable(job_id))
    before, after = (films.signed(job_id, "720p/playlist.m3u8", seconds=seconds) for seconds in (60, 120))
    for number in range(2):
        folder = layout.growing(job_id, number, 1)
        content = films.playlist(job_id) + f"{number}.m4s\n".encode()
        await films.storage.put_bytes(f"{folder}720p/playlist.m3u8", content)
        await films.storage.put_bytes(f"{folder}{layout.COMPLETE}", b"")
        for address in (before, after):
            assert (await films.api.http.get(f"{address}?as=stored")).content == content
    assert_problem(
        await films.api.http.get(films.signed(job_id, "720p/playlist.m3u8", seconds=-1)), 403, "playback.expired"
    )
    assert (await films.api.http.post(f"/jobs/{job_id}/playback/refresh")).json()["hls"]


# ── who may not ─────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_without_a_signature_it_is_as_if_there_were_no_such_job(films: Films, signed: UUID) -> None:
    """In every byte."""
    key_id = films.key_url(signed).rpartition("/")[2]
    paths = ["media/{}/master.m3u8", "media/{}/720p/0.m4s", "media/{}/result.json", f"keys/{{}}/{key_id}"]
    for path in paths:
        there = await films.api.http.get("/" + path.format(signed))
        nowhere = await films.api.http.get("/" + path.format(uuid4()))
        assert there.status_code == 404
        assert_alike(there, nowhere)
    license_of = "/keys/{}/license"
    body = {"kids": ["AAAA"]}
    assert_alike(
        await films.api.http.post(license_of.format(signed), json=body),
        await films.api.http.post(license_of.format(uuid4()), json=body),
    )


def assert_alike(left: Any, right: Any) -> None:
    told = [(answer.status_code, answer.json() | {"request_id": None}) for answer in (left, right)]
    assert told[0] == told[1]
    assert set(left.headers) == set(right.headers)


async def test_a_wrong_signature_says_the_same_of_every_job(films: Films, signed: UUID) -> None:
    other = films.signed(await films.make(playback="signed"), "master.m3u8").split("/")[3]
    for job_id in (signed, uuid4(), await films.make()):
        for segment in (other, "~", "~1-2000000000-" + "A" * 43, "~~", "~ü"):
            for path in (
                f"media/{job_id}/{segment}/master.m3u8",
                f"media/{job_id}/{segment}",
                f"keys/{job_id}/{segment}/{'0' * 32}",
            ):
                assert_problem(await films.api.http.get(f"/{path}"), 403, "playback.refused")


async def test_one_that_is_over_says_that_it_is(films: Films, signed: UUID) -> None:
    for job_id in (signed, uuid4()):
        refused = await films.api.http.get(films.signed(job_id, "master.m3u8", seconds=-1))
        assert_problem(refused, 403, "playback.expired")
        assert refused.headers["cache-control"] == "no-store"


async def test_a_page_elsewhere_can_read_why(films: Films, signed: UUID) -> None:
    for address in (films.signed(signed, "720p/0.m4s"), films.signed(signed, "720p/0.m4s", seconds=-1)):
        answer = await films.api.http.get(address, headers={"Origin": "https://player.example"})
        assert answer.headers["access-control-allow-origin"] == "*"


TRICKS = st.sampled_from(
    ["..", "%2e%2e", ".%2E", ".", "", "%2f", "%5c", "~", "%7e", "a", "..%2f", "%00", "%252e%252e", "media"]
)


@settings(max_examples=60)
@given(
    before=st.lists(TRICKS, max_size=4),
    after=st.lists(TRICKS, max_size=5),
    end=st.sampled_from(["master.m3u8", "720p/0.m4s"]),
)
async def test_no_path_leads_from_one_job_into_another(
    films: Films, signed: UUID, before: list[str], after: list[str], end: str
) -> None:
    """Sent as it is: clients tidy such paths up."""
    other = await another(films)
    here = films.signed(signed, "").strip("/").split("/")
    path = "/".join(["", here[0], *before, *here[1:], *after, str(other), end])
    status, answer = await raw_get(films.api, path)
    assert status in {400, 403, 404}, path
    assert SEGMENT not in answer


async def another(films: Films) -> UUID:
    """The same for all examples."""
    if not hasattr(films, "other"):
        films.other = await films.make(playback="signed")  # type: ignore[attr-defined]
    return films.other  # type: ignore[attr-defined,no-any-return]


async def raw_get(api: Api, path: str) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection(*api.address)
    writer.write(f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return int(answer.split(b" ", 2)[1]), answer


# ── as before, under a signed address ───────────────────────────────────────────────────────────────────────────────
async def test_ranges_heads_and_etags(films: Films, signed: UUID) -> None:
    address = films.signed(signed, "720p/0.m4s")
    whole, head = await films.api.http.get(address), await films.api.http.head(address)
    assert head.content == b""
    assert head.headers["content-length"] == "1024"
    assert head.headers["etag"] == whole.headers["etag"]
    part = await films.api.http.get(address, headers={"Range": "bytes=1000-"})
    assert (part.status_code, part.content) == (206, SEGMENT[1000:])
    known = await films.api.http.get(address, headers={"If-None-Match": whole.headers["etag"]})
    assert known.status_code == 304
    over = films.signed(signed, "720p/0.m4s", seconds=-1)
    refused = await films.api.http.get(over, headers={"If-None-Match": whole.headers["etag"]})
    assert_problem(refused, 403, "playback.expired")


async def test_what_is_saved_is_named_after_the_film(films: Films, signed: UUID) -> None:
    saved = await films.api.http.get(f"{films.signed(signed, 'downloads/720p.mp4')}?download=1")
    assert saved.headers["content-disposition"] == "attachment; filename*=UTF-8''intro-720p.mp4"


async def test_no_cache_has_it_for_longer_than_it_may_be_watched(films: Films, signed: UUID) -> None:
    answer = await films.api.http.get(films.signed(signed, "720p/0.m4s", seconds=600))
    kept = re.fullmatch(r"public, max-age=(\d+), must-revalidate, immutable", answer.headers["cache-control"])
    assert kept is not None
    assert 570 < int(kept[1]) <= 600
    for name in ("master.m3u8", "poster.jpg", "text-1/text.vtt"):
        assert (await films.api.http.get(films.signed(signed, name))).headers["cache-control"] == "no-cache"


async def test_no_log_line_has_a_signature(films: Films, signed: UUID, capsys: pytest.CaptureFixture[str]) -> None:
    address = films.signed(signed, "720p/0.m4s")
    await films.api.http.get(address)
    await films.api.http.get(address.replace("~", "%7E"))
    written = capsys.readouterr()
    assert f"/media/{signed}/~/720p/0.m4s" in written.out + written.err
    assert address.split("/")[3].lstrip("~") not in written.out + written.err


# ── keys ────────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_a_manifest_that_may_be_watched_names_keys_that_may_be_had(films: Films, signed: UUID) -> None:
    key = Keys(films.api.settings).of_job(signed)["video"]
    playlist = (await films.api.http.get(films.signed(signed, "720p/playlist.m3u8"))).text
    [address] = re.findall(r'URI="([^"]*)"', playlist)
    assert re.fullmatch(rf"/keys/{signed}/~1-\d+-[\w-]{{43}}/{key.key_id}", address)
    answer = await films.api.http.get(address)
    assert (answer.content, answer.headers["cache-control"]) == (key.value, "no-store")
    again = (await films.api.http.get(films.signed(signed, "720p/playlist.m3u8"))).text
    assert re.sub("~[^/]*", "", again) == re.sub("~[^/]*", "", playlist)


async def test_the_licence_of_common_encryption_too(films: Films, signed: UUID) -> None:
    playback: Any = (await films.api.job(signed))["playback"]
    key = Keys(films.api.settings).of_job(signed)["video"]
    kid = base64url(bytes.fromhex(key.key_id))
    answer = await films.api.http.post(
        playback["license"], json={"kids": [kid]}, headers={"Origin": "https://player.example"}
    )
    assert kid in {each["kid"] for each in answer.json()["keys"]}


async def test_a_signature_for_files_opens_no_key_and_one_for_keys_no_file(films: Films, signed: UUID) -> None:
    media, keys = (films.signed(signed, "x", opens=opens).split("/")[3] for opens in Opens)
    key_id = films.key_url(signed).rpartition("/")[2]
    for path in (f"/keys/{signed}/{media}/{key_id}", f"/media/{signed}/{keys}/master.m3u8"):
        assert_problem(await films.api.http.get(path), 403, "playback.refused")


async def test_keys_of_a_public_stream_are_for_who_reads_its_playlist(films: Films) -> None:
    job_id = await films.make(playback="public")
    answer = await films.api.http.get(films.key_url(job_id))
    assert answer.content == Keys(films.api.settings).of_job(job_id)["video"].value


def base64url(data: bytes) -> str:
    from base64 import urlsafe_b64encode

    return urlsafe_b64encode(data).decode().rstrip("=")
