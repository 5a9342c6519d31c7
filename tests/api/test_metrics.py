"""What Prometheus is told by the API: on its own port, or by `GET /metrics`."""

import re
import socket

import httpx
import pytest
from factories import run_sql
from scraping import scraped
from serving import Api, assert_problem, serving

from streamforge.db.jobs import Jobs
from streamforge.db.queries import QUERIES
from streamforge.errors import InvalidSettings, PortInUse
from streamforge.observability.exposition import exposed
from streamforge.settings import MetricsSettings, Settings

UUID = re.compile(r"[0-9a-f]{8}-([0-9a-f]{4}-){3}[0-9a-f]{12}")


@pytest.fixture(autouse=True)
def _looked_at_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("streamforge.api.service_gauges.LOOK_EVERY_SECONDS", 0.0)


async def test_an_upload_is_counted_in_bytes_and_its_job_where_it_is(api: Api) -> None:
    before = await scraped(api.http)
    await api.post_ok_with(b"x" * 100_000)

    page = await scraped(api.http)

    assert page.value("streamforge_upload_bytes_total") - before.value("streamforge_upload_bytes_total") == 100_000
    assert page.value("streamforge_jobs_accepted_total") - before.value("streamforge_jobs_accepted_total") == 1
    assert page.value("streamforge_jobs", status="pending", stage="uploading") == 1
    assert page.value("streamforge_queue_length") == 1
    assert 0 < page.value("streamforge_queue_age_seconds") < 60
    assert page.value("streamforge_events_written_total") >= before.value("streamforge_events_written_total")


async def test_requests_are_counted_by_handler_never_by_address(api: Api) -> None:
    before = await scraped(api.http)
    for path in (
        "/jobs/550e8400-e29b-41d4-a716-446655440000",
        "/jobs/550e8400-e29b-41d4-a716-446655440001",
        "/no/such",
    ):
        assert (await api.http.get(path)).status_code == 404

    page = await scraped(api.http)

    def more(**labels: str) -> float:
        name = "streamforge_http_requests_total"
        return page.value(name, **labels) - before.value(name, **labels)

    assert more(handler="get_job", status="404") == 2
    assert more(handler="none", status="404") == 1
    assert not [value for value in page.label_values if UUID.search(value) or "/no/such" in value]


async def test_clients_of_streams_are_counted_while_they_are_there(api: Api) -> None:
    job_id = await api.post_ok()
    async with api.stream(job_id) as frames:
        await anext(frames)
        assert (await scraped(api.http)).value("streamforge_stream_clients", transport="sse") == 1
    assert (await scraped(api.http)).has("streamforge_stream_clients", transport="sse")


async def test_what_the_api_stands_on_is_well_or_not(api: Api) -> None:
    page = await scraped(api.http)
    up = {name: page.value("streamforge_dependency_up", dependency=name) for name in ("database", "temporal", "disk")}
    assert up == {"database": 1, "temporal": 0, "disk": 1}
    assert page.value("streamforge_db_pool_size") >= api.settings.database.pool_size
    assert page.value("streamforge_disk_free_bytes", folder="uploads") > 0


async def test_a_page_of_elsewhere_is_not_told(api: Api) -> None:
    refused = await api.http.get("/metrics", headers={"Origin": "https://elsewhere.example"})
    assert_problem(refused, 403, "request.foreign_page")


async def test_other_formats_are_had_by_asking(api: Api) -> None:
    response = await api.http.get("/metrics", headers={"Accept": "application/openmetrics-text; version=1.0.0"})
    assert response.headers["content-type"].startswith("application/openmetrics-text")
    assert response.text.endswith("# EOF\n")


# ── a port of its own ───────────────────────────────────────────────────────────────────────────────────────────────
async def test_metrics_have_a_port_of_their_own_where_one_is_set(settings: Settings) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
    shown = settings.model_copy(update={"metrics": MetricsSettings(port=port)})
    async with serving(shown), httpx.AsyncClient() as http:
        page = await scraped(http, f"http://127.0.0.1:{port}/metrics")
        assert page.value("streamforge_build_info") == 1
        assert page.has("process_open_fds")
    async with httpx.AsyncClient() as http:
        with pytest.raises(httpx.ConnectError):
            await http.get(f"http://127.0.0.1:{port}/metrics")


def test_nothing_listens_unless_asked_for() -> None:
    with exposed("127.0.0.1", None) as url:
        assert url is None
    assert (Settings().metrics.port, Settings().metrics.worker_port) == (None, None)


def test_on_loopback_no_other_name_points_at_them() -> None:
    """DNS rebinding: else a page that is looked at on this machine reads them."""
    with exposed("127.0.0.1", 0) as url, httpx.Client() as http:
        assert url is not None
        assert http.get(url, headers={"Host": "localhost:9464"}).status_code == 200
        refused = http.get(url, headers={"Host": "evil.example"})
        assert (refused.status_code, "streamforge_" in refused.text) == (421, False)


def test_a_busy_port_is_one_sentence() -> None:
    with exposed("127.0.0.1", 0) as url:
        assert url is not None
        port = httpx.URL(url).port
        with (
            pytest.raises(PortInUse, match=rf"Port {port} on 127\.0\.0\.1, for metrics, is in use"),
            exposed("127.0.0.1", port),
        ):
            pass


def test_what_is_no_address_is_one_sentence() -> None:
    with pytest.raises(InvalidSettings, match=r"metrics\.host 'no such host'"), exposed("no such host", 0):
        pass


# ── what counting costs ─────────────────────────────────────────────────────────────────────────────────────────────
MANY_THAT_ARE_OVER = """
INSERT INTO jobs (id, key, workflow_id, source_object, size_bytes, source_sha256, options, status, stage)
SELECT gen_random_uuid(), 'k', 'w' || n, 's', 1, '', '{}', 'completed', 'completed' FROM generate_series(1, 20000) AS n
"""


async def test_counting_does_not_look_at_jobs_that_are_over(jobs: Jobs, database_dsn: str) -> None:
    await run_sql(database_dsn, MANY_THAT_ARE_OVER)
    await run_sql(database_dsn, "ANALYZE jobs")
    for name in ("unfinished_jobs", "queue"):
        plan = await run_sql(database_dsn, f"EXPLAIN (ANALYZE, FORMAT TEXT) {QUERIES[name]}")
        text = "\n".join(row[0] for row in plan)
        assert "Seq Scan" not in text
        assert "jobs_unfinished" in text or "jobs_waiting" in text
    assert await jobs.unfinished() == {}
    assert await jobs.queue() == (0, None)
