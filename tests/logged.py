"""Logging as a process has it, for as long as a test looks at it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

import structlog

from streamforge.observability.logs import configure_logging
from streamforge.settings import Settings


@contextmanager
def logging_as(process: str, settings: Settings) -> Iterator[None]:
    """Afterwards everything is as before, also for loggers that spoke meanwhile."""
    root = logging.getLogger()
    handlers, level = root.handlers, root.level
    configure_logging(settings, process, keep=True)
    structlog.configure(cache_logger_on_first_use=False)
    try:
        yield
    finally:
        for handler in root.handlers:
            handler.close()
        root.handlers, root.level = handlers, level
        structlog.reset_defaults()
