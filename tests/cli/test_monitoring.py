"""What lies in docker/ for Prometheus and Grafana: rules that promtool takes, alerts that fire when they should, and a dashboard
of which every panel shows something of a StreamForge that has worked."""

import asyncio
import json
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from clips import Clips
from commandline import StartUp, Up, streamforge
from serving import AUTHORITIES

from streamforge.client import StreamForgeClient
from streamforge.embedded.ports import free_port

DOCKER = Path(__file__).parents[2] / "docker"
DASHBOARD = DOCKER / "grafana" / "streamforge.json"
RULES = yaml.safe_load((DOCKER / "prometheus" / "alerts.yaml").read_text(encoding="utf-8"))["groups"][0]["rules"]
CASES = yaml.safe_load((DOCKER / "prometheus" / "alerts.test.yaml").read_text(encoding="utf-8"))["tests"]
RUNBOOK = (DOCKER.parent / "docs" / "operations.md").read_text(encoding="utf-8").partition("\n## Runbook\n")[2]

needs_prometheus = pytest.mark.skipif(
    shutil.which("promtool") is None or shutil.which("prometheus") is None,
    reason="Prometheus is not installed (Debian: apt-get install prometheus)",
)


def promtool(*arguments: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run(
        ["promtool", *arguments], cwd=DOCKER / "prometheus", capture_output=True, text=True, check=False
    )


# ── the rules ───────────────────────────────────────────────────────────────────────────────────────────────────────
@needs_prometheus
@pytest.mark.parametrize(
    "arguments", [("check", "config", "prometheus.yaml"), ("check", "rules", "alerts.yaml")], ids=lambda a: a[1]
)
def test_promtool_takes_them(arguments: tuple[str, ...]) -> None:
    checked = promtool(*arguments)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@needs_prometheus
def test_alerts_fire_when_they_should_and_not_before() -> None:
    tested = promtool("test", "rules", "alerts.test.yaml")
    assert tested.returncode == 0, tested.stdout + tested.stderr


def test_each_alert_has_a_case_in_which_it_fires_and_one_in_which_it_does_not() -> None:
    fires = {one["alertname"] for case in CASES for one in case["alert_rule_test"] if one["exp_alerts"]}
    quiet = {one["alertname"] for case in CASES for one in case["alert_rule_test"] if not one["exp_alerts"]}
    assert fires == quiet == {rule["alert"] for rule in RULES}


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["alert"])
def test_each_alert_leads_to_its_section_of_the_runbook(rule: dict[str, Any]) -> None:
    assert rule["annotations"]["runbook"] == f"docs/operations.md#{rule['alert'].lower()}"
    assert f"\n### {rule['alert']}\n" in RUNBOOK


def test_the_runbook_names_errors_that_there_are() -> None:
    codes = set(re.findall(r"^\| `([\w.]+)`", (DOCKER.parent / "docs" / "errors.md").read_text("utf-8"), re.MULTILINE))
    families = {"media", "quality", "internal", "database"}
    named = {name for name in re.findall(r"`([a-z]+\.[a-z_]+)`", RUNBOOK) if name.partition(".")[0] in families}
    assert named <= codes | {"database.pool_size"}


def test_the_runbook_has_no_section_of_an_alert_that_is_gone() -> None:
    assert set(re.findall(r"^### (StreamForge\w+)$", RUNBOOK, re.MULTILINE)) == {rule["alert"] for rule in RULES}


# ── the dashboard, and alerts, over real data ───────────────────────────────────────────────────────────────────────
def panels() -> list[dict[str, Any]]:
    every = json.loads(DASHBOARD.read_text(encoding="utf-8"))["panels"]
    return [panel for panel in every if panel["type"] != "row"]


class Prometheus:
    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        answer = httpx.get(f"{self.url}/api/v1/query", params={"query": expression}, timeout=20, verify=AUTHORITIES)
        assert answer.status_code == 200, f"{expression}: {answer.text}"
        result: list[dict[str, Any]] = answer.json()["data"]["result"]
        return result

    def alerts(self, *states: str) -> set[str]:
        """One that is pending may be over before its time."""
        data = httpx.get(f"{self.url}/api/v1/alerts", timeout=20, verify=AUTHORITIES).json()["data"]
        return {alert["labels"]["alertname"] for alert in data["alerts"] if alert["state"] in states}


