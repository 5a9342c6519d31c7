"""Commands that look at jobs, queue and workers of a server, and change them."""
# ruff: noqa: PLC0415

import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from streamforge.cli.asking import LOCAL_API, ApiKeyFile, AsJson, Url, asked, show, show_object

if TYPE_CHECKING:
    from streamforge.contracts.job_view import JobView

commands = typer.Typer()
Job = Annotated[UUID, typer.Argument(metavar="JOB")]
Priority = Annotated[int | None, typer.Option(min=1, max=5, help="1 goes first.")]


@commands.command()
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
    as_json: AsJson = False,
    url: Url = LOCAL_API,
    api_key_file: ApiKeyFile = None,
) -> None:
    """List jobs, the newest first."""
    named = {"status": status, "stage": stage, "q": words, "external_id": external_id, "metadata": metadata}
    filters = {name: value for name, value in named.items() if value is not None}
    page = asked(url, api_key_file, lambda client: client.find(limit=limit, **filters))
    for job in page.jobs:
        _show_job(job, as_json)


@commands.command()
def job(job: Job, as_json: AsJson = False, url: Url = LOCAL_API, api_key_file: ApiKeyFile = None) -> None:
    """Show a job."""
    _show_job(asked(url, api_key_file, lambda client: client.job(job)), as_json)


@commands.command()
def cancel(
    job: Job,
    *,
    purge: Annotated[
        bool, typer.Option("--purge", help="Remove it with its media, too, also when it is over.")
    ] = False,
    as_json: AsJson = False,
    url: Url = LOCAL_API,
    api_key_file: ApiKeyFile = None,
) -> None:
    """Cancel a job."""
    if not purge:
        _show_job(asked(url, api_key_file, lambda client: client.cancel(job)), as_json)
        return
    asked(url, api_key_file, lambda client: client.purge(job))
    print(json.dumps({"job_id": str(job), "purged": True}) if as_json else f"{job} is removed with its media.")


@commands.command()
def pause(job: Job, as_json: AsJson = False, url: Url = LOCAL_API, api_key_file: ApiKeyFile = None) -> None:
    """Pause a job: what is being encoded comes to its end, and nothing else is begun."""
    _show_job(asked(url, api_key_file, lambda client: client.pause(job)), as_json)


@commands.command()
def resume(job: Job, as_json: AsJson = False, url: Url = LOCAL_API, api_key_file: ApiKeyFile = None) -> None:
    """Let a paused job go on."""
    _show_job(asked(url, api_key_file, lambda client: client.resume(job)), as_json)


@commands.command()
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
    _show_job(asked(url, api_key_file, lambda client: client.retry(job, first=stage)), as_json)


@commands.command()
def reprocess(
    job: Job,
    *,
    profile: Annotated[str | None, typer.Option(metavar="NAME", help="One of the server's profiles.")] = None,
    captions: Annotated[str | None, typer.Option(metavar="LANGUAGE", help="As of `submit`.")] = None,
    on_damage: Annotated[str | None, typer.Option(metavar="fail|keep", help="As of `submit`.")] = None,
    priority: Priority = None,
    as_json: AsJson = False,
    url: Url = LOCAL_API,
    api_key_file: ApiKeyFile = None,
) -> None:
    """Make another job of a video that was sent, with other options. Prints its id."""
    named = {"profile": profile, "captions": captions, "on_damage": on_damage, "priority": priority}
    options = {name: value for name, value in named.items() if value is not None}
    made = asked(url, api_key_file, lambda client: client.reprocess(job, **options))
    print(json.dumps({"job_id": str(made)}) if as_json else made)


