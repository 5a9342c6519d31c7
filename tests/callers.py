"""Who asks, in tests: keys for an API that wants to know."""

from collections.abc import Awaitable, Callable

SECRET = "the secret of this installation, for tests"

MakeKey = Callable[..., Awaitable[dict[str, str]]]
"""Takes an owner, scopes, and `lasts`; gives the header that shows a new key of them."""


def prefix_of(headers: dict[str, str]) -> str:
    return headers["Authorization"].removeprefix("Bearer ")[:11]
