"""Search attributes as typed keys: what a job's workflow can be found by in the Temporal web UI."""

from temporalio.common import SearchAttributeKey

from streamforge.contracts import names

JOB_ID = SearchAttributeKey.for_keyword(names.SEARCH_JOB_ID)
STAGE = SearchAttributeKey.for_keyword(names.SEARCH_STAGE)
KEY = SearchAttributeKey.for_keyword(names.SEARCH_KEY)
