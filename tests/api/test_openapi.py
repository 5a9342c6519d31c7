"""`/openapi.json` says what this API does, no more and no less; `/docs` says it to people."""

import json
import re
from typing import Any
from uuid import uuid4

import jsonschema_rs
import pytest
from factories import COMPLETED, FAILED, accepted, progress
from openapi_spec_validator import OpenAPIV31SpecValidator
from serving import Api
from sse import read_frames
from starlette.routing import BaseRoute
from websockets.asyncio.client import connect

from streamforge.api.app import create_app
from streamforge.api.openapi.document import document
from streamforge.api.openapi.page import page
from streamforge.api.routes.process_fields import OPTIONS
from streamforge.contracts.pipeline import ProcessVideoResult
from streamforge.db.jobs import Jobs
from streamforge.events.log import EventLog
from streamforge.settings import Settings


def described(are_callers_known: bool = False) -> dict[str, Any]:
    return document(create_app(Settings()).routes, are_callers_known=are_callers_known)  # type: ignore[arg-type]


DOCUMENT = described()


def operations() -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {path}": operation
        for path, methods in DOCUMENT["paths"].items()
        for method, operation in methods.items()
    }


def fits(schema: dict[str, Any], value: object) -> None:
    whole = {"components": DOCUMENT["components"], **schema}
    jsonschema_rs.Draft202012Validator(whole, validate_formats=True).validate(value)


# ── the document ────────────────────────────────────────────────────────────────────────────────────────────────────
def test_it_is_openapi_3_1() -> None:
    OpenAPIV31SpecValidator(DOCUMENT).validate()


def test_every_route_is_in_it_and_nothing_else() -> None:
    def name(route: BaseRoute) -> str:
        (method,) = getattr(route, "methods", {"GET"}) - {"HEAD"}
        return f"{method} {getattr(route, 'path_format', '')}"

    assert set(operations()) == {name(route) for route in create_app(Settings()).routes}


def test_operations_can_be_told_apart_by_name() -> None:
    names = [operation["operationId"] for operation in operations().values()]
    assert len(set(names)) == len(names)


def test_what_a_form_may_hold_is_what_jobs_can_be_asked() -> None:
    """One field of JobOptions is one option everywhere."""
    models = DOCUMENT["components"]["schemas"]
    assert models["ProcessForm"]["properties"].keys() == {"video", "key", *OPTIONS}
    assert models["BatchForm"]["properties"].keys() == {"video", *OPTIONS}
    assert models["ProcessForm"]["required"] == ["video"]


def test_results_are_described_to_the_last_field() -> None:
    result = DOCUMENT["components"]["schemas"]["ProcessVideoResult"]
    assert result["properties"].keys() == ProcessVideoResult.model_fields.keys()
    job = DOCUMENT["components"]["schemas"]["JobView"]
    assert {"$ref": "#/components/schemas/ProcessVideoResult"} in job["properties"]["result"]["anyOf"]


@pytest.mark.parametrize("status", ["401", "403", "503"])
def test_who_must_say_who_they_are_is_told_what_else_may_be_answered(status: str) -> None:
    for name, operation in operations().items():
        if operation["security"]:
            assert status in operation["responses"], name


def test_scopes_stand_where_they_are_needed() -> None:
    known = described(are_callers_known=True)["paths"]
    assert known["/process"]["post"]["security"] == [{"bearer": ["submit"]}, {"session": ["submit"]}]
    assert known["/audit"]["get"]["security"][0] == {"bearer": ["admin"]}
    assert {"ticket": ["read"]} in known["/jobs/{job_id}/stream"]["get"]["security"]
    assert known["/health"]["get"]["security"] == []
    assert known["/media/{job_id}/{path}"]["get"]["security"][0] == {}
    assert {} in DOCUMENT["paths"]["/process"]["post"]["security"]


# ── what is told fits it ────────────────────────────────────────────────────────────────────────────────────────────
async def test_it_is_served_to_everybody(api: Api) -> None:
    answer = await api.http.get("/openapi.json")
    assert answer.headers["content-type"] == "application/json"
    assert answer.json() == DOCUMENT


async def test_frames_of_a_stream_are_as_they_are_described(api: Api, rows: Jobs, events: EventLog) -> None:
    batch = (await api.http.post("/batches", files=[("video", ("a.mp4", b"bytes"))])).json()
    batch_id, job_id = batch["batch_id"], batch["jobs"][0]["job_id"]
    other = await accepted(rows)
    await events.append(other, progress(20))
    await events.append(other, FAILED)
    paths = DOCUMENT["paths"]
    for path, pattern in (
        (f"/jobs/{other}/stream", "/jobs/{job_id}/stream"),
        (f"/jobs/{job_id}/stream", "/jobs/{job_id}/stream"),
        (f"/batches/{batch_id}/stream", "/batches/{batch_id}/stream"),
        ("/stream", "/stream"),
    ):
        shapes = paths[pattern]["get"]["x-events"]
        async with api.http.stream("GET", path, headers={"Last-Event-ID": "0"}) as response:
            frames = read_frames(response)
            status, event = await anext(frames), await anext(frames)
        assert (status.event, event.event) == ("status", "progress")
        fits(shapes["status"], status.data)
        fits(shapes["progress"], event.data)


async def test_messages_of_a_websocket_are_as_they_are_described(api: Api, rows: Jobs, events: EventLog) -> None:
    job_id = await accepted(rows)
    await events.append(job_id, COMPLETED)
    protocol = DOCUMENT["paths"]["/ws/progress"]["get"]["x-websocket"]
    async with connect(f"{api.url.replace('http', 'ws')}/ws/progress?job_id={job_id}&last_event_id=0") as websocket:
        told = [json.loads(message) async for message in websocket]
        assert str(websocket.close_code) in protocol["closes"]
    assert [message["event"] for message in told] == ["status", "progress", "progress", "done"]
    for message in told:
        fits(protocol["sends"], message)
        fits(protocol["events"][message["event"]], message["data"])


# ── the page ────────────────────────────────────────────────────────────────────────────────────────────────────────
async def test_the_page_names_every_operation_and_every_model(api: Api) -> None:
    html = (await api.http.get("/docs")).text
    for name, operation in operations().items():
        assert f"<code>{name.partition(' ')[2]}</code>" in html
        assert f'id="{operation["operationId"]}"' in html
    for model in DOCUMENT["components"]["schemas"]:
        assert f'id="model-{model}"' in html


async def test_the_page_loads_nothing_and_runs_nothing(api: Api) -> None:
    answer = await api.http.get("/docs")
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<(script|link|img|iframe)|\bon\w+=|\bstyle=", answer.text)
    assert not re.search(r"""(src|href)=["']?(https?:)?//""", answer.text)


async def test_every_link_of_the_page_leads_somewhere(api: Api) -> None:
    html = (await api.http.get("/docs")).text
    targets = set(re.findall(r'href="#([^"]+)"', html))
    assert targets <= set(re.findall(r'id="([^"]+)"', html))
    assert (await api.http.get("/openapi.json")).status_code == 200


def test_text_of_the_document_is_never_html() -> None:
    strange = described()
    strange["info"]["description"] = strange["paths"]["/jobs"]["get"]["summary"] = f"<script>{uuid4()}</script>"
    assert "<script>" not in page(strange)
