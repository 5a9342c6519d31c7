"""`/media/<job>/…`: what players need, and no way to anything else."""

import asyncio
import itertools
from uuid import UUID, uuid4

import pytest
from factories import accepted
from hypothesis import given
from hypothesis import strategies as st
from serving import Api, assert_problem

from streamforge.api.http.ranges import UnsatisfiableRange, parse_range
from streamforge.db.jobs import Jobs
from streamforge.storage import layout
from streamforge.storage.growing import forget_older
from streamforge.storage.local import LocalStorage

SEGMENT = bytes(range(256)) * 4

JOB = UUID("550e8400-e29b-41d4-a716-446655440000")


@pytest.fixture
async def media(api: Api) -> str:
    """The address of a job's output with a manifest and a segment."""
    store = LocalStorage(api.settings.data_dir / "storage")
    for name, content in {
        "master.m3u8": b"#EXTM3U\n",
        "manifest.mpd": b"<MPD/>",
        "720p/0.m4s": SEGMENT,
        "720p/init.mp4": b"init",
        "captions/en.vtt": b"WEBVTT\n",
        "poster.jpg": b"jpg",
        "report.json": b"{}",
    }.items():
        await store.put_bytes(layout.output(JOB, name), content)
    await store.put_bytes(layout.original(JOB), b"private")
    return f"/media/{JOB}"


# ── whole files ─────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_types_and_caching_that_players_and_caches_expect(api: Api, media: str) -> None:
    expected = {
        "master.m3u8": ("application/vnd.apple.mpegurl", "no-cache"),
        "manifest.mpd": ("application/dash+xml", "no-cache"),
        "720p/0.m4s": ("video/mp4", "public, max-age=31536000, immutable"),
        "720p/init.mp4": ("video/mp4", "public, max-age=31536000, immutable"),
        "captions/en.vtt": ("text/vtt", "no-cache"),
        "poster.jpg": ("image/jpeg", "no-cache"),
        "report.json": ("application/json", "no-cache"),
    }
    for name, (content_type, caching) in expected.items():
        response = await api.http.get(f"{media}/{name}")
        assert response.status_code == 200
        assert response.headers["content-type"].partition(";")[0] == content_type
        assert response.headers["cache-control"] == caching
        assert response.headers["content-length"] == str(len(response.content))
        # A manifest may be replaced between two ranges of it.
        assert response.headers["accept-ranges"] == ("none" if name.endswith((".m3u8", ".mpd")) else "bytes")


async def test_head_is_get_without_the_bytes(api: Api, media: str) -> None:
    head, get = await api.http.head(f"{media}/720p/0.m4s"), await api.http.get(f"{media}/720p/0.m4s")
    assert head.content == b""
    for header in ("content-length", "content-type", "etag", "last-modified", "cache-control"):
        assert head.headers[header] == get.headers[header]


async def test_a_player_on_another_site_may_read_it(api: Api, media: str) -> None:
    response = await api.http.get(
        f"{media}/720p/0.m4s", headers={"Origin": "https://player.example", "Range": "bytes=0-1"}
    )
    assert response.headers["access-control-allow-origin"] == "*"
    assert {"content-range", "content-length"} <= {
        name.strip().lower() for name in response.headers["access-control-expose-headers"].split(",")
    }


async def test_what_is_known_is_not_sent_again(api: Api, media: str) -> None:
    etag = (await api.http.get(f"{media}/master.m3u8")).headers["etag"]
    for known in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        response = await api.http.get(f"{media}/master.m3u8", headers={"If-None-Match": known})
        assert (response.status_code, response.content) == (304, b"")
        assert response.headers["etag"] == etag
    assert (await api.http.get(f"{media}/master.m3u8", headers={"If-None-Match": '"other"'})).status_code == 200


async def test_a_manifest_that_is_replaced_all_the_time_is_never_half_a_file(api: Api) -> None:
    """While a job runs its manifests grow; the length of one with the bytes of another would be neither."""
    storage = LocalStorage(api.settings.data_dir / "storage")
    name = layout.output(JOB, "master.m3u8")
    versions = [(f"#EXTM3U\n# version {n}\n" * (n + 1)).encode() for n in range(40)]
    await storage.put_bytes(name, versions[0])
    seen: set[bytes] = set()

    async def replace() -> None:
        for version in itertools.cycle(versions):
            await storage.put_bytes(name, version)

    replacing = asyncio.create_task(replace())
    while len(seen) < 10:
        seen.add((await api.http.get(f"/media/{JOB}/master.m3u8")).content)
    replacing.cancel()
    assert seen <= set(versions)


