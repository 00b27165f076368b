"""How commands speak: the result alone on standard output, everything else on standard error."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

import structlog
from rich.console import Console
from rich.table import Table

from trading_system.domain.errors import TradingSystemError
from trading_system.monitoring import redaction
from trading_system.monitoring.log_ring import LOG, RingHandler


class NotRunningError(TradingSystemError):
    """No system runs for this data directory. Consequence: nothing was done."""


class ExitCode(IntEnum):
    """Exit codes that scripts may rely on."""

    OK = 0
    TARGET_MISSED = 1
    MISUSE = 2
    NOT_RUNNING = 3
    FAILED = 4


_LEVELS = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure_logs(level: str, *, form: str) -> None:
    """Send structured logs of ``level`` and above to standard error.

    ``form`` is ``console`` (for people) or ``json`` (one object per line). Every line, those of
    standard logging and tracebacks included, leaves without secrets; the newest ones are kept in
    :data:`~trading_system.monitoring.log_ring.LOG`.
    """
    renderers: list[structlog.typing.Processor] = [
        structlog.processors.format_exc_info,
        structlog.processors.JSONRenderer(),
    ]
    if form == "console":
        # The default formatter shows local variables, and with them secrets.
        renderers = [
            structlog.dev.ConsoleRenderer(
                colors=sys.stderr.isatty(), exception_formatter=structlog.dev.plain_traceback
            )
        ]
    threshold = _LEVELS[level]
    logging.basicConfig(stream=sys.stderr, level=threshold, format="%(levelname)s %(message)s")
    root = logging.getLogger()
    if not any(isinstance(handler, RingHandler) for handler in root.handlers):
        root.addHandler(RingHandler(LOG))
    redaction.install()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            LOG,
            *renderers,
            redaction.redact_rendered,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(threshold),
        logger_factory=structlog.WriteLoggerFactory(file=sys.stderr),
        cache_logger_on_first_use=False,
    )


def fail(message: str) -> None:
    """Write one error line to standard error."""
    line = " ".join(message.split())
    sys.stderr.write(f"error: {line}\n")
    sys.stderr.flush()


def note(message: str) -> None:
    """Write one line for people to standard error."""
    sys.stderr.write(f"{message}\n")
    sys.stderr.flush()


def emit_json(result: Mapping[str, Any]) -> None:
    """Write ``result`` as one JSON document to standard output."""
    sys.stdout.write(json.dumps(result, allow_nan=False, default=str) + "\n")
    sys.stdout.flush()


def emit_table(title: str, columns: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> None:
    """Write a table to standard output."""
    table = Table(title=title, title_justify="left")
    for column in columns:
        table.add_column(column)
    for row in rows:
        table.add_row(*row)
    Console(file=sys.stdout, soft_wrap=False).print(table)
