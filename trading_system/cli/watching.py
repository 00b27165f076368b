"""Commands that watch the running system: ``top``, ``alerts``, ``dashboard`` and ``token``."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Mapping
from typing import Annotated, Any

import typer

from trading_system.api.address import read_address
from trading_system.cli import output
from trading_system.cli.control import ask
from trading_system.cli.options import Json, part, settings_with
from trading_system.cli.output import ExitCode, NotRunningError
from trading_system.domain.errors import ConfigurationError
from trading_system.monitoring import logs

_MAX_INTERVAL_S = 3600.0


def top(
    *,
    interval: Annotated[float, typer.Option(help="Seconds between two refreshes.")] = 1.0,
    as_json: Json = False,
) -> int:
    """Show the running system on one screen. Ctrl-C ends it; in a pipe it is shown once."""
    if not 0.1 <= interval <= _MAX_INTERVAL_S:
        raise ConfigurationError(f"--interval must be 0.1 to 3600 seconds, was {interval:g}")
    module = part("cli.top")
    if as_json:
        output.emit_json(module.read(_read))
    elif sys.stdout.isatty():
        module.watch(_read, interval_s=interval)
    else:
        module.show(module.read(_read))
    return int(ExitCode.OK)


def alerts(
    *,
    acknowledge: Annotated[
        str | None, typer.Option(help="Id of an alert that you look after.")
    ] = None,
    note: Annotated[str, typer.Option(help="Said beside an acknowledged alert.")] = "",
    as_json: Json = False,
) -> int:
    """List the alerts with their remedies. Exit 1 while one fires that nobody acknowledged."""
    if note and acknowledge is None:
        raise ConfigurationError("--note needs --acknowledge ID")
    if acknowledge is not None:
        if not (acknowledge.isascii() and acknowledge.isalnum()):
            raise ConfigurationError(f"--acknowledge needs an id of the list, was {acknowledge!r}")
        ask("POST", f"/alerts/{acknowledge}/acknowledge", {"note": note})
    answer = ask("GET", "/alerts")
    rows = answer["alerts"]
    if as_json:
        output.emit_json(answer)
    elif not rows:
        sys.stdout.write("no alert so far\n")
    else:
        output.emit_table(
            "Alerts",
            ("id", "state", "alert", "message and remedy"),
            [_alert_row(row) for row in rows],
        )
    is_firing = any(row["state"] == "firing" for row in rows)
    return int(ExitCode.TARGET_MISSED if is_firing else ExitCode.OK)


def dashboard(*, as_json: Json = False) -> int:
    """Print a one-time login link of the dashboard. If none runs, serve one until Ctrl-C."""
    settings = settings_with({})
    answer: dict[str, Any] | None = part("cli.client").login_link(settings.data_dir)
    if answer is not None:
        _show(answer["login"], settings, as_json=as_json)
        return int(ExitCode.OK)
    if read_address(settings.data_dir) is None:
        raise NotRunningError(
            f"no system runs for {settings.data_dir}; start one with `trading-system start` "
            "or set TRADING_DATA_DIR"
        )
    logs.configure(settings.log.level, form=settings.log.format)
    module = part("cli.dashboard_process")
    environ = module.dashboard_environ(settings, None)
    asyncio.run(
        module.keep_dashboard(environ, on_login=lambda link: _show(link, settings, as_json=as_json))
    )
    return int(ExitCode.FAILED)  # it runs until Ctrl-C, unless it had to be given up


def token(*, as_json: Json = False) -> int:
    """Print the control token of the running system. The dashboard asks for it."""
    settings = settings_with({})
    address = read_address(settings.data_dir)
    if address is None:
        raise NotRunningError(
            f"no system runs for {settings.data_dir}; start one with `trading-system start` "
            "or set TRADING_DATA_DIR"
        )
    if as_json:
        output.emit_json({"token": address.token})
    else:
        sys.stdout.write(f"{address.token}\n")
    return int(ExitCode.OK)


def _read(path: str) -> dict[str, Any]:
    return ask("GET", path)


def _show(link: str, settings: Any, *, as_json: bool) -> None:  # noqa: ANN401 - Settings, loaded late
    login = part("cli.client").public_login(link, settings.dashboard.public_host)
    if as_json:
        output.emit_json({"login": login})
    else:
        sys.stdout.write(f"{login}\n")
        sys.stdout.flush()
        output.note(
            "the link works once, within ten minutes; to control, type what "
            "`trading-system token` prints"
        )


def _alert_row(row: Mapping[str, Any]) -> tuple[str, ...]:
    name = f"{row['rule']} {row['subject']}".strip()
    return (
        *(str(row["id"]), f"{row['state']}\n{row['severity']}"),
        *(name, f"{row['message']}\n{row['remedy']}"),
    )