@commands.command()
def change(
    job: Job,
    *,
    priority: Priority = None,
    metadata: Annotated[str | None, typer.Option(metavar="JSON", help="In the place of what was there.")] = None,
    retain_until: Annotated[str | None, typer.Option(metavar="TIME", help="As ISO 8601 has it.")] = None,
    legal_hold: Annotated[
        bool | None, typer.Option("--legal-hold/--no-legal-hold", help="Nothing of it is removed.")
    ] = None,
    as_json: AsJson = False,
    url: Url = LOCAL_API,
    api_key_file: ApiKeyFile = None,
) -> None:
    """Change a job. `null` takes metadata away, and the time until which it is kept."""
    named = {
        "priority": priority,
        "metadata": None if metadata is None else _json_of(metadata),
        "retain_until": retain_until,
        "legal_hold": legal_hold,
    }
    given = (("metadata", metadata), ("retain_until", retain_until))
    taken_away: dict[str, Any] = {name: None for name, value in given if value == "null"}
    changes = {name: value for name, value in named.items() if value is not None} | taken_away
    _show_job(asked(url, api_key_file, lambda client: client.change(job, **changes)), as_json)


def _json_of(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:
        raise typer.BadParameter(f"is no JSON: {error}.", param_hint="--metadata") from error


@commands.command()
def logs(
    context: typer.Context,
    job: Job,
    *,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until Ctrl-C.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="The lines as they are kept.")] = False,
    data_dir: Annotated[
        Path | None, typer.Option("--data-dir", metavar="DIR", help="Uploads, output, databases and logs lie here.")
    ] = None,
    url: Annotated[
        str | None, typer.Option(help="Ask the API that listens there, instead of reading a data folder.")
    ] = None,
    api_key_file: ApiKeyFile = None,
) -> None:
    """Show what all processes on the data folder said of a job, in order. Exits with 1 when none said anything."""
    from streamforge.observability import job_logs
    from streamforge.settings import load

    if url is not None and follow:
        raise typer.BadParameter("reads a data folder; `streamforge watch` follows a job by the API.", param_hint="-f")
    if url is not None:
        kept = asked(url, api_key_file, lambda client: client.logs(job, limit="5000"))
        where, lines = url, iter([job_logs.Line(fields, json.dumps(fields)) for fields in kept])
    else:
        folder = (data_dir or load(context.obj).data_dir).resolve()
        where = str(folder / "logs")
        lines = job_logs.follow(folder, job) if follow else iter(job_logs.lines_of(folder, job))
    said = False
    with suppress(KeyboardInterrupt, BrokenPipeError):
        for line in lines:
            said = True
            print(line.raw if as_json else job_logs.as_text(line), flush=follow)
    if not said:
        print(f"streamforge: No line about job {job} is kept in {where}.", file=sys.stderr)
        raise typer.Exit(1)


@commands.command()
def queue(as_json: AsJson = False, url: Url = LOCAL_API, api_key_file: ApiKeyFile = None) -> None:
    """Show how much there is to do."""
    show_object(asked(url, api_key_file, lambda client: client.queue()), as_json)


@commands.command()
def usage(
    *,
    owner: Annotated[str | None, typer.Option(metavar="NAME", help="For administrators: whose.")] = None,
    as_json: AsJson = False,
    url: Url = LOCAL_API,
    api_key_file: ApiKeyFile = None,
) -> None:
    """Show what was used of the limits."""
    show_object(asked(url, api_key_file, lambda client: client.usage(owner=owner)), as_json)


@commands.command()
def workers(as_json: AsJson = False, url: Url = LOCAL_API, api_key_file: ApiKeyFile = None) -> None:
    """List the workers that run, and what they do."""
    from streamforge.terminal import worker_line

    for worker in asked(url, api_key_file, lambda client: client.workers()):
        show(worker, as_json, worker_line)


def drain_worker(
    name: Annotated[
        str, typer.Argument(metavar="WORKER", help="As `streamforge workers` calls it, like 4711@encoder-3.")
    ],
    as_json: AsJson = False,
    url: Url = LOCAL_API,
    api_key_file: ApiKeyFile = None,
) -> None:
    """Have a worker stop: it takes no more work, and gets its grace for what it runs."""
    worker = asked(url, api_key_file, lambda client: client.drain(name))
    show(worker, as_json, lambda each: f"{each.id} takes no more work; it runs {len(each.running)} activities.")


def _show_job(job: "JobView", as_json: bool) -> None:
    from streamforge.terminal import job_line

    show(job, as_json, job_line)
