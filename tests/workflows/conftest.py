import pytest
from leftovers import end_workflows
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from streamforge.temporal.connect import ensure_search_attributes


@pytest.fixture
async def temporal(temporal_address: str) -> Client:
    client = await Client.connect(temporal_address, data_converter=pydantic_data_converter)
    await ensure_search_attributes(client)
    await end_workflows(client)
    return client
