"""`streamforge webhooks …`: who else is told of what happens."""

import json
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from streamforge.cli.asking import LOCAL_API, ApiKeyFile, AsJson, Url, asked, show, show_object

if TYPE_CHECKING:
    from streamforge.client import Delivery, Webhook

commands = typer.Typer(
    help="Addresses that are told what happens: make them, test them, see what was sent.", no_args_is_help=True
)
WebhookId = Annotated[UUID, typer.Argument(metavar="WEBHOOK")]
WebhookOrJobs = Annotated[
    str, typer.Argument(metavar="WEBHOOK|jobs", help="jobs: the addresses that jobs bring with them.")
]


@commands.command("list")
def list_webhooks(as_json: AsJson = False, url: Url = LOCAL_API, api_key_file: ApiKeyFile = None) -> None:
    """List them."""
    for webhook in asked(url, api_key_file, lambda client: client.webhooks()):
        show(webhook, as_json, _line)


@commands.command("create")
def create_webhook(
    address: Annotated[str, typer.Argument(metavar="ADDRESS", help="What is told, like https://example.org/hook.")],
    *,
    events: Annotated[
        list[str] | None, typer.Option("--event", metavar="TYPE", help="Like job.completed; as often as you like.")
    ] = None,
    as_format: Annotated[str, typer.Option("--format", metavar="standard|cloudevents")] = "standard",
    description: Annotated[str, typer.Option(metavar="TEXT")] = "",
    as_json: AsJson = False,
    url: Url = LOCAL_API,
    api_key_file: ApiKeyFile = None,
) -> None:
    """Make one. `streamforge webhooks secret` shows what its receiver verifies signatures with."""
    fields = {"events": events or None, "format": as_format, "description": description}
    show(asked(url, api_key_file, lambda client: client.create_webhook(address, **fields)), as_json, _line)


@commands.command("delete")
def delete_webhook(
    webhook: WebhookId, as_json: AsJson = False, url: Url = LOCAL_API, api_key_file: ApiKeyFile = None
) -> None:
    """Delete one; what waits to be sent to it is dropped."""
    asked(url, api_key_file, lambda client: client.delete_webhook(webhook))
    print(json.dumps({"deleted": str(webhook)}) if as_json else f"{webhook} is deleted.")


@commands.command("enable")
def enable_webhook(
    webhook: WebhookId, as_json: AsJson = False, url: Url = LOCAL_API, api_key_file: ApiKeyFile = None
) -> None:
    """Switch one on."""
    show(asked(url, api_key_file, lambda client: client.change_webhook(webhook, enabled=True)), as_json, _line)


@commands.command("disable")
def disable_webhook(
    webhook: WebhookId, as_json: AsJson = False, url: Url = LOCAL_API, api_key_file: ApiKeyFile = None
) -> None:
    """Switch one off."""
    show(asked(url, api_key_file, lambda client: client.change_webhook(webhook, enabled=False)), as_json, _line)


@commands.command("secret")
def show_secret(
    webhook: WebhookOrJobs,
    *,
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Another one; the one before signs as well, for a while.")
    ] = False,
    as_json: AsJson = False,
    url: Url = LOCAL_API,
    api_key_file: ApiKeyFile = None,
) -> None:
    """Show what signatures are verified with."""
    if rotate:
        asked(url, api_key_file, lambda client: client.rotate_webhook_secret(webhook))
    secret = asked(url, api_key_file, lambda client: client.webhook_secret(webhook))
    show_object(secret.model_dump(mode="json"), as_json)


@commands.command("test")
def send_test(
    webhook: WebhookId, as_json: AsJson = False, url: Url = LOCAL_API, api_key_file: ApiKeyFile = None
) -> None:
    """Send one a test."""
    show(asked(url, api_key_file, lambda client: client.test_webhook(webhook)), as_json, _delivery_line)


@commands.command("deliveries")
def list_deliveries(
    webhook: WebhookOrJobs,
    *,
    status: Annotated[str | None, typer.Option(metavar="pending|delivered|failed")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200)] = 50,
    as_json: AsJson = False,
    url: Url = LOCAL_API,
    api_key_file: ApiKeyFile = None,
) -> None:
    """List what was sent and what came back, the newest first."""
    page = asked(url, api_key_file, lambda client: client.deliveries(webhook, status=status, limit=limit))
    for delivery in page.deliveries:
        show(delivery, as_json, _delivery_line)


@commands.command("redeliver")
def redeliver(
    webhook: WebhookOrJobs,
    delivery: Annotated[UUID, typer.Argument(metavar="DELIVERY")],
    as_json: AsJson = False,
    url: Url = LOCAL_API,
    api_key_file: ApiKeyFile = None,
) -> None:
    """Send it again, now."""
    show(asked(url, api_key_file, lambda client: client.redeliver(webhook, delivery)), as_json, _delivery_line)


def _line(webhook: "Webhook") -> str:
    types = ",".join(webhook.events) if webhook.events is not None else "all but job.progress"
    state = "on" if webhook.enabled else f"off{f': {webhook.disabled_reason}' if webhook.disabled_reason else ''}"
    return f"{webhook.id}  {webhook.url}  {types}  {state}"


def _delivery_line(delivery: "Delivery") -> str:
    failures = [attempt.failure for attempt in delivery.attempts if attempt.failure]
    why = f"  {failures[-1]}" if failures and delivery.status != "delivered" else ""
    tries = len(delivery.attempts)
    return (
        f"{delivery.id}  {delivery.created_at:%Y-%m-%d %H:%M}  {delivery.type}  {delivery.status}  tries {tries}{why}"
    )
