"""The `streamforge` command. What a command needs is imported inside it: `--help` is quick, and each process loads only
its own parts, so that the web process never loads media code."""
# ruff: noqa: PLC0415

import asyncio
import os
import shlex
import sys
import time
from contextlib import suppress
from functools import partial
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar
from uuid import UUID

import typer

from streamforge import __version__, embedded
from streamforge.errors import StreamForgeError

T = TypeVar("T")

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rich.console import Console

    from streamforge.client import StreamForgeClient
    from streamforge.contracts.job_view import JobView
    from streamforge.contracts.printable_plan import PrintablePlan
    from streamforge.embedded.supervisor import UpOptions
    from streamforge.settings import Settings

LOCAL_API = "http://127.0.0.1:8081"

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

DataDir = Annotated[
    Path | None, typer.Option("--data-dir", metavar="DIR", help="Uploads, output, databases and logs lie here.")
]
Host = Annotated[str | None, typer.Option(help="Address to listen on. (default: 127.0.0.1)")]
Port = Annotated[int | None, typer.Option(min=0, max=65535, help="Port of the API; 0: any. (default: 8081)")]
Url = Annotated[str, typer.Option(help="Where the API listens.")]
KeyFile = partial(typer.Option, "--api-key-file", metavar="FILE", exists=True, dir_okay=False, readable=True)
"""Never the key itself: everybody on a machine sees what programs are called with."""
ApiKeyFile = Annotated[
    Path | None,
    KeyFile(
        help="Holds an API key. (default: what STREAMFORGE_API_KEY says, or the file that STREAMFORGE_API_KEY_FILE names)"
    ),
]
KeyForVerify = Annotated[
    Path | None,
    KeyFile(help="Holds an API key, where the stream is signed. That of the environment is not shown to others."),
]
ProfileName = Annotated[str | None, typer.Option("--profile", metavar="NAME", help="One of the server's profiles.")]
Job = Annotated[UUID, typer.Argument(metavar="JOB")]
AsJson = Annotated[bool, typer.Option("--json", help="As the API says it.")]
Video = Annotated[Path, typer.Argument(metavar="FILE", exists=True, dir_okay=False, readable=True)]


HINTS = {
    "auth.required": " This command takes it from STREAMFORGE_API_KEY, or from the file that STREAMFORGE_API_KEY_FILE or "
    "--api-key-file names."
}
"""By the code of an error: what its sentence means at the command line."""


class Server(NamedTuple):
    """Where the API listens, and what is shown to it."""

    url: str
    api_key: str | None


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


def _api_key(file: Path | None) -> str | None:
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


@worker_commands.command("drain")
def drain_worker(
    name: Annotated[
        str, typer.Argument(metavar="WORKER", help="As `streamforge workers` calls it, like 4711@encoder-3.")
    ],
    url: Url = LOCAL_API,
    api_key_file: ApiKeyFile = None,
) -> None:
    """Have a worker stop: it takes no more work, and gets its grace for what it runs."""
    asyncio.run(_drain(name, Server(url, _api_key(api_key_file))))


