"""How a process reaches Temporal: one client, the pydantic data converter, our search attributes."""

from temporalio.api.enums.v1 import IndexedValueType
from temporalio.api.operatorservice.v1 import AddSearchAttributesRequest, ListSearchAttributesRequest
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter
from temporalio.service import RPCError, RPCStatusCode

from streamforge.contracts import names
from streamforge.errors import MissingPart, TemporalUnavailable
from streamforge.settings import TemporalSettings
from streamforge.temporal.origins import CarriesOrigins
from streamforge.temporal.sdk_metrics import measured_runtime


async def connect(settings: TemporalSettings, *, lazy: bool = False, measured: bool = False) -> Client:
    """A client for `settings.address`. `lazy` returns at once and connects at the first call: the API must come up,
    and say on /ready what is missing, while Temporal is away. `measured`: with the SDK's own metrics.

    Raises MissingPart without an address, TemporalUnavailable when nobody answers.
    """
    if settings.address is None:
        raise MissingPart(
            "No Temporal server is configured: run `streamforge up`, or set STREAMFORGE_TEMPORAL__ADDRESS."
        )
    try:
        return await Client.connect(
            settings.address,
            namespace=settings.namespace,
            data_converter=pydantic_data_converter,
            lazy=lazy,
            interceptors=[CarriesOrigins()],
            runtime=measured_runtime() if measured else None,
        )
    except RuntimeError as error:
        raise TemporalUnavailable(
            f"Temporal does not answer at {settings.address}; check that it runs.", debug=str(error)
        ) from error


async def ensure_search_attributes(client: Client) -> None:
    """Register what workflows are searchable by. Idempotent; a server refuses to start workflows that use unknown ones."""
    known = await client.operator_service.list_search_attributes(
        ListSearchAttributesRequest(namespace=client.namespace)
    )
    missing = [name for name in names.SEARCH_ATTRIBUTES if name not in known.custom_attributes]
    if not missing:
        return
    try:
        await client.operator_service.add_search_attributes(
            AddSearchAttributesRequest(
                namespace=client.namespace,
                search_attributes=dict.fromkeys(missing, IndexedValueType.INDEXED_VALUE_TYPE_KEYWORD),
            )
        )
    except RPCError as error:
        # Another process registered them in the meantime.
        if error.status is not RPCStatusCode.ALREADY_EXISTS:
            raise