# ── to be saved ─────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("key", "file_name"),
    [
        ("clip.mp4", "clip-init.mp4"),
        ("films/Spring (1).mov", "Spring%20%281%29-init.mp4"),
        ("Jülich", "J%C3%BClich-init.mp4"),
        ('x"; filename=evil.exe; y=".mp4', "x%22%3B%20filename%3Devil.exe%3B%20y%3D%22-init.mp4"),
    ],
)
async def test_what_is_saved_is_named_after_the_film(api: Api, rows: Jobs, key: str, file_name: str) -> None:
    job_id = await accepted(rows, key=key)
    store = LocalStorage(api.settings.data_dir / "storage")
    await store.put_bytes(layout.output(job_id, "720p/init.mp4"), b"init")
    response = await api.http.get(f"/media/{job_id}/720p/init.mp4?download=1")
    assert response.content == b"init"
    assert response.headers["content-disposition"] == f"attachment; filename*=UTF-8''{file_name}"
    played = await api.http.get(f"/media/{job_id}/720p/init.mp4")
    assert "content-disposition" not in played.headers


async def test_what_no_job_owns_has_a_name_too(api: Api, media: str) -> None:
    response = await api.http.get(f"{media}/poster.jpg?download=1")
    assert response.headers["content-disposition"] == "attachment; filename*=UTF-8''video-poster.jpg"


# ── ranges ──────────────────────────────────────────────────────────────────────────────────────────────────────────
@pytest.mark.parametrize(
    ("header", "start", "end"),
    [("bytes=0-99", 0, 100), ("bytes=1000-", 1000, 1024), ("bytes=-24", 1000, 1024), ("bytes=1000-9999", 1000, 1024)],
)
async def test_a_range(api: Api, media: str, header: str, start: int, end: int) -> None:
    response = await api.http.get(f"{media}/720p/0.m4s", headers={"Range": header})
    assert response.status_code == 206
    assert response.content == SEGMENT[start:end]
    assert response.headers["content-range"] == f"bytes {start}-{end - 1}/1024"
    assert response.headers["content-length"] == str(end - start)


async def test_a_range_outside_of_the_file(api: Api, media: str) -> None:
    for header in ("bytes=1024-", "bytes=5000-6000", "bytes=-0"):
        response = await api.http.get(f"{media}/720p/0.m4s", headers={"Range": header})
        assert_problem(response, 416, "media.range_not_satisfiable")
        assert response.headers["content-range"] == "bytes */1024"


async def test_a_range_that_may_be_ignored_is(api: Api, media: str) -> None:
    for header in ("bytes=0-1,5-6", "lines=1-2", "bytes=9-1", "bytes=x-", "bytes=-"):
        response = await api.http.get(f"{media}/720p/0.m4s", headers={"Range": header})
        assert (response.status_code, response.content) == (200, SEGMENT)


async def test_a_range_of_bytes_that_have_changed_is_answered_with_the_whole(api: Api, media: str) -> None:
    whole = await api.http.get(f"{media}/720p/0.m4s")
    for condition, status in (
        (whole.headers["etag"], 206),
        (whole.headers["last-modified"], 206),
        ('"other"', 200),
        (f"W/{whole.headers['etag']}", 200),
    ):
        headers = {"Range": "bytes=0-1", "If-Range": condition}
        assert (await api.http.get(f"{media}/720p/0.m4s", headers=headers)).status_code == status


@given(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60))
def test_a_range_never_leaves_the_file(size: int, first: int, last: int) -> None:
    whole = bytes(size)
    for header in (f"bytes={first}-{last}", f"bytes={first}-", f"bytes=-{last}"):
        try:
            found = parse_range(header, size)
        except UnsatisfiableRange:
            continue
        if found is not None:
            assert found.length == len(whole[found.start : found.start + found.length]) > 0


# ── no way out ──────────────────────────────────────────────────────────────────────────────────────────────────────
ESCAPES = [
    "../550e8400-e29b-41d4-a716-446655440000/master.m3u8",
    "../../input/550e8400-e29b-41d4-a716-446655440000/original",
    "%2e%2e/%2e%2e/input/550e8400-e29b-41d4-a716-446655440000/original",
    "..%2f..%2finput%2f550e8400-e29b-41d4-a716-446655440000%2foriginal",
    "720p/../../../../../../../../etc/passwd",
    "..%5c..%5cinput",
    "/etc/passwd",
    "%2fetc%2fpasswd",
    "./master.m3u8",
    "master.m3u8/",
    "720p",
    "720p/",
    "",
    "nothing.m4s",
    "%ff%fe",
    "x" * 5000,
    "x/" * 3000 + "x",
]


