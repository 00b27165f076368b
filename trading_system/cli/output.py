"""How commands speak: the result alone on standard output, everything else on standard error."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from trading_system.domain.errors import TradingSystemError
from trading_system.monitoring.redaction import REDACTOR


class NotRunningError(TradingSystemError):
    """No system runs for this data directory. Consequence: nothing was done."""


class ExitCode(IntEnum):
    """Exit codes that scripts may rely on."""

    OK = 0
    TARGET_MISSED = 1
    MISUSE = 2
    NOT_RUNNING = 3
    FAILED = 4


_UNPRINTABLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    """Return ``text`` with its control characters spelt out, so that it cannot steer a terminal."""
    return _UNPRINTABLE.sub(lambda found: ascii(found[0])[1:-1], text)


def fail(message: str) -> None:
    """Write one error line without secrets to standard error."""
    line = printable(REDACTOR(" ".join(message.split())))
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
        # Folded, not cut: an id or a command that ends in dots is of no use.
        table.add_column(column, overflow="fold")
    for row in rows:
        # As texts: what agents and venues say is no markup.
        table.add_row(*(Text(printable(cell)) for cell in row))
    Console(file=sys.stdout, soft_wrap=False).print(table)
