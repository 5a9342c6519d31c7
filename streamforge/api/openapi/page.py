"""The document for people: one page of HTML, without scripts, that loads nothing from anywhere."""

import json
import re
from base64 import b64encode
from collections.abc import Iterator
from hashlib import sha256
from html import escape
from typing import Any

STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h2 { margin-top: 2.5rem; border-bottom: 1px solid var(--line); }
code, pre { font: 14px/1.45 ui-monospace, monospace; }
pre { overflow-x: auto; padding: .75rem; border: 1px solid var(--line); border-radius: .4rem; }
details { border: 1px solid var(--line); border-radius: .4rem; margin: .4rem 0; padding: 0 .75rem; }
details[open] { padding-bottom: .75rem; }
summary { cursor: pointer; padding: .45rem 0; }
summary b { display: inline-block; min-width: 4.2rem; }
summary span { float: right; opacity: .75; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .3rem .6rem .3rem 0; border-top: 1px solid var(--line); }
nav a { margin-right: 1rem; }
"""
CONTENT_SECURITY_POLICY = (
    f"default-src 'none'; style-src 'sha256-{b64encode(sha256(STYLE.encode()).digest()).decode()}'; "
    "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
"""Only this very style."""

Json = dict[str, Any]


def page(document: Json) -> str:
    info, schemas = document["info"], document["components"]["schemas"]
    tags = {tag["name"]: tag["description"] for tag in document["tags"]}
    return "\n".join(
        [
            '<!doctype html><html lang="en"><meta charset="utf-8">',
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f"<title>{escape(info['title'])} API</title><style>{STYLE}</style>",
            f"<h1>{escape(info['title'])} API <small>{escape(info['version'])}</small></h1>",
            _prose(info["description"]),
            "<nav>" + "".join(f'<a href="#{name}">{name}</a>' for name in [*tags, "models"]),
            '<a href="openapi.json">openapi.json</a></nav>',
            *_callers(document["components"]["securitySchemes"]),
            *(part for name, says in tags.items() for part in _tag(name, says, document)),
            '<h2 id="models">models</h2>',
            *(_model(name, schema) for name, schema in sorted(schemas.items())),
            "</html>",
        ]
    )


def _callers(schemes: Json) -> Iterator[str]:
    yield "<h2>Who asks</h2><table>"
    for name, scheme in schemes.items():
        yield f"<tr><th>{escape(name)}<td>{_inline(scheme['description'])}"
    yield "</table>"


def _tag(name: str, says: str, document: Json) -> Iterator[str]:
    yield f'<h2 id="{name}">{name}</h2>{_prose(says)}'
    for path, operations in document["paths"].items():
        for method, operation in operations.items():
            if name in operation["tags"]:
                yield from _operation(path, method, operation)


def _operation(path: str, method: str, operation: Json) -> Iterator[str]:
    word = "WS" if "x-websocket" in operation else method.upper()
    yield f'<details id="{escape(operation["operationId"])}"><summary><b>{word}</b> <code>{escape(path)}</code> '
    yield f"<span>{escape(operation['summary'])}</span></summary>"
    yield _prose(operation["description"])
    yield from _parameters(operation["parameters"])
    for media_type, content in operation.get("requestBody", {}).get("content", {}).items():
        yield f"<h4>Body: <code>{escape(media_type)}</code></h4>{_schema(content['schema'])}"
    yield "<h4>Answers</h4><table>"
    for status, response in operation["responses"].items():
        yield f"<tr><th>{status}<td>{_inline(response['description'])}<td>{_contents(response)}"
    yield "</table>"
    for name in ("x-events", "x-websocket"):
        if name in operation:
            yield f"<h4><code>{name}</code></h4>{_schema(operation[name])}"
    yield "</details>"


def _parameters(parameters: list[Json]) -> Iterator[str]:
    if parameters:
        yield "<h4>Parameters</h4><table>"
        for each in parameters:
            yield f"<tr><th><code>{escape(each['name'])}</code><td>{each['in']}<td>{_inline(each['description'])}"
            yield f"<td><code>{_linked(json.dumps(each['schema']))}</code>"
        yield "</table>"


def _contents(response: Json) -> str:
    return "<br>".join(
        f"<code>{escape(media_type)}</code> {_names(content['schema'])}"
        for media_type, content in response.get("content", {}).items()
    )


def _names(schema: Json) -> str:
    """The models that a schema names."""
    return " ".join(_link(name) for name in _REFERENCE.findall(json.dumps(schema)))


def _model(name: str, schema: Json) -> str:
    says = _prose(schema.get("description", ""))
    shown = _schema({key: value for key, value in schema.items() if key not in {"description", "title"}})
    return f'<details id="model-{escape(name)}"><summary><code>{escape(name)}</code></summary>{says}{shown}</details>'


def _schema(schema: Json) -> str:
    return f"<pre>{_linked(json.dumps(schema, indent=2, ensure_ascii=False))}</pre>"


_REFERENCE = re.compile(r"#/components/schemas/([\w.-]+)")
_CODE = re.compile(r"`([^`]+)`")


def _linked(text: str) -> str:
    return _REFERENCE.sub(lambda found: _link(found[1]), escape(text))


def _link(name: str) -> str:
    return f'<a href="#model-{escape(name)}">{escape(name)}</a>'


def _prose(text: str) -> str:
    return "".join(f"<p>{_inline(paragraph)}</p>" for paragraph in text.split("\n\n") if paragraph.strip())


def _inline(text: str) -> str:
    return _CODE.sub(r"<code>\1</code>", escape(text, quote=False))
