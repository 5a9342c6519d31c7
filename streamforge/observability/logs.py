"""Structured logs. Context (request, job, workflow, attempt, trace) is bound once and appears in every line below it."""

import logging
import os
import sys
from typing import Any

import structlog

from streamforge.observability.log_files import LogFile, folder_of
from streamforge.observability.redaction import Redactor, secrets_of
from streamforge.settings import Settings

Line = Any

log = structlog.stdlib.get_logger(__name__)


def configure_logging(settings: Settings, process: str, *, keep: bool = False) -> None:
    """Route structlog and the standard library through one renderer on stderr; where lines are to be kept, as JSON into the
    log file of this `process` (up, api, worker), too."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.stdlib.ExtraAdder(),
        _flat,
        _who(process),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    redactor = Redactor(secrets_of(settings))
    as_json = settings.log.format == "json" or (settings.log.format == "auto" and not sys.stderr.isatty())
    json = structlog.processors.JSONRenderer()
    on_stderr = logging.StreamHandler(sys.stderr)
    on_stderr.setFormatter(_formatter(shared, redactor, json if as_json else structlog.dev.ConsoleRenderer()))
    root = logging.getLogger()
    root.handlers = [on_stderr]
    root.setLevel(settings.log.level.upper())
    # uvicorn logs every request itself; ours carries the request id.
    logging.getLogger("uvicorn.access").disabled = True
    # httpx logs whole addresses, with passwords and signatures.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    if keep and settings.log.file_count:
        _keep(settings, process, _formatter(shared, redactor, json))


def _keep(settings: Settings, process: str, formatter: logging.Formatter) -> None:
    """A folder that takes no file is told once, and is no reason not to work."""
    try:
        file = LogFile(folder_of(settings.data_dir), process, settings.log.file_bytes, settings.log.file_count)
    except OSError as error:
        log.warning("no log file is kept", reason=str(error))
        return
    file.setFormatter(formatter)
    logging.getLogger().addHandler(file)


def _formatter(
    shared: list[structlog.typing.Processor], redactor: Redactor, renderer: structlog.typing.Processor
) -> logging.Formatter:
    # Tracebacks become text first: they, too, may hold what nobody should read.
    final: list[structlog.typing.Processor] = [structlog.processors.format_exc_info, redactor, renderer]
    return structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *final],
    )


def _who(process: str) -> structlog.typing.Processor:
    pid = os.getpid()

    def add(_logger: Any, _method: str, line: Line) -> Line:
        return {"process": process, "pid": pid, **line}

    return add


def _flat(_logger: Any, _method: str, line: Line) -> Line:
    """What the Temporal SDK tells in a group of its own, under the names that our lines have; and each thing once."""
    line.pop("color_message", None)  # What uvicorn says, once more, for terminals.
    for group in ("temporal_workflow", "temporal_activity"):
        told = line.pop(group, None) or {}
        renamed = {"workflow_run_id": "run_id", "activity_type": "activity"}
        for name in ("workflow_id", "run_id", "workflow_run_id", "activity_type"):
            if name in told:
                line.setdefault(renamed.get(name, name), told[name])
    return line
