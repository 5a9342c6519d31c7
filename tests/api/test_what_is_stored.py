"""Whatever is accepted can be read; and what other versions have stored costs nobody else's view."""

import json
from decimal import Decimal
from functools import partial
from uuid import UUID

import pytest
from factories import COMPLETED, accepted, progress, run_sql
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from serving import Api, assert_problem, read_everywhere

from streamforge.contracts.events import JobChange
from streamforge.contracts.ids import clean_key
from streamforge.contracts.job import Stage
from streamforge.db.jobs import Jobs
from streamforge.events.log import EventLog

TEXT = st.text(max_size=20)
LEAVES = st.none() | st.booleans() | st.integers() | st.floats() | TEXT
JSON = st.recursive(LEAVES, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXT, inner, max_size=4))


def nested(levels: int) -> str:
    """A document of so many levels; json.dumps has a limit of its own."""
    return (
        "".join(('{"":', "[")[level % 2] for level in range(levels))
        + "1"
        + "".join(("}", "]")[level % 2] for level in reversed(range(levels)))
    )


exactly = partial(json.loads, parse_int=Decimal, parse_float=Decimal)
"""PostgreSQL keeps numbers as they were written, digit by digit: 1e308 comes back with all its zeros."""

ODD = [
    '{"a": 1e308, "b": 5e-324, "c": -0.0}',
    '{"a": 1e400}',
    '{"a": 1, "a": 2}',
    '{"": {"": ""}}',
    '{"a": "\\u0000"}',
    '{"a": "\\\\u0000"}',
    '{"a": "\\ud800"}',
    '{"a": "\\ud83d\\ude00"}',
    f'{{"a": {"9" * 4000}}}',
    "[]",
]

FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "metadata": st.builds(json.dumps, st.dictionaries(TEXT, JSON, max_size=3), ensure_ascii=st.booleans())
        | st.builds(nested, st.integers(1, 4000) | st.integers(60, 68))
        | st.sampled_from(ODD),
        "external_id": TEXT,
        "key": st.text(max_size=40) | st.sampled_from(["a/b c?.mp4", "%2e%2e", "é#.mp4", "🎬" * 60]),
        "webhook_url": st.builds("https://example.org/{}".format, TEXT),
        "captions": st.sampled_from(["auto", "none"]) | st.from_regex(r"[a-z]{2}(-\w{2,4})?", fullmatch=True),
    },
)