async def test_only_files_of_the_jobs_output_are_there(api: Api, media: str) -> None:
    """Sent by hand: HTTP clients tidy such paths up before they send them."""
    for escape in ESCAPES:
        status, body = await raw_get(api, f"{media}/{escape}")
        assert (status, b"private" in body, b'"code"' in body) == (404, False, True), (escape, body)


async def test_a_job_id_that_is_none(api: Api, media: str) -> None:
    for job_id in ("..", "%2e%2e", "input", str(JOB).replace("-", "")):
        status, body = await raw_get(api, f"/media/{job_id}/master.m3u8")
        assert status == 400, body
    assert (await api.http.get(f"/media/{uuid4()}/master.m3u8")).status_code == 404


async def raw_get(api: Api, path: str) -> tuple[int, bytes]:
    reader, writer = await asyncio.open_connection(*api.address)
    writer.write(f"GET {path.replace(' ', '%20')} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n".encode())
    answer = await reader.read()
    writer.close()
    return int(answer.split(b" ", 2)[1]), answer


# ── while it grows ──────────────────────────────────────────────────────────────────────────────────────────────────
class TestGrowing:
    """Manifests of a stream that is still being encoded lie elsewhere, and are served under the names that stay."""

    async def publish(self, api: Api, number: int, attempt: int = 1, *, whole: bool = True, **files: bytes) -> None:
        storage = LocalStorage(api.settings.data_dir / "storage")
        folder = layout.growing(JOB, number, attempt)
        for name, content in files.items():
            await storage.put_bytes(f"{folder}{name}.m3u8", content)
        if whole:
            await storage.put_bytes(f"{folder}{layout.COMPLETE}", b"")
        await forget_older(storage, JOB, folder)

    async def shown(self, api: Api, name: str = "now") -> bytes | int:
        response = await api.http.get(f"/media/{JOB}/{name}.m3u8")
        return response.content if response.status_code == 200 else response.status_code

    async def test_the_newest_that_is_whole_is_shown(self, api: Api) -> None:
        assert await self.shown(api) == 404
        await self.publish(api, 0, now=b"first")
        assert await self.shown(api) == b"first"
        await self.publish(api, 1, whole=False, now=b"half of it")
        assert await self.shown(api) == b"first"
        await self.publish(api, 10, now=b"tenth")
        assert await self.shown(api) == b"tenth"

    async def test_an_attempt_that_comes_late_is_never_shown(self, api: Api) -> None:
        await self.publish(api, 3, attempt=2, now=b"newer")
        await self.publish(api, 3, attempt=1, now=b"late")
        await self.publish(api, 2, attempt=1, now=b"later still")
        assert await self.shown(api) == b"newer"

    async def test_the_final_one_is_shown_whoever_writes_a_growing_one(self, api: Api) -> None:
        storage = LocalStorage(api.settings.data_dir / "storage")
        await self.publish(api, 0, now=b"growing")
        await storage.put_bytes(layout.output(JOB, "now.m3u8"), b"final")
        await self.publish(api, 1, now=b"late")
        assert await self.shown(api) == b"final"

    async def test_what_nobody_looks_into_any_more_is_removed(self, api: Api) -> None:
        for number in range(5):
            await self.publish(api, number, now=b"x")
        folders = await LocalStorage(api.settings.data_dir / "storage").list_folders(layout.growing_folder(JOB))
        assert folders == ["000003-000001", "000004-000001"]

    async def test_it_is_validated_like_any_other(self, api: Api) -> None:
        await self.publish(api, 0, now=b"first")
        response = await api.http.get(f"/media/{JOB}/now.m3u8")
        again = {"If-None-Match": response.headers["etag"]}
        assert (await api.http.get(f"/media/{JOB}/now.m3u8", headers=again)).status_code == 304
        await self.publish(api, 1, now=b"second")
        assert (await api.http.get(f"/media/{JOB}/now.m3u8", headers=again)).content == b"second"
        assert (await api.http.head(f"/media/{JOB}/now.m3u8")).headers["content-length"] == "6"

    async def test_only_manifests_grow(self, api: Api) -> None:
        storage = LocalStorage(api.settings.data_dir / "storage")
        await self.publish(api, 0, now=b"x")
        await storage.put_bytes(f"{layout.growing(JOB, 0, 1)}secret.json", b"x")
        for name in ("secret.json", layout.COMPLETE, "../growing/now.m3u8"):
            assert (await raw_get(api, f"/media/{JOB}/{name}"))[0] == 404
