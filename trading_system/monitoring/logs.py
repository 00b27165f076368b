"""Where every process of the system writes its log: standard error, without secrets."""

from __future__ import annotations

import logging
import sys
from typing import Final

import structlog

from trading_system.monitoring import redaction
from trading_system.monitoring.log_ring import LOG, RingHandler

_LEVELS: Final = {"debug": 10, "info": 20, "warning": 30, "error": 40}


def configure(level: str, *, form: str) -> None:
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
