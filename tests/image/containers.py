"""Containers of the image that is being tried, as an operator who trusts nobody runs them."""

import asyncio
import json
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

IMAGE = os.environ.get("TEST_IMAGE", "")
PODMAN = os.environ.get("TEST_PODMAN", "podman").split()
CONFINED = (
    *("--read-only", "--tmpfs", "/tmp:rw,noexec,nosuid,nodev,size=64m"),
    *("--cap-drop", "all", "--security-opt", "no-new-privileges"),
    *("--network", "host", "--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096"),
)


async def podman(*arguments: str, environment: dict[str, str] | None = None, check: bool = True) -> str:
    """What it prints. Values of `environment` are taken over by name: a command line is seen by everybody."""
    process = await asyncio.create_subprocess_exec(
        *PODMAN, *arguments, env={**os.environ, **(environment or {})}, stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    out, err = await process.communicate()
    assert process.returncode == 0 or not check, f"podman {' '.join(arguments)}: {err.decode()}"
    return out.decode()


async def once(*command: str, entrypoint: str = "streamforge", options: tuple[str, ...] = ()) -> str:
    """What a container prints that runs one command and is gone."""
    options = ("--entrypoint", entrypoint, *options)
    return await podman("run", "--rm", "--no-healthcheck", *CONFINED, *options, IMAGE, *command)


async def inspect_image() -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(await podman("image", "inspect", IMAGE))
    return found[0]


@dataclass
class Container:
    name: str

    async def run(self, command: str, data: str, settings: dict[str, str], *options: str) -> None:
        environment = [option for key in settings for option in ("--env", key)]
        given = (*CONFINED, "--name", self.name, "--volume", f"{data}:/data", *environment, *options)
        await podman("run", "--detach", *given, IMAGE, command, environment=settings)

    async def execute(self, *command: str) -> str:
        return await podman("exec", self.name, *command)

    async def kill(self) -> None:
        """As the kernel does it when memory runs out: nobody inside gets a word in."""
        await podman("kill", "--signal", "KILL", self.name)
        await podman("wait", self.name)

    async def start(self) -> None:
        await podman("start", self.name)

    async def stop(self, seconds: int) -> int:
        """Asks it to end, as a deploy does. Its exit code: 137 where it had to be killed after so many seconds."""
        await podman("stop", "--time", str(seconds), self.name)
        return int(await podman("inspect", "--format", "{{.State.ExitCode}}", self.name))

    async def healthy(self) -> None:
        """As the image's own check has it; fails where it does."""
        await podman("healthcheck", "run", self.name)

    async def logs(self) -> str:
        return await podman("logs", self.name, check=False)

    async def rights(self) -> list[dict[str, str]]:
        """What /proc says of each process in there, the first one first; `namespace` is empty where that is not told."""
        told = "grep -E '^(Uid|CapEff|CapBnd|NoNewPrivs|Seccomp):' $p/status && echo namespace: $(readlink $p/ns/user) && echo"
        listing = await self.execute(
            "sh", "-c", f"for p in $(ls -d /proc/[0-9]* | sort -V); do {told}; done 2> /dev/null; true"
        )
        blocks = [block.splitlines() for block in listing.strip().split("\n\n")]
        return [
            {key: " ".join(rest.split()) for key, _, rest in (line.partition(":") for line in block)}
            for block in blocks
        ]

    async def states(self) -> list[str]:
        """Name and state of each process in there, as /proc has them: `streamforge R`."""
        listing = "for status in /proc/[0-9]*/status; do sed -n 's/^Name:\\t//p; s/^State:\\t//p' $status | paste -sd ' '; done"
        return (await self.execute("sh", "-c", listing)).splitlines()


@asynccontextmanager
async def container(name: str) -> AsyncIterator[Container]:
    """Gone afterwards, whatever happens; what it said is shown where a test fails."""
    it = Container(f"streamforge-{name}-{uuid4().hex[:8]}")
    try:
        yield it
    except BaseException:
        print(f"---- {it.name}\n{(await it.logs())[-4000:]}")
        raise
    finally:
        await podman("rm", "--force", "--time", "0", it.name, check=False)


@asynccontextmanager
async def volume() -> AsyncIterator[str]:
    """One that takes over owner and mode of /data from the image."""
    name = f"streamforge-{uuid4().hex[:8]}"
    await podman("volume", "create", name)
    try:
        yield name
    finally:
        await podman("volume", "rm", "--force", name, check=False)
