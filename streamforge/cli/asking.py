"""What commands share that ask a server."""
# ruff: noqa: PLC0415

import json
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar

import typer

if TYPE_CHECKING:
    from pydantic import BaseModel

    from streamforge.client import StreamForgeClient

T = TypeVar("T")

LOCAL_API = "http://127.0.0.1:8081"

Url = Annotated[str, typer.Option(help="Where the API listens.")]
KeyFile = partial(typer.Option, "--api-key-file", metavar="FILE", exists=True, dir_okay=False, readable=True)
"""Never the key itself: everybody on a machine sees what programs are called with."""
ApiKeyFile = Annotated[
    Path | None,
    KeyFile(
        help="Holds an API key. (default: what STREAMFORGE_API_KEY says, or the file that STREAMFORGE_API_KEY_FILE names)"
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="As the API says it, each thing on a line of its own.")]


class Server(NamedTuple):
    """Where the API listens, and what is shown to it."""

    url: str
    api_key: str | None

    def client(self, *, retry_seconds: float = 0) -> "StreamForgeClient":
        """It tries nothing twice unless it is told to: who waits at a terminal wants to know at once."""
        from streamforge.client import StreamForgeClient

        return StreamForgeClient(self.url, api_key=self.api_key, retry_seconds=retry_seconds)


def server(url: str, api_key_file: Path | None) -> Server:
    """Raises InvalidSettings."""
    return Server(url, api_key(api_key_file))


def api_key(file: Path | None) -> str | None:
    """What the command line names wins over the environment. Raises InvalidSettings."""
    from streamforge.errors import InvalidSettings
    from streamforge.settings import API_KEY_FILE_VARIABLE, API_KEY_VARIABLE

    if file is None and (key := os.environ.get(API_KEY_VARIABLE)):
        return key.strip()
    named = file or os.environ.get(API_KEY_FILE_VARIABLE)
    try:
        return Path(named).read_text(encoding="utf-8").strip() if named else None
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidSettings(f"The API key in {named} cannot be read: {error}.") from error


def asked(url: str, api_key_file: Path | None, ask: "Callable[[StreamForgeClient], Awaitable[T]]") -> T:
    """What a server answers. Raises StreamForgeError."""
    import asyncio

    async def answer() -> T:
        async with server(url, api_key_file).client() as client:
            return await ask(client)

    return asyncio.run(answer())


def show(thing: "BaseModel", as_json: bool, line: Callable[[Any], str]) -> None:
    """One of what there may be many of."""
    print(thing.model_dump_json() if as_json else line(thing))


def show_object(thing: Mapping[str, Any], as_json: bool) -> None:
    """JSON, or its fields one below the other."""
    if as_json:
        print(json.dumps(thing))
        return
    width = max(map(len, thing), default=0)
    for name, value in thing.items():
        print(f"{name:<{width}}  {_text(value)}")


def _text(value: Any) -> str:
    match value:
        case None:
            return "–"
        case float():
            return f"{value:.1f}"
        case Mapping():
            return ", ".join(f"{name} {_text(each)}" for name, each in value.items()) or "–"
        case Sequence() if not isinstance(value, str):
            return ", ".join(map(_text, value)) or "–"
    text = str(value)
    # What a stranger wrote must not move the cursor of a terminal.
    return text if text.isprintable() else ascii(text)
