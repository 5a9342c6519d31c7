"""`/webhooks`: addresses that are told of what happens, their secrets, and what was said to them."""

from datetime import UTC, datetime, timedelta
from typing import NoReturn
from uuid import UUID, uuid4

from starlette.responses import Response

from streamforge.api.http.answers import answer
from streamforge.api.http.foreign_pages import refuse_foreign_page
from streamforge.api.http.idempotency import made_id_of
from streamforge.api.http.json_body import body_of
from streamforge.api.http.query_values import Choice, Number, Text
from streamforge.api.http.unknown_fields import parameters
from streamforge.api.openapi.operation import Answer, Body, Operation, describes, json_of
from streamforge.api.routes.views import page_cursor, parse_page_cursor
from streamforge.api.services import Request, owner_of, services_of
from streamforge.contracts.webhooks import (
    JOBS,
    MAX_ENDPOINTS,
    OF_JOBS,
    Delivery,
    DeliveryPage,
    DeliveryStatus,
    Webhook,
    WebhookList,
    WebhookPatch,
    WebhookRequest,
    WebhookSecret,
)
from streamforge.db.webhooks import OVERDUE, DeliveryRow, OwnWebhooks, SecretVersion
from streamforge.errors import (
    AddressRefused,
    DeliveryNotFound,
    ForeignPage,
    InvalidField,
    TooManyWebhooks,
    WebhookNotFound,
)
from streamforge.webhooks import signing
from streamforge.webhooks.messages import message_id

NOT_KEPT = {"Cache-Control": "no-store"}
THE_FIRST_PAGE = (datetime.max.replace(tzinfo=UTC), OF_JOBS)
OF_ALL_JOBS = "With `jobs` in place of an id: of the addresses that jobs brought with them, as `webhook_url`."

LIMIT = Number("limit", "Deliveries on a page.", 1, 200, default=50)
CURSOR = Text("cursor", "`next_cursor` of the page before.")
STATUS = Choice("status", "Only those.", tuple(DeliveryStatus))


@describes(
    Operation(
        tag="webhooks",
        summary="The caller's webhooks",
        answers=(json_of(200, "All of them, the oldest first.", WebhookList),),
        errors=(InvalidField, ForeignPage),
    )
)
async def list_webhooks(request: Request) -> Response:
    refuse_foreign_page(request)
    parameters(request)
    return answer(WebhookList(webhooks=await _own(request).all()))


@describes(
    Operation(
        tag="webhooks",
        summary="Have an address told of what happens",
        says="Of all the caller's jobs, from now on. `GET /webhooks/{webhook_id}/secret` has what it verifies signatures with.",
        answers=(json_of(201, "The webhook.", Webhook, "Location"),),
        errors=(InvalidField, AddressRefused, TooManyWebhooks),
        body=Body("application/json", WebhookRequest),
    )
)
async def create_webhook(request: Request) -> Response:
    services = services_of(request)
    parameters(request)
    asked = await body_of(request, WebhookRequest)
    await services.outbound.require_allowed(asked.url)
    webhook_id = made_id_of(request.scope) or uuid4()
    made = await _own(request).create(webhook_id, asked, services.keys.webhook_fingerprint())
    if made is None:
        raise TooManyWebhooks(f"There are {MAX_ENDPOINTS} webhooks already, and no more can be made.")
    return answer(made, 201, {"Location": f"/webhooks/{made.id}"})


@describes(
    Operation(
        tag="webhooks",
        summary="A webhook",
        answers=(json_of(200, "As it is.", Webhook),),
        errors=(InvalidField, WebhookNotFound, ForeignPage),
    )
)
async def get_webhook(request: Request) -> Response:
    refuse_foreign_page(request)
    parameters(request)
    return answer(await _own(request).get(_id_in(request)) or _not_found())


@describes(
    Operation(
        tag="webhooks",
        summary="Change a webhook, or switch it on or off",
        says="What is not named stays. What is owed to it already goes to its new address. What happens while it is switched "
        "off it is never told.",
        answers=(json_of(200, "As it is now.", Webhook),),
        errors=(InvalidField, AddressRefused, WebhookNotFound),
        body=Body("application/json", WebhookPatch),
    )
)
async def change_webhook(request: Request) -> Response:
    parameters(request)
    if await _own(request).get(_id_in(request)) is None:
        _not_found()
    asked = await body_of(request, WebhookPatch)
    if asked.url is not None:
        await services_of(request).outbound.require_allowed(asked.url)
    return answer(await _own(request).change(_id_in(request), asked) or _not_found())


@describes(
    Operation(
        tag="webhooks",
        summary="Delete a webhook",
        answers=(Answer(204, "It is gone, and what was still owed to it is not sent."),),
        errors=(InvalidField, WebhookNotFound),
    )
)
async def delete_webhook(request: Request) -> Response:
    parameters(request)
    if not await _own(request).delete(_id_in(request)):
        _not_found()
    return Response(status_code=204)


