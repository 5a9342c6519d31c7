"""The `streamforge` command. What a command needs is imported inside it: `--help` is quick, and each process loads only
its own parts, so that the web process never loads media code."""
# ruff: noqa: PLC0415

import asyncio
import json
import shlex
import sys
import time
from dataclasses import asdict
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from streamforge import __version__, embedded
from streamforge.cli import control, sending, webhooks
from streamforge.cli.asking import AsJson, KeyFile, api_key
from streamforge.errors import StreamForgeError

if TYPE_CHECKING:
    from streamforge.client import StreamForgeClient as StreamForgeClient
    from streamforge.contracts.job_view import JobView as JobView
    from streamforge.contracts.printable_plan import PrintablePlan
    from streamforge.embedded.supervisor import UpOptions
    from streamforge.settings import Settings
    from streamforge.verification import Verified

app = typer.Typer(
    name="streamforge",
    help="A video in over HTTP, a verified HLS + DASH stream out, live progress on the way.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)

api_keys = typer.Typer(help="Who may use the API: create keys, list them, revoke them.", no_args_is_help=True)
app.add_typer(api_keys, name="api-keys")

worker_commands = typer.Typer(invoke_without_command=True)
app.add_typer(worker_commands, name="worker")
worker_commands.command("drain")(control.drain_worker)
app.add_typer(sending.commands)
app.add_typer(control.commands)
app.add_typer(webhooks.commands, name="webhooks")

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="Uploads, output, databases and logs lie here.")
]
Host = Annotated[str | None, typer.Option(help="Address to listen on. (default: 127.0.0.1)")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port of the API; 0: any. (default: 8081)")]
KeyForVerify = Annotated[
    Path | None,
    KeyFile(help="Holds an API key, where the stream is signed. That of the environment is not shown to others."),
]
ProfileName = Annotated[str | None, typer.Option("--profile", metavar="NAME", help="One of the server's profiles.")]
Video = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True)]


HINTS = {
    "auth.required": " This command takes it from STREAMFORGE_API_KEY, or from the file that STREAMFORGE_API_KEY_FILE or "
    "--api-key-file names."
}
"""By the code of an error: what its sentence means at the command line."""


def main() -> None:
    """Errors that have a sentence end as that sentence on stderr; only defects show a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # Not every terminal is UTF-8: it gets the names of characters that it lacks, and no traceback.
            stream.reconfigure(errors="namereplace")
    try:
        app()
    except StreamForgeError as error:
        print(f"streamforge: {error.message}{HINTS.get(error.code, '')}", file=sys.stderr)
        sys.exit(1)


def _print_version(wanted: bool) -> None:
    if wanted:
        print(f"streamforge {__version__}")
        raise typer.Exit


@app.callback()
def with_settings(
    context: typer.Context,
    config: Annotated[Path | None, typer.Option(help="Settings file. (default: ./config.yaml)")] = None,
    version: Annotated[bool, typer.Option("--version", callback=_print_version, is_eager=True)] = False,
) -> None:
    context.obj = config


def _settings(
    context: typer.Context, data_dir: Path | None = None, host: str | None = None, port: int | None = None
) -> "Settings":
    """What the command line names wins over environment and file."""
    from streamforge.settings import load

    settings = load(context.obj)
    server = {name: value for name, value in (("host", host), ("port", port)) if value is not None}
    return settings.model_copy(
        update={
            "data_dir": (data_dir or settings.data_dir).resolve(),
            "server": settings.server.model_copy(update=server),
        }
    )


def _service_settings(process: str, *arguments: Any) -> "Settings":
    """The same, for a process that serves: with logs, and joined to the `up` that runs on the data folder."""
    from streamforge import data_folder
    from streamforge.embedded.endpoints import join
    from streamforge.observability.logs import configure_logging

    settings = _settings(*arguments)
    data_folder.write_for_owner_only()
    data_folder.require(settings.data_dir)
    configure_logging(settings, process, keep=True)
    return join(settings)


@app.command()
def up(
    context: typer.Context,
    *,
    host: Host = None,
    port: Port = None,
    data_dir: DataDir = None,
    temporal_port: Annotated[int, typer.Option(min=0, max=65535, help="0: any.")] = 7233,
    ui_port: Annotated[int, typer.Option(min=0, max=65535, help="Temporal's web page; 0: any.")] = 8233,
    no_worker: Annotated[bool, typer.Option("--no-worker", help="Workers run elsewhere.")] = False,
) -> None:
    """Run everything on this machine: PostgreSQL, Temporal, the API and a worker."""
    embedded.require()
    from streamforge import data_folder
    from streamforge.embedded.supervisor import UpOptions
    from streamforge.observability.logs import configure_logging
    from streamforge.signals import until_signal

    settings = _settings(context, data_dir, host, port)
    data_folder.write_for_owner_only()
    configure_logging(settings, "up")
    options = UpOptions(temporal_port, ui_port, with_worker=not no_worker, config_file=context.obj)
    asyncio.run(until_signal(_up(settings, options)))


async def _up(settings: "Settings", options: "UpOptions") -> None:
    from streamforge.embedded.supervisor import running

    began = time.monotonic()
    async with running(settings, options) as parts:
        print(f"StreamForge is ready after {time.monotonic() - began:.1f} s.")
        print(f"  API          {parts.api_url}")
        print(f"  Temporal UI  {parts.ui_url or 'where ' + parts.temporal_address + ' has it'}")
        print(f"  data, logs   {settings.data_dir.resolve()}")
        key = '-H "Authorization: Bearer $KEY" ' if settings.auth.required else ""
        if key:
            print(
                f"Make a key:    streamforge api-keys create --owner NAME --data-dir {shlex.quote(str(settings.data_dir))}"
            )
        print(f"Try it:        curl {key}-F video=@FILE {parts.api_url}/process", flush=True)
        await asyncio.Event().wait()


@app.command()
def api(context: typer.Context, host: Host = None, port: Port = None, data_dir: DataDir = None) -> None:
    """Run the HTTP API; any number of them may run. Joins the `up` on the same data folder."""
    import uvloop

    from streamforge.api.http.server import serve
    from streamforge.embedded.agreement import require_same_callers

    settings = _service_settings("api", context, data_dir, host, port)
    require_same_callers(settings)
    uvloop.run(serve(settings))


@worker_commands.callback()
def worker(context: typer.Context, data_dir: DataDir = None) -> None:
    """Run a worker; any number, on any machine. Joins the `up` on the same data folder."""
    if context.invoked_subcommand is not None:
        return
    from streamforge.worker.run import run_worker

    asyncio.run(run_worker(_service_settings("worker", context, data_dir)))


@app.command()
def migrate(context: typer.Context, data_dir: DataDir = None) -> None:
    """Bring the database schema and Temporal's search attributes up to date."""
    from streamforge.embedded.endpoints import join

    asyncio.run(_migrate(join(_settings(context, data_dir))))


