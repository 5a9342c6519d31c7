"""Databases are what these tests are about."""

import pytest


@pytest.fixture
def database_dsn(fresh_database_dsn: str) -> str:
    """What is planned and counted here depends on what other tests left on disk."""
    return fresh_database_dsn
