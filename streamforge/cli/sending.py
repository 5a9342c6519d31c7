"""Commands that send videos to a server, and follow what becomes of them."""
# ruff: noqa: PLC0415

import asyncio
import json
import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from streamforge.cli.asking import LOCAL_API, ApiKeyFile, AsJson, Server, Url, server

if TYPE_CHECKING:
    from rich.console import Console

    from streamforge.client import StreamEvent, StreamForgeClient
    from streamforge.contracts.job_view import JobView

commands = typer.Typer()
SUBMIT_RETRY_SECONDS = 10
"""A film that was on its way for an hour is not given up for a server that restarts."""
NO_FIELDS = frozenset({"files", "watch", "resumable", "as_json", "url", "api_key_file"})
"""Options of the command that are none of the job."""


@commands.command()
def submit(
    context: typer.Context,
    files: Annotated[list[Path], typer.Argument(metavar="FILE…", exists=True, dir_okay=False, readable=True)],
    *,
    key: Annotated[str | None, typer.Option(help="Name of the video. (default: the file's name)")] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", metavar="NAME", help="One of the server's profiles.")
    ] = None,
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
    resumable: Annotated[
        bool, typer.Option("--resumable", help="In pieces; what broke off goes on when you say the same again.")
    ] = False,
    watch: Annotated[bool, typer.Option("--watch", help="Follow it to its end.")] = False,
    as_json: AsJson = False,
    url: Url = LOCAL_API,
    api_key_file: ApiKeyFile = None,
) -> None:
    """Send a video, or several as a batch. Prints the id of the job or batch, or with --watch follows it."""
    fields = {name: str(value) for name, value in context.params.items() if name not in NO_FIELDS and value is not None}
    there = server(url, api_key_file)
    if len(files) == 1:
        asyncio.run(_submit(files[0], fields, there, resumable=resumable, watch=watch, as_json=as_json))
    elif key is not None:
        raise typer.BadParameter("names one video; those of a batch are named by their files.", param_hint="--key")
    elif resumable:
        raise typer.BadParameter("is for one video.", param_hint="--resumable")
    elif not asyncio.run(_submit_batch(files, fields, there, watch=watch, as_json=as_json)):
        raise typer.Exit(1)


async def _submit(
    file: Path, fields: dict[str, Any], there: Server, *, resumable: bool, watch: bool, as_json: bool
) -> None:
    from rich.console import Console

    from streamforge.terminal import event_reporter, progress_display, upload_reporter

    console = Console()
    await _require(there)
    async with _client(there) as client:
        send = client.upload if resumable else client.submit
        if as_json or not watch:
            job_id = await send(file, **fields)
            print(json.dumps({"job_id": str(job_id)}) if as_json else job_id, flush=True)
            if watch:
                await client.follow(job_id, _print_event)
            return
        with progress_display(console) as report:
            job_id = await send(file, **fields | {"on_progress": upload_reporter(report)})
            console.print(f"Job {job_id}", highlight=False)
            job = await client.follow(job_id, event_reporter(report))
    _print_result(console, there.url, job)


async def _submit_batch(
    files: list[Path], fields: dict[str, str], there: Server, *, watch: bool, as_json: bool
) -> bool:
    """Whether all that was to be done is done."""
    from rich.console import Console

    from streamforge.contracts.batch import BatchStatus

    console = Console()
    await _require(there)
    async with _client(there) as client:
        sent = await client.submit_batch(files, on_progress=None, **fields)
        print(sent.model_dump_json() if as_json else sent.batch_id, flush=True)
        for video in sent.rejected:
            print(f"streamforge: {video.key}: {video.message}", file=sys.stderr)
        if not watch:
            return not sent.rejected
        async for event in client.watch_batch(sent.batch_id):
            _print_mixed(console, event, as_json)
        batch = await client.batch(sent.batch_id)
    if not as_json:
        console.print(f"{batch.completed} of {len(files)} completed", highlight=False)
    return batch.status is BatchStatus.COMPLETED and not sent.rejected


@commands.command()
def watch(
    job: Annotated[UUID | None, typer.Argument(metavar="[JOB]")] = None,
    as_json: AsJson = False,
    url: Url = LOCAL_API,
    api_key_file: ApiKeyFile = None,
) -> None:
    """Follow a job to its end, or without one everything until Ctrl-C. Exits with 1 when the job fails."""
    there = server(url, api_key_file)
    if job is None:
        with suppress(KeyboardInterrupt):
            asyncio.run(_watch_everything(there, as_json))
    else:
        asyncio.run(_watch(job, there, as_json))


async def _watch_everything(there: Server, as_json: bool) -> None:
    from rich.console import Console

    console = Console()
    async with _client(there) as client:
        async for event in client.watch_everything():
            _print_mixed(console, event, as_json)


async def _watch(job_id: UUID, there: Server, as_json: bool) -> None:
    from rich.console import Console

    from streamforge.terminal import event_reporter, progress_display

    console = Console()
    async with _client(there) as client:
        if as_json:
            await client.follow(job_id, _print_event)
            return
        with progress_display(console) as report:
            job = await client.follow(job_id, event_reporter(report))
    _print_result(console, there.url, job)


async def _require(there: Server) -> None:
    """Who waits at a terminal wants to know at once that there is no server."""
    async with there.client() as client:
        await client.health()


def _client(there: Server) -> "StreamForgeClient":
    return there.client(retry_seconds=SUBMIT_RETRY_SECONDS)


def _print_event(event: "StreamEvent") -> None:
    print(event.model_dump_json(exclude_none=True), flush=True)


def _print_mixed(console: "Console", event: "StreamEvent", as_json: bool) -> None:
    """Of one of many jobs."""
    from streamforge.terminal import line_of

    if as_json:
        _print_event(event)
    elif event.job_id is not None:
        console.print(line_of(event), markup=False, highlight=False)


def _print_result(console: "Console", url: str, job: "JobView") -> None:
    from streamforge.terminal import rendition_table

    console.print(rendition_table(job))
    if job.playback is not None:
        for kind, path in job.playback.manifests.items():
            console.print(f"{kind:<5} {url}{path}", highlight=False, soft_wrap=True)
