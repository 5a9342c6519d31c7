"""`POST /process` with an address in place of a video: what is taken, what is refused, and what nobody gets to see."""

from uuid import UUID, uuid4

import httpx
import pytest
from factories import FAILED, run_sql
from serving import Api, assert_problem, read_everywhere, serving

from streamforge.events.log import EventLog
from streamforge.settings import LimitsSettings, Settings, SourceUrlsSettings

URL = "https://93.184.215.14/films/holiday.mp4"
SIGNED = "https://alice:pa55word@93.184.215.14/films/holiday.mp4?X-Amz-Signature=5ecret#t=5"
"""By an address: no test asks a resolver."""


async def post(api: Api, url: object = URL, **fields: object) -> httpx.Response:
    return await api.http.post("/process", json={"source_url": url, **fields})


async def post_ok(api: Api, url: str = URL, **fields: object) -> str:
    response = await post(api, url, **fields)
    assert response.status_code == 202, response.text
    return str(response.json()["job_id"])


async def test_an_address_is_accepted_at_once(api: Api) -> None:
    response = await post(api)
    assert response.status_code == 202
    job_id = response.json()["job_id"]
    assert response.json() == {"job_id": str(UUID(job_id)), "message": "Video processing started"}
    assert response.headers["location"] == f"/jobs/{job_id}"
    job = await read_everywhere(api, job_id)
    assert (job["key"], job["status"], job["stage"], job["progress"], job["size_bytes"], job["source_url"]) == (
        "holiday.mp4", "pending", "uploading", 0, 0, URL,
    )  # fmt: skip
    assert [event["message"] for event in job["latest_events"]] == ["Waiting to be downloaded"]


async def test_it_takes_all_options_that_a_form_takes(api: Api) -> None:
    options = {
        "priority": 1, "profile": "hevc", "captions": "de", "on_damage": "keep", "external_id": "42", "metadata": {"a": [1]},
        "webhook_url": "https://example.org/hook", "playback": "signed",
    }  # fmt: skip
    job = await api.job(await post_ok(api, key="films/intro.mp4", **options))
    assert job["key"] == "films/intro.mp4"
    assert job["options"] == options | {"webhook_url": "https://example.org/…"}


async def test_passwords_and_signatures_are_shown_to_nobody(api: Api, database_dsn: str) -> None:
    job_id = await post_ok(api, SIGNED)
    shown = "https://93.184.215.14/films/holiday.mp4?…"
    assert (await api.job(job_id))["source_url"] == shown
    everything = [
        (await api.http.get(path)).text
        for path in (f"/jobs/{job_id}", "/jobs", f"/jobs/{job_id}/events", f"/jobs/{job_id}/logs")
    ]
    rows = await run_sql(
        database_dsn, "SELECT jobs::text || e::text AS text FROM jobs JOIN progress_events e ON job_id = jobs.id"
    )
    everything += [row["text"] for row in rows]
    assert all("pa55word" not in text and "5ecret" not in text for text in everything)
    assert [row["url"] for row in await run_sql(database_dsn, "SELECT url FROM fetches")] == [SIGNED]


@pytest.mark.parametrize(
    "url",
    [
        "", "holiday.mp4", "/films/holiday.mp4", "ftp://example.org/a.mp4", "file:///etc/passwd", "http:///a.mp4", "https://",
        "http://example.org:0/", "http://exa mple.org/", "http://example.org\\@10.0.0.1/", "http://example.org/\n", "s3://films",
        "s3://films/", "s3://films/../a.mp4", "s3://FILMS/a.mp4", "javascript:alert(1)", "https://example.org/" + "a" * 8192,
        "http://[::1", "http://example.org:99999/", 5, None,
    ],
)  # fmt: skip
async def test_what_is_no_address_is_refused(api: Api, url: object) -> None:
    refused = await post(api, url)
    assert_problem(refused, 400, "request.invalid_field")
    assert "source_url" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"priority": 9}, "`priority` is a number from 1"),
        ({"priority": True}, "`priority`"),
        ({"profile": "none"}, "`profile` names no profile"),
        ({"metadata": [1]}, "`metadata`"),
        ({"video": "x"}, "no field `video`"),
        ({"key": "../up"}, "key"),
    ],
)
async def test_options_are_checked_as_those_of_a_form(api: Api, fields: dict[str, object], word: str) -> None:
    refused = await post(api, **fields)
    assert refused.status_code == 400
    assert word in refused.json()["detail"]


async def test_an_address_is_needed(api: Api) -> None:
    assert_problem(await api.http.post("/process", json={}), 400, "request.invalid_field")
    assert_problem(await api.http.post("/process", json=[URL]), 400, "request.invalid_field")
    dry_run = await api.http.post("/process?dry_run=true", json={"source_url": URL})
    assert_problem(dry_run, 400, "request.invalid_field")


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "2130706433", "0x7f.1", "localhost", "10.0.0.1", "169.254.169.254", "[::1]", "[::ffff:127.0.0.1]"],
)
async def test_our_own_networks_are_closed(api: Api, host: str) -> None:
    assert_problem(await post(api, f"http://{host}/a.mp4"), 400, "request.address_refused")


async def test_buckets_are_closed_until_an_operator_names_them(settings: Settings) -> None:
    open_to = settings.model_copy(update={"source_urls": SourceUrlsSettings(buckets=["s3://films/public"])})
    async with serving(open_to) as api:
        for url in (
            "s3://films/private/a.mp4",
            "s3://films/public-not/a.mp4",
            "gs://films/public/a.mp4",
            "az://films/a.mp4",
        ):
            assert_problem(await post(api, url), 400, "source_url.not_allowed")
        job = await api.job(await post_ok(api, "s3://films/public/a b.mp4"))
        assert (job["key"], job["source_url"]) == ("a b.mp4", "s3://films/public/a b.mp4")


async def test_an_operator_can_have_nothing_fetched(settings: Settings) -> None:
    closed = settings.model_copy(update={"source_urls": SourceUrlsSettings(enabled=False)})
    async with serving(closed) as api:
        assert_problem(await post(api), 400, "source_url.not_allowed")


async def test_named_by_an_idempotency_key_it_is_made_once(api: Api) -> None:
    named = {"Idempotency-Key": str(uuid4())}
    first, again = [await api.http.post("/process", json={"source_url": SIGNED}, headers=named) for _ in range(2)]
    assert first.json() == again.json()
    other = await api.http.post("/process", json={"source_url": URL}, headers=named)
    assert_problem(other, 422, "request.idempotency_key_reused")
    assert len((await api.http.get("/jobs")).json()["jobs"]) == 1


async def test_jobs_that_wait_for_their_video_count(settings: Settings) -> None:
    limited = settings.model_copy(update={"limits": LimitsSettings(unfinished_jobs=1)})
    async with serving(limited) as api:
        await post_ok(api)
        assert_problem(await post(api), 429, "limits.unfinished_jobs")


async def test_one_that_failed_can_be_tried_again_while_its_address_is_known(
    api: Api, events: EventLog, database_dsn: str
) -> None:
    job_id = await post_ok(api)
    await events.append(UUID(job_id), FAILED)
    again = await api.http.post(f"/jobs/{job_id}/retry")
    # Temporal, which is asked whether the first try is over, is away here.
    assert_problem(again, 503, "temporal.unavailable")
    assert_problem(await api.http.post(f"/jobs/{job_id}/reprocess"), 409, "job.original_gone")