@describes(
    Operation(
        tag="webhooks",
        summary="What signatures are verified with",
        says=OF_ALL_JOBS,
        answers=(
            json_of(200, "The secret, and the one before where that signs, too.", WebhookSecret, "Cache-Control"),
        ),
        errors=(InvalidField, WebhookNotFound, ForeignPage),
    )
)
async def get_secret(request: Request) -> Response:
    refuse_foreign_page(request)
    parameters(request)
    endpoint = await _endpoint(request)
    version = await _own(request).secret(endpoint, services_of(request).keys.webhook_fingerprint())
    return answer(_shown(request, endpoint, version), headers=NOT_KEPT)


@describes(
    Operation(
        tag="webhooks",
        summary="Have another secret sign",
        says="The one before signs as well for `webhooks.old_secret_hours`; one before that does not any more. " + OF_ALL_JOBS,
        answers=(Answer(204, "`GET /webhooks/{webhook_id}/secret` has it."),),
        errors=(InvalidField, WebhookNotFound),
    )
)  # fmt: skip
async def rotate_secret(request: Request) -> Response:
    """The answer has no secret: with an `Idempotency-Key` it is kept, and a dump of the database would have it."""
    services = services_of(request)
    parameters(request)
    endpoint = await _endpoint(request)
    overlap = timedelta(hours=services.settings.webhooks.old_secret_hours)
    await _own(request).rotate(endpoint, services.keys.webhook_fingerprint(), overlap)
    return Response(status_code=204)


@describes(
    Operation(
        tag="webhooks",
        summary="Send a test",
        says="Of type `webhook.test`, whatever types it has asked for; signed, tried again and logged as all others.",
        answers=(json_of(202, "It is on its way.", Delivery),),
        errors=(InvalidField, WebhookNotFound),
    )
)
async def test_webhook(request: Request) -> Response:
    parameters(request)
    owed = await _own(request).test(_id_in(request))
    return answer(_view(owed or _not_found()), 202)


@describes(
    Operation(
        tag="webhooks",
        summary="What was sent to a webhook, and what came of it",
        says=OF_ALL_JOBS,
        answers=(json_of(200, "A page, the newest first.", DeliveryPage),),
        errors=(InvalidField, WebhookNotFound, ForeignPage),
        parameters=(STATUS, LIMIT, CURSOR),
    )
)
async def list_deliveries(request: Request) -> Response:
    refuse_foreign_page(request)
    query = parameters(request)
    limit, after = LIMIT.of(query), CURSOR.of(query)
    before = parse_page_cursor(after) if after else THE_FIRST_PAGE
    page = await _own(request).deliveries(await _endpoint(request), STATUS.of(query), before, limit)
    next_cursor = page_cursor(page) if len(page) == limit else None
    return answer(DeliveryPage(deliveries=[_view(row) for row in page], next_cursor=next_cursor))


@describes(
    Operation(
        tag="webhooks",
        summary="Send it again",
        says="With the same `webhook-id`, and as many tries as a new one. One that is on its way is tried now. " + OF_ALL_JOBS,
        answers=(json_of(202, "It is on its way.", Delivery),),
        errors=(InvalidField, WebhookNotFound, DeliveryNotFound),
    )
)  # fmt: skip
async def redeliver(request: Request) -> Response:
    parameters(request)
    endpoint, delivery = await _endpoint(request), _uuid(request.path_params["delivery_id"])
    owed = None if delivery is None else await _own(request).redeliver(endpoint, delivery)
    if owed is None:
        raise DeliveryNotFound("There is no such delivery.")
    return answer(_view(owed), 202)


def _own(request: Request) -> OwnWebhooks:
    """Those of the caller, administrators included: whom others have told of their jobs is theirs alone."""
    return services_of(request).webhooks(owner_of(request))


def _id_in(request: Request) -> UUID:
    return _uuid(request.path_params["webhook_id"]) or _not_found()


async def _endpoint(request: Request) -> UUID:
    """Of a webhook that is there, or what stands for the addresses of jobs."""
    if request.path_params["webhook_id"] == JOBS:
        return OF_JOBS
    found = await _own(request).get(_id_in(request))
    return (found or _not_found()).id


def _not_found() -> NoReturn:
    raise WebhookNotFound("There is no such webhook.")


def _uuid(text: str) -> UUID | None:
    try:
        return UUID(text)
    except ValueError:
        return None


def _shown(request: Request, endpoint: UUID, known: SecretVersion) -> WebhookSecret:
    keys, owner = services_of(request).keys, owner_of(request)
    secrets = [
        signing.shown(keys.of_webhook(owner, endpoint, version))
        for version in signing.versions_that_sign(known.version, known.previous_until, datetime.now(UTC))
    ]
    previous = secrets[1] if len(secrets) > 1 else None
    return WebhookSecret(secret=secrets[0], previous=previous, previous_until=known.previous_until)


def _view(row: DeliveryRow) -> Delivery:
    """When it is tried next is told when a try has been: until then it is now."""
    is_pending = row.status is DeliveryStatus.PENDING
    waits = is_pending and bool(row.attempts) and row.due_at - OVERDUE > row.attempts[-1].at
    return Delivery(
        **row.model_dump(exclude={"event", "endpoint_id", "due_at"}),
        webhook_id=message_id(row.id, row.event),
        next_try_at=row.due_at - OVERDUE if waits else None,
    )
