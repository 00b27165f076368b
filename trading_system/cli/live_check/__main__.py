"""``make live-check``: compare a test host with the embedded venue; exit 0 only if it is alike."""

from __future__ import annotations

import argparse
import asyncio
import os
import secrets
import signal
import ssl
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from trading_system.cli.live_check.guard import allowed_access
from trading_system.cli.live_check.run import CheckPlan, LiveCheck
from trading_system.cli.output import ExitCode, emit_json, emit_table, fail, note
from trading_system.config.settings import Settings, load_settings
from trading_system.domain.errors import ConfigurationError, TradingSystemError
from trading_system.live.access import Access
from trading_system.market.warm import warm
from trading_system.monitoring.redaction import REDACTOR
from trading_system.runtime.clock import SystemClock

_INTERRUPTED: Final = 130
_MAX_BOOKS_S: Final = 600.0
_MAX_PAUSE_S: Final = 10.0
_COLUMNS: Final = ("step", "where", "host", "reference", "grade")


def main(arguments: Sequence[str], environ: Mapping[str, str]) -> int:
    """Check the host that the settings name; return the exit code."""
    given = _parser().parse_args(arguments)
    try:
        settings = load_settings({})
        REDACTOR.learn(settings)
        access = allowed_access(settings, environ)
        tls = trusting(given.ca_file)
        warm()
        result = asyncio.run(_run(settings, access, given, tls))
    except ConfigurationError as e:
        fail(str(e))
        return ExitCode.MISUSE
    except TradingSystemError as e:
        fail(str(e))
        return ExitCode.FAILED
    except (KeyboardInterrupt, asyncio.CancelledError):
        note("interrupted; what the check had sent was cancelled, see above for what was not")
        return _INTERRUPTED
    if given.json:
        emit_json(result)
    else:
        _show(result)
    return ExitCode.OK if result["is_alike"] else ExitCode.TARGET_MISSED


def trusting(ca_file: Path | None) -> ssl.SSLContext:
    """Return what verifies certificates: by ``ca_file`` alone, or by the machine's authorities.

    Raises
    ------
    ConfigurationError
        If the file holds no certificate.
    """
    try:
        return ssl.create_default_context(cafile=ca_file)
    except OSError as e:
        raise ConfigurationError(f"--ca-file {ca_file}: {e}; name a PEM file") from e


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="make live-check", description=__doc__)
    parser.add_argument("--json", action="store_true", help="write one JSON document")
    parser.add_argument("--read-only", action="store_true", help="send no orders")
    parser.add_argument("--books", type=_seconds, default=30.0, help="watch books so long, seconds")
    parser.add_argument(
        "--pace", type=_pause, default=0.2, help="pause before each order request, seconds"
    )
    parser.add_argument("--folder", type=Path, help="for the transcripts")
    parser.add_argument("--ca-file", type=Path, help="trust these certificate authorities alone")
    return parser


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds <= _MAX_BOOKS_S:
        raise ValueError(f"must be above 0 and at most {_MAX_BOOKS_S:g}")
    return seconds


def _pause(text: str) -> float:
    pause = float(text)
    if not 0 <= pause <= _MAX_PAUSE_S:
        raise ValueError(f"must be 0 to {_MAX_PAUSE_S:g}")
    return pause


async def _run(
    settings: Settings, access: Access, given: argparse.Namespace, tls: ssl.SSLContext
) -> dict[str, Any]:
    clock = SystemClock()
    now = datetime.fromtimestamp(clock.utc_ns() / 1e9, tz=UTC)
    folder = given.folder or settings.data_dir / "live-check" / f"{now:%Y%m%dT%H%M%SZ}"
    plan = CheckPlan(
        symbol=settings.symbols[0],
        folder=folder,
        books_s=given.books,
        has_orders=not given.read_only,
        run_id=secrets.token_hex(4),
        pace_s=given.pace,
    )
    _cancel_once_on_signals()
    return await LiveCheck(settings, plan, clock=clock, tls=tls, say=note).run(access)


# A second Ctrl-C must not interrupt the cancelling that the first one began.
def _cancel_once_on_signals() -> None:
    task = asyncio.current_task()
    assert task is not None, "runs inside asyncio.run"
    loop = asyncio.get_running_loop()

    def stop() -> None:
        if not task.cancelling():
            note("interrupted: cancelling what was sent")
            task.cancel()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop)


def _show(result: Mapping[str, Any]) -> None:
    differences = result["differences"]
    if differences:
        rows = [tuple(row[name] for name in _COLUMNS) for row in differences]
        emit_table(f"differences of {result['rest']}", _COLUMNS, rows)
    if result["orders"]:
        emit_table("life of the orders", ("order", "states"), list(result["orders"].items()))
    if result["books"]:
        depths = [topic.rpartition(".")[0] for topic in result["books"]]
        emit_table("books", ("figure", *depths), _figures(result["books"]))
    for problem in result["problems"]:
        note(f"problem: {problem}")
    verdict = "alike" if result["is_alike"] else "NOT alike"
    count = f"{len(differences)} differences in {result['steps']} steps"
    note(f"{verdict}: {count}; transcripts in {result['transcripts']}")


def _figures(books: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, ...]]:
    names = next(iter(books.values()))
    return [(name, *(str(each[name]) for each in books.values())) for name in names]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