@contextmanager
def prometheus(folder: Path, api_port: int, worker_port: int) -> Iterator[Prometheus]:
    """With our configuration, but for where it looks and how often."""
    config = yaml.safe_load((DOCKER / "prometheus" / "prometheus.yaml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(DOCKER / "prometheus" / "alerts.yaml")]
    for job, port in zip(config["scrape_configs"], (api_port, worker_port), strict=True):
        del job["dns_sd_configs"]
        job["static_configs"] = [{"targets": [f"127.0.0.1:{port}"]}]
    (folder / "prometheus.yaml").write_text(yaml.safe_dump(config), encoding="utf-8")
    port = free_port("127.0.0.1")
    process = subprocess.Popen(
        [
            "prometheus",
            f"--config.file={folder / 'prometheus.yaml'}",
            f"--storage.tsdb.path={folder / 'tsdb'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ]
    )
    try:
        url = f"http://127.0.0.1:{port}"
        wait_for(lambda: httpx.get(f"{url}/-/ready", timeout=20, verify=AUTHORITIES).is_success, "Prometheus is ready")
        yield Prometheus(url)
    finally:
        process.send_signal(signal.SIGTERM)
        process.wait(timeout=20)


def wait_for(what: Callable[[], Any], name: str = "") -> Any:
    deadline = time.monotonic() + 120
    while True:
        try:
            if found := what():
                return found
        except httpx.TransportError:
            pass
        assert time.monotonic() < deadline, f"the state was not reached: {name}"
        time.sleep(0.2)


async def work(url: str, good: Path, bad: Path) -> str:
    """Two jobs, one of which fails, and somebody who follows everything meanwhile."""

    async def follow(client: StreamForgeClient) -> None:
        async for _ in client.watch_everything():
            pass

    async with StreamForgeClient(url) as client:
        following = asyncio.create_task(follow(client))
        done = await client.submit(good, on_progress=None)
        broken = await client.submit(bad, on_progress=None)
        assert (await client.follow(done, lambda _: None)).status == "completed"
        async for _ in client.watch(broken):
            pass
        following.cancel()
    return str(done)


@needs_prometheus
@pytest.mark.timeout(600)
def test_every_panel_shows_something_of_a_streamforge_that_has_worked(
    up: StartUp, clips: Clips, tmp_path: Path
) -> None:
    api_port, worker_port = free_port("127.0.0.1"), free_port("127.0.0.1")
    ports = {"STREAMFORGE_METRICS__PORT": str(api_port), "STREAMFORGE_METRICS__WORKER_PORT": str(worker_port)}
    (tmp_path / "bad.mp4").write_bytes(b"this is no video")
    running = up(**ports)
    with prometheus(tmp_path, api_port, worker_port) as watching:
        wait_for(lambda: len(watching.query("up == 1")) == 2)
        job = asyncio.run(work(running.parts.api_url, clips.small, tmp_path / "bad.mp4"))
        wait_for(lambda: watching.query('sum(streamforge_jobs_finished_total{status="completed"}) == 1'))

        expressions = [target["expr"] for panel in panels() for target in panel["targets"]]
        for one in expressions:
            wait_for(partial(watching.query, one.replace("$__rate_interval", "60s")), one)
        assert (
            watching.alerts("firing") & {"StreamForgeApiDown", "StreamForgeNoWorkers", "StreamForgePoolExhausted"}
            == set()
        )

        assert_logs(running, job)
        running.stop()
        wait_for(lambda: "StreamForgeApiDown" in watching.alerts("pending", "firing"))


def assert_logs(running: Up, job: str) -> None:
    """`streamforge logs JOB`: of API and worker, in order, from POST to done."""
    shown = streamforge("logs", job, "--json", "--data-dir", str(running.data_dir), cwd=running.data_dir.parent)
    assert shown.returncode == 0, shown.stderr
    lines = [json.loads(line) for line in shown.stdout.splitlines()]
    assert [line["timestamp"] for line in lines] == sorted(line["timestamp"] for line in lines)
    assert {line["process"] for line in lines} == {"api", "worker"}
    assert {line["job_id"] for line in lines} == {job}
    events = [line["event"] for line in lines]
    assert events.index("job accepted") < events.index("media child ended")
    assert lines[-1]["process"] in {"worker", "api"}
    [request_id] = {line["request_id"] for line in lines if line["event"] in {"job accepted", "activity done"}}
    assert request_id
    text = streamforge("logs", job, "--data-dir", str(running.data_dir), cwd=running.data_dir.parent)
    assert len(text.stdout.splitlines()) == len(lines)
    nothing = streamforge(
        "logs", "550e8400-e29b-41d4-a716-446655440000", "--data-dir", str(running.data_dir), cwd=running.data_dir.parent
    )
    assert nothing.returncode == 1
    assert nothing.stderr.startswith("streamforge: No line about job 550e8400")


# ── names ─────────────────────────────────────────────────────────────────────────────────────────────────
def test_dashboard_and_alerts_ask_only_for_metrics_that_there_are() -> None:
    documented = set(
        re.findall(r"`(streamforge_\w+)`", (DOCKER.parent / "docs" / "observability.md").read_text("utf-8"))
    )
    expressions = [target["expr"] for panel in panels() for target in panel["targets"]] + [r["expr"] for r in RULES]
    asked = {name for one in expressions for name in re.findall(r"\bstreamforge_\w+", one)}
    assert {re.sub(r"_(bucket|count|sum)$", "", name) for name in asked} <= documented
