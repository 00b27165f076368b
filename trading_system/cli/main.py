"""The ``trading-system`` command line.

Heavy parts are imported by the commands that need them, so that ``--help`` and the commands that
only talk to a running system answer at once.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from trading_system.cli import output
from trading_system.cli.output import ExitCode, NotRunningError
from trading_system.domain.errors import ConfigurationError, TradingSystemError

app = typer.Typer(
    name="trading-system",
    help="AI-assisted crypto trading system for Bybit. Runs without keys on an embedded venue.",
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

Json = Annotated[bool, typer.Option("--json", help="Write the result as one JSON document.")]


def main() -> None:
    """Run the command line; every expected error is one line on standard error."""
    try:
        code = app(standalone_mode=False)
    except ConfigurationError as e:
        output.fail(str(e))
        sys.exit(ExitCode.MISUSE)
    except typer.TyperException as e:
        output.fail(_usage(e))
        sys.exit(ExitCode.MISUSE)
    except (typer.Abort, KeyboardInterrupt):
        sys.exit(130)
    except NotRunningError as e:
        output.fail(str(e))
        sys.exit(ExitCode.NOT_RUNNING)
    except TradingSystemError as e:
        output.fail(str(e))
        sys.exit(ExitCode.FAILED)
    sys.exit(code if isinstance(code, int) else ExitCode.OK)


def _usage(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "trading-system"
    text = error.format_message() if isinstance(error, typer.BadParameter) else str(error)
    return f"{text} (see `{path} --help`)"


def _load(name: str) -> Any:  # noqa: ANN401 - a module
    return import_module(f"trading_system.{name}")


@app.callback(invoke_without_command=True)
def _root(
    ctx: typer.Context,
    show_version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.")
    ] = False,
) -> None:
    if show_version:
        sys.stdout.write(f"trading-system {version('trading-system')}\n")
        raise typer.Exit
    if ctx.invoked_subcommand is None:
        sys.stdout.write(ctx.get_help() + "\n")
        raise typer.Exit


@app.command()
def start(
    environment: Annotated[
        str | None, typer.Option(help="simulated, testnet, demo or mainnet.")
    ] = None,
    symbols: Annotated[str | None, typer.Option(help="Symbols, separated by commas.")] = None,
    duration: Annotated[float | None, typer.Option(help="Stop after this many seconds.")] = None,
    no_dashboard: Annotated[
        bool, typer.Option("--no-dashboard", help="Accepted; this version has no dashboard.")
    ] = False,
    strategy: Annotated[str | None, typer.Option(help="signals or none.")] = None,
    as_json: Json = False,
) -> int:
    """Trade until Ctrl-C, SIGTERM or the duration; print a report at the end."""
    del no_dashboard  # scripts may pass it from the first version on
    given: dict[str, Any] = {
        "environment": environment,
        "symbols": symbols,
        "duration_s": duration,
        "strategy": None if strategy is None else {"name": strategy},
    }
    settings = _load("config.settings").load_settings(
        {key: value for key, value in given.items() if value is not None}
    )
    output.configure_logs(settings.log.level, form=settings.log.format)
    # numba reads this when it is first imported, which the next line does.
    os.environ.setdefault("NUMBA_CACHE_DIR", str(settings.data_dir.absolute() / "kernels"))
    code, status = _load("cli.start").run(settings)
    if as_json:
        output.emit_json(status)
    else:
        _print_report(status)
    return int(code)


def _print_report(status: dict[str, Any]) -> None:
    reports = _load("reports.run")
    output.emit_table("Run report", ("what", "figure"), reports.report_rows(status))
    output.emit_table(
        "Stages, microseconds",
        ("stage", "p50", "p95", "p99", "samples"),
        reports.stage_rows(status),
    )
    output.emit_table(
        "Compliance",
        ("target", "measured", "bar", "met"),
        reports.compliance_table(status["compliance_targets"]),
    )


def _call(method: str, path: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    settings = _load("config.settings").load_settings({})
    answer: dict[str, Any] = _load("cli.client").call(settings.data_dir, method, path, body)
    return answer


@app.command()
def status(as_json: Json = False) -> int:
    """Show how the running system is doing."""
    answer = _call("GET", "/status")
    if as_json:
        output.emit_json(answer)
    else:
        _print_report(answer)
    return int(ExitCode.OK)


@app.command()
def compliance(as_json: Json = False) -> int:
    """Compare the running system with its targets; exit 0 only if every target is met."""
    answer = _call("GET", "/compliance")
    if as_json:
        output.emit_json(answer)
    else:
        rows = _load("reports.run").compliance_table(answer["targets"])
        output.emit_table("Compliance", ("target", "measured", "bar", "met"), rows)
    is_met = all(answer["performance_compliance"].values())
    return int(ExitCode.OK if is_met else ExitCode.TARGET_MISSED)


@app.command()
def stop(
    reason: Annotated[str, typer.Option(help="Shown in the report.")] = "stop command",
    as_json: Json = False,
) -> int:
    """Ask the running system to stop in order."""
    answer = _call("POST", "/stop", {"reason": reason})
    if as_json:
        output.emit_json(answer)
    else:
        output.note(f"stop accepted: {reason}")
    return int(ExitCode.OK)


@app.command()
def venue(
    port: Annotated[int, typer.Option(help="Listening port; 0 takes a free one.")] = 0,
    market: Annotated[str, typer.Option(help="synthetic or replay.")] = "synthetic",
    recording: Annotated[
        list[Path] | None, typer.Option(help="Recording to replay; may be repeated.")
    ] = None,
    symbols: Annotated[str, typer.Option(help="Symbols, separated by commas.")] = "BTCUSDT,ETHUSDT",
    seed: Annotated[int, typer.Option(min=0, help="Seed of the market.")] = 1,
    edge: Annotated[
        float, typer.Option(help="Expected move in bps over 10 s at the signal's p90; 0 = noise.")
    ] = 25.0,
    speed: Annotated[float, typer.Option(help="Pace of a recording.")] = 1.0,
    activity: Annotated[float, typer.Option(help="Factor on the participants' rates.")] = 1.0,
    limits: Annotated[str, typer.Option(help="Request quotas: documented or off.")] = "documented",
    ack_delay_ms: Annotated[
        float, typer.Option(help="Delay of acks and first snapshots, ms.")
    ] = 2.0,
    fill_model: Annotated[
        str, typer.Option(help="Replay: queue or trade-through (pessimistic).")
    ] = "queue",
    as_json: Json = False,
) -> int:
    """Run the embedded venue alone; prints one JSON line when ready, serves until SIGTERM."""
    del as_json  # the ready line is JSON either way
    _positive("--speed", speed)
    _positive("--activity", activity)
    module = _load("cli.venue")
    plan = module.VenuePlan(
        market=_choice("--market", market, ("synthetic", "replay")),
        symbols=[symbol.strip().upper() for symbol in symbols.split(",") if symbol.strip()],
        recordings=recording or [],
        seed=seed,
        edge_bps=edge,
        activity=activity,
        speed=speed,
        fill_model=_choice("--fill-model", fill_model, ("queue", "trade-through")),
        options=_load("simulation.bybit_server.options").ServerOptions(
            port=port,
            limits=_choice("--limits", limits, ("documented", "off")),
            ack_delay_ms=ack_delay_ms,
        ),
    )
    module.serve(plan)
    return int(ExitCode.OK)


def _choice(option: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ConfigurationError(f"{option} must be {' or '.join(allowed)}, was {value!r}")
    return value


def _positive(option: str, value: float) -> None:
    if not (0 < value < float("inf")):
        raise ConfigurationError(f"{option} must be positive and finite, was {value}")