async def _drain(name: str, server: Server) -> None:
    worker = await _with_client(server, lambda client: client.drain(name))
    print(f"{worker.id} takes no more work; it runs {len(worker.running)} activities.")


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
def create_api_key(
    context: typer.Context,
    *,
    owner: Annotated[str, typer.Option(metavar="NAME", help="Whose jobs it is for.")],
    scope: Annotated[str, typer.Option(metavar="LIST", help="Of submit, report, read and admin.")] = "submit,read",
    expires: Annotated[str | None, typer.Option(metavar="PERIOD", help="Like 90d, 12h, 30m. (default: never)")] = None,
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
    print(f"A key of {owner} for {', '.join(scopes)}; keep it, it is shown this once: {key}")


@api_keys.command("list")
def list_api_keys(context: typer.Context, data_dir: DataDir = None) -> None:
    """Show how the keys begin, whose they are, and when they were used last, give or take half a minute."""
    from streamforge import administration
    from streamforge.terminal import key_lines

    for line in key_lines(asyncio.run(administration.list_keys(_settings(context, data_dir)))):
        print(line)


@api_keys.command("revoke")
def revoke_api_key(
    context: typer.Context,
    prefix: Annotated[str, typer.Argument(metavar="PREFIX", help="How the key begins, like sf_k3v9x2aq.")],
    data_dir: DataDir = None,
) -> None:
    """End a key: it is refused within seconds, and what was opened with it ends."""
    from streamforge import administration

    revoked = asyncio.run(administration.revoke_key(_settings(context, data_dir), prefix))
    print(f"Revoked {revoked}.")


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
def submit(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", exists=True, dir_okay=False, readable=True)],
    *,
    key: Annotated[str | None, typer.Option(help="Name of the video. (default: the file's name)")] = None,
    profile: ProfileName = None,
    captions: Annotated[
        str | None, typer.Option(metavar="LANGUAGE", help="What is spoken, like en; auto: find out; none: no captions.")
    ] = None,
    on_damage: Annotated[
        str | None, typer.Option(metavar="fail|keep", help="What to do with a video that is cut off or broken.")
    ] = None,
    priority: Annotated[int | None, typer.Option(min=1, max=5, help="1 goes first. (default: 3)")] = None,
    external_id: Annotated[str | None, typer.Option(metavar="ID", help="What you call it.")] = None,
    metadata: Annotated[str | None, typer.Option(metavar="JSON", help="An object to be kept with the job.")] = None,
    webhook_url: Annotated[str | None, typer.Option(metavar="URL", help="Told of what becomes of the job.")] = None,
    playback: Annotated[
        str | None, typer.Option(metavar="public|signed", help="Who may watch: who has the id, or a signed address.")
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
    url: Url = LOCAL_API,
    api_key_file: ApiKeyFile = None,
) -> None:
    """Send a video, or several as a batch. Prints the id of the job or batch, or with --watch follows it."""
    given = {
        name: value for name, value in context.params.items() if name not in {"files", "watch", "url", "api_key_file"}
    }
    fields = {name: str(value) for name, value in given.items() if value is not None}
    server = Server(url, _api_key(api_key_file))
    if len(files) == 1:
        asyncio.run(_submit(files[0], fields, watch, server))
    elif key is not None:
        raise typer.BadParameter("names one video; those of a batch are named by their files.", param_hint="--key")
    elif not asyncio.run(_submit_batch(files, fields, watch, server)):
        raise typer.Exit(1)


async def _submit_batch(files: list[Path], fields: dict[str, str], watch: bool, server: Server) -> bool:
    """Whether all that was to be done is done."""
    from rich.console import Console

    from streamforge.client import StreamForgeClient
    from streamforge.contracts.batch import BatchStatus
    from streamforge.terminal import line_of

    console = Console()
    async with StreamForgeClient(server.url, api_key=server.api_key) as client:
        sent = await client.submit_batch(files, on_progress=None, **fields)
        print(sent.batch_id)
        for video in sent.rejected:
            print(f"streamforge: {video.key}: {video.message}", file=sys.stderr)
        if not watch:
            return not sent.rejected
        async for event in client.watch_batch(sent.batch_id):
            if event.job_id is not None:
                console.print(line_of(event), markup=False, highlight=False)
        batch = await client.batch(sent.batch_id)
    console.print(f"{batch.completed} of {len(files)} completed", highlight=False)
    return batch.status is BatchStatus.COMPLETED and not sent.rejected


async def _submit(file: Path, fields: dict[str, str], watch: bool, server: Server) -> None:
    from rich.console import Console

    from streamforge.client import StreamForgeClient
    from streamforge.terminal import event_reporter, progress_display, upload_reporter

    console = Console()
    async with StreamForgeClient(server.url, api_key=server.api_key) as client:
        if not watch:
            print(await client.submit(file, on_progress=None, **fields))
            return
        with progress_display(console) as report:
            job_id = await client.submit(file, **fields, on_progress=upload_reporter(report))
            console.print(f"Job {job_id}", highlight=False)
            job = await client.follow(job_id, event_reporter(report))
    _print_result(console, server.url, job)


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
def watch(
    job: Annotated[UUID | None, typer.Argument(metavar="[JOB]")] = None,
    url: Url = LOCAL_API,
    api_key_file: ApiKeyFile = None,
) -> None:
    """Follow a job to its end, or without one everything until Ctrl-C. Exits with 1 when the job fails."""
    if job is None:
        with suppress(KeyboardInterrupt):
            asyncio.run(_watch_everything(Server(url, _api_key(api_key_file))))
    else:
        asyncio.run(_watch(job, Server(url, _api_key(api_key_file))))


async def _watch_everything(server: Server) -> None:
    from rich.console import Console

    from streamforge.client import StreamForgeClient
    from streamforge.terminal import line_of

    console = Console()
    async with StreamForgeClient(server.url, api_key=server.api_key) as client:
        async for event in client.watch_everything():
            if event.job_id is not None:
                console.print(line_of(event), markup=False, highlight=False)


async def _watch(job_id: UUID, server: Server) -> None:
    from rich.console import Console

    from streamforge.client import StreamForgeClient
    from streamforge.terminal import event_reporter, progress_display

    console = Console()
    async with StreamForgeClient(server.url, api_key=server.api_key) as client:
        with progress_display(console) as report:
            job = await client.follow(job_id, event_reporter(report))
    _print_result(console, server.url, job)


def _print_result(console: "Console", url: str, job: "JobView") -> None:
    from streamforge.terminal import rendition_table

    console.print(rendition_table(job))
    if job.playback is not None:
        for kind, path in job.playback.manifests.items():
            console.print(f"{kind:<5} {url}{path}", highlight=False, soft_wrap=True)


@app.command()
def jobs(
    *,
    status: Annotated[str | None, typer.Option(help="Only those of this status.")] = None,
    stage: Annotated[str | None, typer.Option(help="Only those in this stage.")] = None,
    words: Annotated[
        str | None, typer.Option("--find", metavar="WORDS", help="Only keys with all of these words.")
    ] = None,
    external_id: Annotated[str | None, typer.Option(metavar="ID", help="Only what was sent with it.")] = None,
    metadata: Annotated[str | None, typer.Option(metavar="JSON", help="Only jobs with all of this.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=100)] = 20,
    as_json: Annotated[bool, typer.Option("--json", help="A line of JSON for each job.")] = False,
    url: Url = LOCAL_API,
    api_key_file: ApiKeyFile = None,
) -> None:
    """List jobs, the newest first."""
    asked = {"status": status, "stage": stage, "q": words, "external_id": external_id, "metadata": metadata}
    filters = {name: value for name, value in asked.items() if value is not None}
    asyncio.run(_jobs(filters, limit, as_json, Server(url, _api_key(api_key_file))))


async def _jobs(filters: dict[str, str], limit: int, as_json: bool, server: Server) -> None:
    page = await _with_client(server, lambda client: client.find(limit=limit, **filters))
    for job in page.jobs:
        _print_job(job, as_json)


@app.command()
def cancel(
    job: Job,
    *,
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove it with its media, too, also when it is over.")
    ] = False,
    url: Url = LOCAL_API,
    api_key_file: ApiKeyFile = None,
) -> None:
    """Cancel a job."""
    asyncio.run(
        _with_client(
            Server(url, _api_key(api_key_file)), lambda client: (client.purge if purge else client.cancel)(job)
        )
    )


@app.command()
def pause(job: Job, as_json: AsJson = False, url: Url = LOCAL_API, api_key_file: ApiKeyFile = None) -> None:
    """Pause a job: what is being encoded comes to its end, and nothing else is begun."""
    _print_job(
        asyncio.run(_with_client(Server(url, _api_key(api_key_file)), lambda client: client.pause(job))), as_json
    )


@app.command()
def resume(job: Job, as_json: AsJson = False, url: Url = LOCAL_API, api_key_file: ApiKeyFile = None) -> None:
    """Let a paused job go on."""
    _print_job(
        asyncio.run(_with_client(Server(url, _api_key(api_key_file)), lambda client: client.resume(job))), as_json
    )


@app.command()
def retry(
    job: Job,
    *,
    first: Annotated[
        str | None, typer.Option("--from", metavar="STAGE", help="All again from there on. (default: what is missing)")
    ] = None,
    as_json: AsJson = False,
    url: Url = LOCAL_API,
    api_key_file: ApiKeyFile = None,
) -> None:
    """Try a job again that failed."""
    from streamforge.contracts.job import Stage

    stage = None if first is None else Stage(first)
    server = Server(url, _api_key(api_key_file))
    _print_job(asyncio.run(_with_client(server, lambda client: client.retry(job, first=stage))), as_json)


@app.command()
def queue(url: Url = LOCAL_API, api_key_file: ApiKeyFile = None) -> None:
    """Show how much there is to do, as JSON."""
    import json

    stats = asyncio.run(_with_client(Server(url, _api_key(api_key_file)), lambda client: client.queue()))
    print(json.dumps(stats, indent=2))


@app.command()
def workers(as_json: AsJson = False, url: Url = LOCAL_API, api_key_file: ApiKeyFile = None) -> None:
    """List the workers that run, and what they do."""
    from streamforge.terminal import worker_line

    for each in asyncio.run(_with_client(Server(url, _api_key(api_key_file)), lambda client: client.workers())):
        print(each.model_dump_json() if as_json else worker_line(each))


async def _with_client(server: Server, ask: "Callable[[StreamForgeClient], Awaitable[T]]") -> "T":
    from streamforge.client import StreamForgeClient

    async with StreamForgeClient(server.url, api_key=server.api_key) as client:
        return await ask(client)


def _print_job(job: "JobView", as_json: bool) -> None:
    from streamforge.terminal import job_line

    print(job.model_dump_json() if as_json else job_line(job))


@app.command()
def logs(
    context: typer.Context,
    job: Annotated[UUID, typer.Argument(metavar="JOB")],
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The lines as they are kept.")] = False,
    data_dir: DataDir = None,
) -> None:
    """Show what all processes on the data folder said of a job, in order. Exits with 1 when none said anything."""
    from streamforge.observability import job_logs

    folder = _settings(context, data_dir).data_dir
    lines = job_logs.follow(folder, job) if follow else job_logs.lines_of(folder, job)
    said = False
    with suppress(KeyboardInterrupt, BrokenPipeError):
        for line in lines:
            said = True
            print(line.raw if as_json else job_logs.as_text(line), flush=follow)
    if not said:
        print(f"streamforge: No line about job {job} is kept in {folder / 'logs'}.", file=sys.stderr)
        raise typer.Exit(1)


@app.command()
def doctor(context: typer.Context, data_dir: DataDir = None) -> None:
    """Look at every part and say what to do about those that are not well. Exits with 1 when one is missing."""
    from rich.console import Console

    from streamforge.doctor import Level, examine, print_findings

    findings = asyncio.run(examine(_settings(context, data_dir)))
    print_findings(Console(), findings)
    if any(finding.level is Level.FAILED for finding in findings):
        raise typer.Exit(1)


@app.command()
def verify(
    place: Annotated[str, typer.Argument(metavar="DIR_OR_URL", help="A job's output, or where it is served.")],
    api_key_file: KeyForVerify = None,
) -> None:
    """Compare every file of a stream with what its result.json says. Needs no server. Exits with 1 when one is wrong."""
    from streamforge.verification import verify as compared

    # One from the environment is for our API: a stream may be served by anybody.
    api_key = _api_key(api_key_file) if api_key_file is not None else None
    verified = asyncio.run(compared(place, api_key=api_key))
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


def _shown(name: str) -> str:
    """A stranger's name must not move the cursor of a terminal."""
    return name if name.isprintable() else ascii(name)
