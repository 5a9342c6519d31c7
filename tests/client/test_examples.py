"""What docs/clients.md shows is run, against a real server."""

import ast
import asyncio
import inspect
import re
from pathlib import Path
from typing import Any

import pytest
from every_endpoint import World, jobs_complete
from typer.main import get_command

from streamforge.cli import app

PAGE = (Path(__file__).parents[2] / "docs" / "clients.md").read_text(encoding="utf-8")
EXAMPLES = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
COMMANDS = re.findall(r"^\$ streamforge (.*)$", PAGE, re.MULTILINE)
DOCUMENTED_URL = "http://127.0.0.1:8081"


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize("example", EXAMPLES, ids=range(len(EXAMPLES)))
async def test_an_example_runs(
    world: World, example: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "holiday.mov").write_bytes(b"some bytes" * 1000)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("STREAMFORGE_API_KEY", world.key)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    text = example.replace(DOCUMENTED_URL, world.api.url)
    code = compile(text, "docs/clients.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    async with jobs_complete(world), asyncio.timeout(60):
        if code.co_flags & inspect.CO_COROUTINE:
            await eval(code, {})  # noqa: S307 -- it is our own page
        else:
            await asyncio.to_thread(exec, code, {})
    assert capsys.readouterr().out


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_is_there_with_what_it_takes(line: str) -> None:
    words = re.findall(r"'[^']*'|\S+", line.partition(" # ")[0])
    command: Any = get_command(app)
    while hasattr(command, "commands"):
        command = command.commands[words.pop(0)]
    options = {word for word in words if word.startswith("--")}
    assert options <= {option for parameter in command.params for option in parameter.opts}