# ── what is accepted ────────────────────────────────────────────────────────────────────────────────────────────────
@settings(
    max_examples=settings().max_examples // 3,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(fields=FIELDS)
async def test_whatever_is_accepted_can_be_read_by_everybody(api: Api, fields: dict[str, str]) -> None:
    answer = await api.post(**fields)
    if answer.status_code != 202:
        assert_problem(answer, 400, answer.json()["code"])
        return
    job = await read_everywhere(api, answer.json()["job_id"])
    assert job["unreadable"] == []
    assert job["key"] == clean_key(fields.get("key") or "clip.mp4")
    assert job["external_id"] == (fields.get("external_id") if fields.get("external_id", "").strip() else None)
    if "metadata" in fields:
        shown = (await api.http.get(f"/jobs/{job['id']}")).text
        assert exactly(shown)["metadata"] == exactly(fields["metadata"])


@pytest.mark.parametrize("levels", [65, 300, 900, 4000])
async def test_metadata_that_nobody_could_read_is_refused(api: Api, levels: int) -> None:
    answer = await api.post(metadata=nested(levels))
    assert_problem(answer, 400, "request.invalid_field")
    assert answer.json()["detail"] == "`metadata` is nested more than 64 levels deep."
    assert (await api.http.get("/jobs")).json()["jobs"] == []


async def test_numbers_count_as_they_are_written_out(api: Api) -> None:
    """A thousand of 1e308 are three hundred kilobytes to everybody who lists jobs."""
    assert_problem(await api.post(metadata=json.dumps({"a": [1e308] * 1000})), 400, "request.invalid_field")
    assert_problem(await api.post(metadata=json.dumps({"a": [1e-308] * 1000})), 400, "request.invalid_field")
    await api.post_ok(metadata=json.dumps({"a": [1.5] * 2000, "b": 1e308}))


async def test_what_a_video_says_of_itself_ends_no_job(api: Api, rows: Jobs, events: EventLog) -> None:
    """Titles come from files: a NUL or half a surrogate pair in one is nothing that PostgreSQL can hold."""
    job_id = await accepted(rows)
    title = "a\0b \ud800 \\u0000 \0\0"
    assert await events.append(job_id, JobChange(stage=Stage.UPLOADING, message=title, details={title: [title]}))
    told = (await api.job(job_id))["latest_events"][0]["message"]  # type: ignore[index]
    assert told == "a\ufffdb ? \\u0000 \ufffd\ufffd"


# ── what is there already ───────────────────────────────────────────────────────────────────────────────────────────
SCORE_OF_BEFORE = {"mean": 91.0, "harmonic_mean": 90.0, "worst": 70.0, "worst_at": 1.5, "frames_scored": 24}
RENDITION = {"name": "720p", "width": 1280, "height": 720, "codec": "h264", "progress": 100}

RESULT = {
    "duration": 2.0, "size_bytes": 9, "file_count": 1, "source_sha256": "0" * 64, "renditions": [RENDITION],
    "playback": {"hls": "/h", "dash": None},
}  # fmt: skip

STRANGE = {
    "scores of an older version": (
        "renditions", [RENDITION | {"vmaf": SCORE_OF_BEFORE}, RENDITION | {"name": "360p"}], ["renditions.0.vmaf"],
    ),
    "a rendition without a name": ("renditions", [RENDITION, {"width": 3}], ["renditions.1"]),
    "renditions that are none": ("renditions", '"720p"', ["renditions"]),
    "a playback without its address": ("playback", {"dash": "x"}, ["playback"]),
    "an error without a sentence": ("error", {"code": "x"}, ["error"]),
    "a result that is a list": ("result", [1], ["result"]),
    "a result of before there were lengths": ("result", {"file_count": 1}, ["result"]),
    "a result with downloads of a later version": (
        "result", RESULT | {"downloads": [{"href": "/d"}], "gloss": 3}, ["result.downloads.0"],
    ),
    "metadata that is text": ("options", {"metadata": "text"}, ["options.metadata"]),
    "metadata nobody can show": ("options", f'{{"metadata": {nested(300)}}}', ["options.metadata"]),
    "metadata Python cannot parse": ("options", f'{{"metadata": {nested(5000)}}}', ["options"]),
    "options of a later version": ("options", {"on_damage": "mend", "gloss": 3}, ["options.on_damage"]),
    "options that are none": ("options", [1], ["options"]),
    "a word of a later version": ("stage", "polishing", []),
}  # fmt: skip


@pytest.mark.parametrize("case", STRANGE)
async def test_a_row_that_does_not_fit_is_shown_as_far_as_it_does(
    api: Api, rows: Jobs, events: EventLog, database_dsn: str, case: str
) -> None:
    column, content, unreadable = STRANGE[case]
    answer = await api.http.post("/batches", files=[("video", ("strange.mp4", b"some bytes"))])
    job_id, batch_id = answer.json()["jobs"][0]["job_id"], answer.json()["batch_id"]
    other = await accepted(rows)
    await events.append(UUID(job_id), COMPLETED)
    written = content if isinstance(content, str) else json.dumps(content)
    await run_sql(database_dsn, f"UPDATE jobs SET {column} = $1 WHERE id = $2", written, UUID(job_id))
    job = await read_everywhere(api, job_id, batch_id)
    assert job["unreadable"] == unreadable
    assert (job["key"], job["status"], job["progress"]) == ("strange.mp4", "completed", 100)
    assert job["stage"] == ("polishing" if column == "stage" else "completed")
    listed = (await api.http.get("/jobs")).json()["jobs"]
    assert [each["id"] for each in listed] == [str(other), job_id]


async def test_an_event_that_does_not_fit_does_not_hide_the_others(
    api: Api, rows: Jobs, events: EventLog, database_dsn: str
) -> None:
    job_id = await accepted(rows)
    await events.append(job_id, progress(20))
    await run_sql(database_dsn, "UPDATE progress_events SET stage = 'polishing', details = '[1]' WHERE seq = 2")
    job = await read_everywhere(api, str(job_id))
    assert [event["stage"] for event in job["latest_events"]] == ["polishing", "uploading"]


async def test_a_job_of_a_later_version_can_be_cancelled_and_swept(api: Api, rows: Jobs, database_dsn: str) -> None:
    job_id = await accepted(rows)
    await run_sql(
        database_dsn, "UPDATE jobs SET stage = 'polishing', renditions = '[1]', options = '{\"on_damage\": \"mend\"}'"
    )
    assert (await api.http.delete(f"/jobs/{job_id}")).json()["status"] == "cancelled"
    assert await rows.delete([job_id]) == [job_id]
