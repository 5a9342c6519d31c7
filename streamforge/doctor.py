"""`streamforge doctor`: looks at every part and says, for each that is not well, what to do."""

import os
import platform
import shutil
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from functools import partial
from pathlib import Path

import httpx
from rich.console import Console
from rich.markup import escape

from streamforge import embedded
from streamforge.access.exposure import require_callers_beyond_loopback
from streamforge.access.secret import InstallationSecret
from streamforge.contracts import tasks
from streamforge.contracts.tasks import CONFINES, GpuTrial, Sandbox, SandboxTask
from streamforge.db.pool import availability_errors
from streamforge.db.pool import connect as connect_database
from streamforge.db.roles import Roles, isolation
from streamforge.embedded import endpoints
from streamforge.errors import StorageUnavailable, StreamForgeError
from streamforge.media.worker.capabilities import Capabilities, detect
from streamforge.media.worker.children import MediaChildren
from streamforge.media.worker.gpus import try_encoders
from streamforge.planning.trial import trial_renditions
from streamforge.quality.registry import METRIC
from streamforge.settings import SandboxMode, Settings
from streamforge.storage import open_storage
from streamforge.storage.local import LocalStorage
from streamforge.temporal.connect import connect as connect_temporal

GIB = 2**30

API_SECONDS = 10.0
"""What an API that is busy may take."""


class Level(StrEnum):
    OK = "ok"
    NOTE = "note"
    FAILED = "failed"


@dataclass(frozen=True)
class Finding:
    part: str
    level: Level
    says: str
    advice: str = ""


Check = Callable[[Settings], Awaitable[Finding]]


async def examine(settings: Settings) -> list[Finding]:
    """All findings, the good ones too. What a running `up` embeds is looked at as well."""
    running = endpoints.read(settings.data_dir) if endpoints.is_running(settings.data_dir) else None
    if running is not None:
        settings = endpoints.with_parts(settings, running)
    # What is required and missing is a finding here, beside all others.
    as_possible = settings.media.model_copy(update={"sandbox": "off" if settings.media.sandbox == "off" else "auto"})
    async with MediaChildren.of(as_possible) as children:
        capabilities = await detect(children)
        on_this_machine = [
            _python(),
            _encoders(settings, capabilities),
            _measuring(settings, capabilities),
            sandbox_finding(await children.run(tasks.SANDBOX, SandboxTask()), settings.media.sandbox),
            await _gpu(settings, capabilities, children),
        ]
    checks = dict(CHECKS)
    if running is not None:
        checks["callers"] = partial(_callers_there, running.api_url)
    return on_this_machine + [await _finding(part, check, settings) for part, check in checks.items()]


async def _finding(part: str, check: Check, settings: Settings) -> Finding:
    try:
        return await check(settings)
    except StreamForgeError as error:
        return Finding(part, Level.FAILED, error.message, f"Cause: {error.debug}" if error.debug else "")


def _python() -> Finding:
    return Finding("Python", Level.OK, f"{platform.python_version()} on {platform.system()} {platform.machine()}")


def _encoders(settings: Settings, capabilities: Capabilities) -> Finding:
    needed = {*(rendition.encoder for rendition in trial_renditions(settings)), "aac"}
    if missing := needed - set(capabilities.libraries.encoders):
        return Finding(
            "encoders",
            Level.FAILED,
            f"PyAV {capabilities.libraries.av} has no {' and no '.join(sorted(missing))}.",
            "Install PyAV's own wheel: `pip install --only-binary av --force-reinstall av`.",
        )
    return Finding("encoders", Level.OK, f"{', '.join(capabilities.libraries.encoders)} on {capabilities.cores} cores")