async def _migrate(settings: "Settings") -> None:
    from streamforge.db.migrations import apply_migrations
    from streamforge.db.roles import Roles
    from streamforge.errors import TemporalUnavailable
    from streamforge.temporal.connect import connect, ensure_search_attributes

    assert settings.database.dsn is not None
    applied = await apply_migrations(settings.database.dsn, Roles(settings.database.roles))
    print(f"Applied {', '.join(applied)}." if applied else "The schema is up to date.")
    try:
        await ensure_search_attributes(await connect(settings.temporal))
    except TemporalUnavailable as error:
        print(f"{error.message} Its search attributes will be registered when a worker starts.")


@api_keys.command("create")
def createapi_key(
    context: typer.Context,
    *,
    owner: Annotated[str, typer.Option(metavar="NAME", help="Whose jobs it is for.")],
    scope: Annotated[str, typer.Option(metavar="LIST", help="Of submit, report, read and admin.")] = "submit,read",
    expires: Annotated[str | None, typer.Option(metavar="PERIOD", help="Like 90d, 12h, 30m. (default: never)")] = None,
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """Make a key, and print it as the last word: it is shown this once."""
    from streamforge import administration

    try:
        scopes = administration.scopes_of(scope)
        lasts = administration.period(expires) if expires else None
    except ValueError as error:
        raise typer.BadParameter(f"{error}.") from error
    key = asyncio.run(administration.create_key(_settings(context, data_dir), owner, scopes, lasts))
    if as_json:
        print(json.dumps({"owner": owner, "scopes": scopes, "key": key}))
    else:
        print(f"A key of {owner} for {', '.join(scopes)}; keep it, it is shown this once: {key}")


@api_keys.command("list")
def list_api_keys(context: typer.Context, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Show how the keys begin, whose they are, and when they were used last, give or take half a minute."""
    from streamforge import administration
    from streamforge.terminal import key_lines

    keys = asyncio.run(administration.list_keys(_settings(context, data_dir)))
    for line in [key.model_dump_json(exclude={"hash"}) for key in keys] if as_json else key_lines(keys):
        print(line)


@api_keys.command("revoke")
def revokeapi_key(
    context: typer.Context,
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="How the key begins, like sf_k3v9x2aq.")],
    as_json: AsJson = False,
    data_dir: DataDir = None,
) -> None:
    """End a key: it is refused within seconds, and what was opened with it ends."""
    from streamforge import administration

    revoked = asyncio.run(administration.revoke_key(_settings(context, data_dir), prefix))
    print(json.dumps({"revoked": revoked}) if as_json else f"Revoked {revoked}.")


@app.command()
def backup(
    context: typer.Context,
    target: Annotated[Path, typer.Argument(metavar="FOLDER", help="Made; may be there if it is empty.")],
    *,
    since: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="An earlier backup: objects that it has are linked from there."),
    ] = None,
    with_bucket: Annotated[
        bool, typer.Option("--with-bucket", help="Copy the objects of a bucket, too; else they are listed only.")
    ] = False,
    data_dir: DataDir = None,
) -> None:
    """Copy a running installation as it is now: jobs, workflows, media and secrets."""
    embedded.require()
    from streamforge import data_folder
    from streamforge.backup.making import make, plan_of

    data_folder.write_for_owner_only()

    receipt = asyncio.run(make(plan_of(_settings(context, data_dir), target, since, with_bucket, print)))
    print(*receipt.sentences(), sep="\n")


@app.command()
def restore(
    context: typer.Context,
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A backup.")],
    data_dir: DataDir = None,
) -> None:
    """Make an installation out of a backup, where there is none yet; then start it."""
    embedded.require()
    from streamforge import data_folder
    from streamforge.backup.folder import opened
    from streamforge.backup.restoring import restore as restored

    data_folder.write_for_owner_only()
    print(*asyncio.run(restored(opened(folder), _settings(context, data_dir), print)).sentences(), sep="\n")


@app.command()
def demo(
    context: typer.Context,
    video: Annotated[Path | None, typer.Argument(metavar="[FILE]", exists=True, dir_okay=False)] = None,
) -> None:
    """Start everything, process one video, show the result, stop everything."""
    embedded.require()
    from rich.console import Console

    from streamforge import demo
    from streamforge.signals import until_signal

    work = demo.run(_settings(context), video or demo.sample_video(), context.obj, Console())
    if asyncio.run(until_signal(work)):
        raise typer.Exit(130)


@app.command()
def plan(
    context: typer.Context,
    file: Video,
    profile: ProfileName = None,
    as_json: Annotated[bool, typer.Option("--json", help="The plan as JSON.")] = False,
) -> None:
    """Show what would be done with a video, and what it would cost. Needs no server."""
    from rich.console import Console

    from streamforge.terminal import plan_tables

    planned = asyncio.run(_plan(file, _settings(context).for_profile(profile)))
    if as_json:
        print(planned.model_dump_json(indent=2))
    else:
        Console().print(*plan_tables(planned), sep="\n")


async def _plan(file: Path, settings: "Settings") -> "PrintablePlan":
    from streamforge.local import planned
    from streamforge.media.worker.capabilities import cores
    from streamforge.planning.prediction import printable

    source, plan = await planned(file, settings)
    return printable(source, plan, cores())


@app.command()
def doctor(context: typer.Context, as_json: AsJson = False, data_dir: DataDir = None) -> None:
    """Look at every part and say what to do about those that are not well. Exits with 1 when one is missing."""
    from rich.console import Console

    from streamforge.doctor import Level, examine, print_findings

    findings = asyncio.run(examine(_settings(context, data_dir)))
    if as_json:
        for finding in findings:
            print(json.dumps(asdict(finding)))
    else:
        print_findings(Console(), findings)
    if any(finding.level is Level.FAILED for finding in findings):
        raise typer.Exit(1)


@app.command()
def verify(
    place: Annotated[str, typer.Argument(metavar="DIR_OR_URL", help="A job's output, or where it is served.")],
    as_json: AsJson = False,
    api_key_file: KeyForVerify = None,
) -> None:
    """Compare every file of a stream with what its result.json says. Needs no server. Exits with 1 when one is wrong."""
    from streamforge.verification import verify as compared

    # One from the environment is for our API: a stream may be served by anybody.
    key = api_key(api_key_file) if api_key_file is not None else None
    verified = asyncio.run(compared(place, api_key=key))
    if as_json:
        print(json.dumps(_as_object(verified)))
        raise typer.Exit(1 if verified.problems else 0)
    for problem in verified.problems:
        print(f"{_shown(problem.name)} {problem.sentence}")
    for name in verified.unlisted:
        print(f"{_shown(name)} is not in the receipt")
    count, wrong = len(verified.receipt.files), len(verified.problems)
    size = sum(file.size_bytes for file in verified.receipt.files.values())
    if wrong:
        print(f"{wrong} of {count:,} files are not as the receipt of job {verified.receipt.job_id} says.")
        raise typer.Exit(1)
    print(f"All {count:,} files ({size:,} bytes) are as the receipt of job {verified.receipt.job_id} says.")


def _as_object(verified: "Verified") -> dict[str, Any]:
    receipt = verified.receipt
    return {
        "job_id": str(receipt.job_id),
        "files": len(receipt.files),
        "bytes": sum(file.size_bytes for file in receipt.files.values()),
        "problems": [asdict(problem) for problem in verified.problems],
        "unlisted": verified.unlisted,
    }


def _shown(name: str) -> str:
    """A stranger's name must not move the cursor of a terminal."""
    return name if name.isprintable() else ascii(name)
