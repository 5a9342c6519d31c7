"""Every operation, asked at random: no answer is a failure of ours, and none is another than `/openapi.json` says, be it in
its status, its code, its content type, its headers or its shape. Schemathesis asks, always the same."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID, uuid4

import pytest
import requests
import schemathesis
from factories import COMPLETED
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.specs.openapi import checks
from serving import Api, serving

from streamforge.access.api_keys import ApiKeys
from streamforge.access.caller import Scope
from streamforge.access.secret import InstallationSecret
from streamforge.access.standing import Standing
from streamforge.api.app import create_app
from streamforge.api.openapi.document import document
from streamforge.db.credentials import Credentials
from streamforge.db.pool import Database
from streamforge.events.log import EventLog
from streamforge.packaging.presentation import HLS_MASTER
from streamforge.settings import AuthSettings, LimitsSettings, Settings, TemporalSettings
from streamforge.storage import layout

SEED = 20261128
EXAMPLES = settings().max_examples // 10
"""Of each operation, in each of three ways: with data as it is described, with other data, and with what is there."""
STREAM_EXAMPLES = 1
STREAM_SECONDS = (15, 0.5)
"""To be answered, and then of silence: a stream of everything never ends."""
PATIENCE = 15
CHECKS = [
    schemathesis.checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_headers_conformance,
    checks.response_schema_conformance,
]

DOCUMENT = document(create_app(Settings()).routes, are_callers_known=False)  # type: ignore[arg-type]
OPERATIONS = {
    operation.label: operation
    for found in schemathesis.openapi.from_dict(DOCUMENT).get_all_operations()
    if (operation := found.ok()) is not None
}


@dataclass
class Asked:
    """A running API, what is in it, and how often it has answered what."""

    api: Api
    there: dict[str, str]
    headers: dict[str, str] = field(default_factory=dict)
    statuses: dict[str, set[int]] = field(default_factory=dict)

    async def ask(self, operation: APIOperation[Any, Any, Any, Any]) -> None:
        await asyncio.to_thread(self._ask, operation)

    def _ask(self, operation: APIOperation[Any, Any, Any, Any]) -> None:
        known = {name: value for name, value in self.there.items() if f"{{{name}}}" in operation.path}
        self._examples(operation, operation.as_strategy())
        if any(True for _ in operation.iter_parameters()) or operation.body:
            self._examples(operation, operation.as_strategy(generation_mode=GenerationMode.NEGATIVE))
        if known:
            self._examples(operation, operation.as_strategy(path_parameters=known))

    def _examples(self, operation: APIOperation[Any, Any, Any, Any], cases: st.SearchStrategy[Case]) -> None:
        is_stream = operation.path.endswith("/stream")

        @seed(SEED)
        @settings(
            max_examples=STREAM_EXAMPLES if is_stream else EXAMPLES,
            database=None,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        @given(case=cases)
        def example(case: Case) -> None:
            if case.query:
                # A worker makes the plan, and there is none.
                case.query.pop("dry_run", None)
            timeout = STREAM_SECONDS if is_stream else PATIENCE
            response = case.call(base_url=self.api.url, session=session, headers=self.headers, timeout=timeout)
            self.statuses.setdefault(operation.label, set()).add(response.status_code)
            case.validate_response(response, checks=CHECKS)

        with requests.Session() as session:
            example()


@asynccontextmanager
async def asking(chosen: Settings, database: Database, headers: dict[str, str]) -> AsyncIterator[Asked]:
    """With a batch of one job that has completed, and a file of its stream."""
    async with serving(chosen) as api:
        video = {"video": ("a film.mp4", b"some bytes", "video/mp4")}
        accepted = (await api.http.post("/batches", files=video, headers=headers)).raise_for_status().json()
        job_id = UUID(accepted["jobs"][0]["job_id"])
        await EventLog(database).append(job_id, COMPLETED)
        master = chosen.data_dir / "storage" / layout.output(job_id, HLS_MASTER)
        master.parent.mkdir(parents=True)
        master.write_bytes(b"#EXTM3U\n")
        asked = {"url": "https://1.1.1.1/hook"}
        webhook = (await api.http.post("/webhooks", json=asked, headers=headers)).raise_for_status().json()["id"]
        there = {"webhook_id": webhook, "job_id": str(job_id), "batch_id": accepted["batch_id"], "path": HLS_MASTER}
        yield Asked(api, there, headers)


async def ask_everything(asked: Asked, subtests: pytest.Subtests) -> None:
    for label, operation in OPERATIONS.items():
        with subtests.test(label):
            await asked.ask(operation)
    assert asked.statuses.keys() == OPERATIONS.keys()


async def test_whoever_needs_no_key(
    settings: Settings, temporal_address: str, database: Database, subtests: pytest.Subtests
) -> None:
    chosen = settings.model_copy(update={"temporal": TemporalSettings(address=temporal_address)})
    async with asking(chosen, database, {}) as asked:
        await ask_everything(asked, subtests)
    assert {200, 400, 404} <= asked.statuses["GET /jobs/{job_id}"]
    assert {202, 400} <= asked.statuses["POST /process"]


async def test_whoever_has_a_key(
    settings: Settings, temporal_address: str, database: Database, subtests: pytest.Subtests
) -> None:
    chosen = settings.model_copy(
        update={
            "temporal": TemporalSettings(address=temporal_address),
            "limits": LimitsSettings(requests_per_minute=0, requests_per_minute_without_caller=0, unfinished_jobs=0),
            "auth": AuthSettings(required=True, secret=f"a secret of this installation {uuid4()}"),  # type: ignore[arg-type]
        }
    )
    credentials = Credentials(database)
    keys = ApiKeys(credentials, Standing(credentials), InstallationSecret(chosen))
    key = await keys.create("alice", [Scope.SUBMIT, Scope.READ], None)
    async with asking(chosen, database, {"Authorization": f"Bearer {key}"}) as asked:
        await ask_everything(asked, subtests)
        assert {200, 400, 404} <= asked.statuses["GET /jobs/{job_id}"]
        asked.headers, asked.statuses = {}, {}
        for label in ("GET /jobs/{job_id}", "POST /process", "GET /audit"):
            await asked.ask(OPERATIONS[label])
            # What has a control character is no address.
            assert 401 in asked.statuses[label] <= {400, 401}