def _measuring(settings: Settings, capabilities: Capabilities) -> Finding:
    if capabilities.measures:
        return Finding(METRIC.filter_name, Level.OK, str(capabilities.ffmpeg))
    return Finding(
        METRIC.filter_name,
        Level.FAILED if settings.validation.enabled else Level.NOTE,
        f"{capabilities.ffmpeg or 'no ffmpeg is there, so it'} cannot measure {METRIC.label}",
        "`pip install --force-reinstall imageio-ffmpeg`, or set STREAMFORGE_VALIDATION__ENABLED=false.",
    )


def sandbox_finding(found: Sandbox, mode: SandboxMode) -> Finding:
    """What a hostile video could not do, if it took over the process that works on it."""
    in_force = ", ".join(found.in_force) or "media processes are not confined"
    absent = "; ".join(f"{part}: {why}" for part, why in found.missing.items())
    says = f"{in_force}; without {absent}" if absent else in_force
    if not CONFINES & found.missing.keys():
        return Finding("sandbox", Level.OK, says)
    advice = "A kernel from 5.13 on with Landlock and seccomp confines them; see “Hostile media” in docs/security.md."
    return Finding("sandbox", Level.FAILED if mode == "required" else Level.NOTE, says, advice)


async def _gpu(settings: Settings, capabilities: Capabilities, children: MediaChildren) -> Finding:
    if not capabilities.gpus:
        return Finding("GPU", Level.OK, "no NVIDIA GPU; everything runs on the CPU")
    names = ", ".join(f"{gpu.name} ({gpu.memory_bytes / GIB:.0f} GiB)" for gpu in capabilities.gpus)
    return gpu_finding(names, await try_encoders(children, settings))


def gpu_finding(names: str, trials: list[GpuTrial]) -> Finding:
    """Without trials the GPU is turned off, or no profile has a codec for it."""
    failed = [f"{trial.encoder}: {trial.failure}" for trial in trials if trial.failure is not None]
    if failed:
        advice = "Everything runs on the CPU; to stop trying, set STREAMFORGE_WORKER__GPU=off."
        return Finding("GPU", Level.NOTE, f"{names}; {'; '.join(failed)}", advice)
    return Finding("GPU", Level.OK, f"{names}; {', '.join(trial.encoder for trial in trials) or 'not used'}")


async def _database(settings: Settings) -> Finding:
    if settings.database.dsn is None:
        return _embedded_postgres()
    connection = await connect_database(settings.database.dsn)
    version = ".".join(map(str, connection.get_server_version()[:2]))
    await connection.close()
    return Finding("database", Level.OK, f"PostgreSQL {version} answers")


async def _isolation(settings: Settings) -> Finding:
    """Whether PostgreSQL itself keeps owners apart; if it does not, only our queries do."""
    if settings.database.dsn is None:
        return Finding("isolation", Level.OK, "`streamforge up` has PostgreSQL keep owners apart")
    connection = await connect_database(settings.database.dsn)
    try:
        with availability_errors():
            found = await isolation(connection, Roles(settings.database.roles))
    finally:
        await connection.close()
    if found.problem is None:
        return Finding("isolation", Level.OK, "PostgreSQL keeps owners apart")
    level = Level.FAILED if settings.auth.required or settings.database.require_isolation else Level.NOTE
    return Finding("isolation", level, f"only our queries keep owners apart: {found.problem}", found.advice)


async def _temporal(settings: Settings) -> Finding:
    if settings.temporal.address is None:
        return _embedded_temporal()
    await connect_temporal(settings.temporal)
    return Finding("Temporal", Level.OK, f"answers at {settings.temporal.address}")


# Nothing is configured and nothing runs: then `up` must be able to start its own.
def _embedded_postgres() -> Finding:
    embedded.require()
    from streamforge.embedded import postgres  # noqa: PLC0415 - not there without the extra

    postgres.binaries()
    return Finding("database", Level.OK, "PostgreSQL is installed; `streamforge up` starts it")


def _embedded_temporal() -> Finding:
    embedded.require()
    from streamforge.embedded import temporal  # noqa: PLC0415 - not there without the extra

    temporal.binary()
    says = "Temporal is installed; `streamforge up` starts it"
    if temporal.can_be_guarded():
        return Finding("Temporal", Level.OK, f"{says}, for this user and root alone")
    advice = "No network namespaces are to be had; see docs/security.md, or run a Temporal of your own, with TLS."
    return Finding("Temporal", Level.NOTE, f"{says}, and every user of this machine can reach it", advice)


async def _storage(settings: Settings) -> Finding:
    """A folder is only looked at: who asks how things are wants to find them as they were."""
    store = open_storage(settings)
    if isinstance(store, LocalStorage):
        _refuse_unwritable(store.root)
    else:
        await store.check()
    return Finding("storage", Level.OK, f"{settings.storage.url or settings.data_dir / 'storage'} takes objects")


def _refuse_unwritable(folder: Path) -> None:
    if folder.exists() and not folder.is_dir():
        raise StorageUnavailable(f"{folder} is not a folder.")
    nearest = _nearest_folder(folder)
    in_the_way = next((each for each in folder.resolve().parents if each.exists() and not each.is_dir()), None)
    if in_the_way is not None:
        raise StorageUnavailable(f"{in_the_way} is not a folder, so {folder} cannot be made.")
    if not os.access(nearest, os.W_OK | os.X_OK):
        raise StorageUnavailable(f"{nearest} cannot be written by this user.")


async def _disk(settings: Settings) -> Finding:
    free = shutil.disk_usage(_nearest_folder(settings.data_dir)).free
    says = f"{free / GIB:.1f} GiB free for {settings.data_dir}"
    if free < settings.input.min_free_disk_bytes:
        needed = settings.input.min_free_disk_bytes / GIB
        advice = f"Uploads are refused below {needed:.1f} GiB: free some, or name another folder with data_dir."
        return Finding("disk", Level.FAILED, says, advice)
    return Finding("disk", Level.OK, says)


def _nearest_folder(path: Path) -> Path:
    return next(folder for folder in (path.resolve(), *path.resolve().parents) if folder.is_dir())


async def _callers(settings: Settings) -> Finding:
    """Raises InvalidSettings where anybody could do anything, or the secret cannot be read."""
    require_callers_beyond_loopback(settings)
    if not settings.auth.required:
        return Finding("callers", Level.OK, "nobody has to say who they are; only this machine reaches the API")
    InstallationSecret(settings).require_readable()
    provider = f", or tokens of {settings.auth.oidc.issuer}" if settings.auth.oidc.issuer else ""
    return Finding("callers", Level.OK, f"say who they are, by API keys{provider}")


async def _callers_there(api_url: str, _: Settings) -> Finding:
    """The word of the API that runs: it was started with settings that this command may not have."""
    try:
        async with httpx.AsyncClient(base_url=api_url, trust_env=False, timeout=API_SECONDS) as api:
            answered = await api.get("/session")
    except httpx.HTTPError as error:
        advice = f"`streamforge up` starts it again when it has ended; see logs/api.log. Cause: {error!r}"
        return Finding("callers", Level.FAILED, f"the API does not answer at {api_url}", advice)
    if answered.status_code == httpx.codes.UNAUTHORIZED:
        return Finding("callers", Level.OK, f"have to say who they are at {api_url}")
    return Finding("callers", Level.OK, f"nobody has to say who they are at {api_url}; only this machine reaches it")


CHECKS: dict[str, Check] = {
    "callers": _callers,
    "database": _database,
    "isolation": _isolation,
    "Temporal": _temporal,
    "storage": _storage,
    "disk": _disk,
}


MARKS = {Level.OK: "[green]✓[/]", Level.NOTE: "[yellow]![/]", Level.FAILED: "[red]✗[/]"}


def print_findings(console: Console, findings: Sequence[Finding]) -> None:
    for finding in findings:
        console.print(f"{MARKS[finding.level]} {finding.part:<9} {escape(finding.says)}", highlight=False)
        if finding.advice:
            console.print(f"            → {escape(finding.advice)}", highlight=False)
