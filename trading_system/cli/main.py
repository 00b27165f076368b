"""The ``trading-system`` command line.

Heavy parts are imported by the commands that need them, so that ``--help`` and the commands that
only talk to a running system answer at once.
"""

from __future__ import annotations

import asyncio
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Annotated, Any

import typer

from trading_system.cli import compare, control, cost, output, watching
from trading_system.cli.options import Environment, Json, keep_kernels, part, settings_with
from trading_system.cli.output import ExitCode, NotRunningError
from trading_system.domain.errors import ConfigurationError, TradingSystemError
from trading_system.monitoring import logs

_INTERRUPTED = 130

app = typer.Typer(
    name="trading-system",
    help="AI-assisted crypto trading system for Bybit. Runs without keys on an embedded venue.",
    add_completion=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)

benchmark = typer.Typer(help="Measure the way to the venue.")
app.add_typer(benchmark, name="benchmark")
app.add_typer(cost.app, name="cost")


def main() -> None:
    """Run the command line of this process and exit with its code."""
    sys.exit(run_command(sys.argv[1:]))


def run_command(arguments: list[str]) -> int:
    """Run one command and return its exit code; every expected error is one line for people."""
    try:
        code = app(args=arguments, standalone_mode=False)
    except ConfigurationError as e:
        output.fail(str(e))
        return ExitCode.MISUSE
    except typer.TyperException as e:
        output.fail(_usage(e))
        return ExitCode.MISUSE
    except (typer.Abort, KeyboardInterrupt):
        return _INTERRUPTED
    except NotRunningError as e:
        output.fail(str(e))
        return ExitCode.NOT_RUNNING
    except TradingSystemError as e:
        output.fail(str(e))
        return ExitCode.FAILED
    return code if isinstance(code, int) else ExitCode.OK


def _usage(error: typer.TyperException) -> str:
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "trading-system"
    text = error.format_message() if isinstance(error, typer.BadParameter) else str(error)
    return f"{text} (see `{path} --help`)"


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
    environment: Environment = None,
    symbols: Annotated[str | None, typer.Option(help="Symbols, separated by commas.")] = None,
    duration: Annotated[float | None, typer.Option(help="Stop after this many seconds.")] = None,
    no_dashboard: Annotated[
        bool, typer.Option("--no-dashboard", help="Trade without the web page.")
    ] = False,
    strategy: Annotated[str | None, typer.Option(help="signals, market-maker or none.")] = None,
    signal: Annotated[
        list[str] | None,
        typer.Option(help="Own signal agent as module:Class; may be repeated."),
    ] = None,
    flatten_on_stop: Annotated[
        bool, typer.Option("--flatten-on-stop", help="Close own positions when stopping.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Trade and print a report at the end. Ctrl-C, SIGTERM or the duration ends it."""
    settings = settings_with(
        {
            "environment": environment,
            "symbols": symbols,
            "duration_s": duration,
            "strategy.name": strategy,
            "strategy.signal": ",".join(signal) if signal else None,
            "strategy.flatten_on_stop": flatten_on_stop or None,
            "dashboard.enabled": False if no_dashboard else None,
        }
    )
    _find_own_modules()
    part("config.settings").require_key(settings)
    logs.configure(settings.log.level, form=settings.log.format)
    keep_kernels(settings.data_dir)
    code, status = part("cli.start").run(settings)
    if as_json:
        output.emit_json(status)
    else:
        part("cli.report").print_report(status)
    return int(code)


app.command()(control.status)
app.command()(control.compliance)
app.command()(control.stop)
app.command()(control.pause)
app.command()(control.resume)
app.command("reduce-only")(control.reduce_only)
app.command()(control.kill)
app.command()(watching.top)
app.command()(watching.alerts)
app.command()(watching.dashboard)
app.command()(watching.token)
app.command()(compare.compare)


@app.command()
def execute(
    symbol: Annotated[str, typer.Option(help="Symbol to trade.")],
    side: Annotated[str, typer.Option(help="Buy or Sell.")],
    quantity: Annotated[str, typer.Option(help="Base currency.")],
    algo: Annotated[str, typer.Option(help="auto, market, limit or twap.")] = "auto",
    urgency: Annotated[str, typer.Option(help="LOW, NORMAL or HIGH.")] = "NORMAL",
    as_json: Json = False,
) -> int:
    """Work one order and print what it cost. The performance optimizer plans it."""
    room = part("cli.execute")
    request = room.parent_request(
        symbol=symbol, side=side, quantity=quantity, algorithm=algo, urgency=urgency
    )
    settings = settings_with({})
    logs.configure(settings.log.level, form=settings.log.format)
    keep_kernels(settings.data_dir)
    code, answer = room.run(
        settings,
        request,
        stand_alone=lambda own: part("enhanced_trading_system").short_session(own),
    )
    if as_json:
        output.emit_json(answer)
    else:
        output.emit_table("Execution", ("what", "figure"), room.rows(answer))
    return int(code)


@app.command()
def doctor(environment: Environment = None, as_json: Json = False) -> int:
    """Check machine, settings and key before trading. Exit 1 if a check failed."""
    _find_own_modules()
    given = {} if environment is None else {"environment": environment}
    answer = part("cli.doctor.run").examine(given)
    if as_json:
        output.emit_json(answer)
    else:
        rows = [tuple(row.values()) for row in answer["checks"]]
        output.emit_table("Preflight", ("check", "status", "detail", "remedy"), rows)
    return int(ExitCode.OK if answer["fit"] else ExitCode.TARGET_MISSED)


@app.command()
def train(
    what: Annotated[
        str, typer.Option(help="signals (the agents' models) or costs (the cost models).")
    ] = "signals",
    source: Annotated[str, typer.Option(help="synthetic or recordings.")] = "synthetic",
    recordings: Annotated[
        list[Path] | None, typer.Option(help="Recording to learn from; may be repeated.")
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Synthetic markets to learn from.")] = 8,
    minutes: Annotated[float, typer.Option(help="Length of each of them, minutes.")] = 10.0,
    out: Annotated[
        Path | None,
        typer.Option(help="Folder for models and manifest; models, or models/costs for costs."),
    ] = None,
    as_json: Json = False,
) -> int:
    """Fit the agents' or the cost models. Scores out of sample are printed."""
    _positive("--minutes", minutes)
    is_costs = _choice("--what", what, ("signals", "costs")) == "costs"
    kind = _choice("--source", source, ("synthetic", "recordings"))
    if source == "synthetic" and recordings:
        raise ConfigurationError("--recordings needs --source recordings")
    if source == "recordings" and not recordings:
        raise ConfigurationError("--source recordings needs --recordings PATH")
    if is_costs and source == "recordings":
        raise ConfigurationError("--what costs needs --source synthetic: recordings show no queue")
    keep_kernels(settings_with({}).data_dir)
    if is_costs:
        folder = out or Path("models/costs")
        part("cli.train").run_costs(seeds=seeds, minutes=minutes, out=folder, as_json=as_json)
        return int(ExitCode.OK)
    part("cli.train").run(
        source=kind,
        recordings=recordings or [],
        seeds=seeds,
        minutes=minutes,
        out=out or Path("models"),
        as_json=as_json,
    )
    return int(ExitCode.OK)


@benchmark.command("latency")
def benchmark_latency(
    iterations: Annotated[int, typer.Option(min=1, help="Requests to measure.")] = 100,
    environment: Environment = None,
    as_json: Json = False,
) -> int:
    """Measure connect, queue and response time of the venue's REST host."""
    settings = settings_with({"environment": environment})
    logs.configure(settings.log.level, form=settings.log.format)
    answer: dict[str, Any] = asyncio.run(
        part("cli.benchmark").benchmark_latency(settings, iterations)
    )
    if as_json:
        output.emit_json(answer)
    else:
        rows = part("cli.execute").rows(answer)
        output.emit_table("Latency", ("what", "figure"), rows)
    return int(ExitCode.OK)


@app.command()
def venue(
    port: Annotated[int, typer.Option(help="Listening port; 0 takes a free one.")] = 0,
    market: Annotated[str, typer.Option(help="synthetic, replay or live.")] = "synthetic",
    recording: Annotated[
        list[Path] | None, typer.Option(help="Recording to replay; may be repeated.")
    ] = None,
    source: Annotated[
        str, typer.Option(help="Live: testnet, mainnet or the address of another venue.")
    ] = "testnet",
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
    latency: Annotated[
        str, typer.Option(help="Simulated delay: none, colocated, regional or retail.")
    ] = "none",
    profile: Annotated[
        str, typer.Option(help="full, or demo: without what Bybit's demo does not have.")
    ] = "full",
    state: Annotated[
        Path | None, typer.Option(help="File that keeps accounts and orders across runs.")
    ] = None,
    faults: Annotated[
        Path | None, typer.Option(help="Schedule of faults, JSON lines or an array.")
    ] = None,
    faults_control: Annotated[
        bool, typer.Option("--faults-control", help="Open a port that arms and clears faults.")
    ] = False,
    rsa_public_key: Annotated[
        Path | None, typer.Option(help="PEM file: adds an account whose client signs with RSA.")
    ] = None,
    as_json: Json = False,
) -> int:
    """Run the embedded venue alone. It prints one JSON line when ready and serves until SIGTERM."""
    del as_json  # the ready line is JSON either way
    _positive("--speed", speed)
    _positive("--activity", activity)
    module = part("cli.venue")
    plan = module.VenuePlan(
        market=_choice("--market", market, ("synthetic", "replay", "live")),
        symbols=[symbol.strip().upper() for symbol in symbols.split(",") if symbol.strip()],
        recordings=recording or [],
        source=source,
        seed=seed,
        edge_bps=edge,
        activity=activity,
        speed=speed,
        fill_model=_choice("--fill-model", fill_model, ("queue", "trade-through")),
        state=state,
        faults=faults,
        has_fault_control=faults_control,
        rsa_public_key=rsa_public_key,
        options=part("simulation.bybit_server.options").ServerOptions(
            port=port,
            limits=_choice("--limits", limits, ("documented", "off")),
            ack_delay_ms=ack_delay_ms,
            latency=_choice("--latency", latency, ("none", "colocated", "regional", "retail")),
            profile=_choice("--profile", profile, ("full", "demo")),
            seed=seed,
        ),
    )
    module.serve(plan)
    return int(ExitCode.OK)


@app.command()
def replay(
    recordings: Annotated[list[Path], typer.Argument(help="Recordings: files, or own folders.")],
    verify: Annotated[
        bool, typer.Option("--verify", help="Rebuild every book; exit 1 if something is wrong.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Tell what recordings hold: symbols, grids, length. To trade on one: venue --market replay."""
    room = part("cli.replay")
    answer = room.verified(recordings) if verify else room.describe(recordings)
    if as_json:
        output.emit_json(answer)
    else:
        output.emit_table("Recordings", *room.table(answer))
        for name, reason in answer["left_out"].items():
            output.note(f"left out: {name}: {reason}")
    return int(ExitCode.OK if answer.get("sound", True) else ExitCode.TARGET_MISSED)


@app.command()
def record(
    out: Annotated[Path, typer.Option(help="New folder for the recording.")],
    symbols: Annotated[str, typer.Option(help="Symbols, separated by commas.")] = "BTCUSDT,ETHUSDT",
    environment: Annotated[
        str, typer.Option(help="testnet, mainnet or the address of an embedded venue.")
    ] = "testnet",
    duration: Annotated[float | None, typer.Option(help="Stop after this many seconds.")] = None,
    depth: Annotated[int, typer.Option(help="Levels of the books: 50, 200 or 1000.")] = 200,
    part_s: Annotated[float, typer.Option(help="Seconds of one file.")] = 30.0,
    as_json: Json = False,
) -> int:
    """Record public frames as received. No key is needed; Ctrl-C or SIGTERM ends it."""
    _positive("--part-s", part_s)
    if duration is not None:
        _positive("--duration", duration)
    room = part("cli.record")
    plan = room.RecordingPlan(
        out=out,
        symbols=[symbol.strip().upper() for symbol in symbols.split(",") if symbol.strip()],
        source=environment,
        duration_s=duration,
        depth=depth,
        part_s=part_s,
    )
    answer = room.run(plan)
    if as_json:
        output.emit_json(answer)
    else:
        rows = [(name, str(figure)) for name, figure in answer.items()]
        output.emit_table("Recorded", ("what", "figure"), rows)
    return int(ExitCode.OK)


def _find_own_modules() -> None:
    # As `python -m` does: a user's signal agent is found in the working directory.
    here = str(Path.cwd())
    if here not in sys.path:
        sys.path.append(here)


def _choice(option: str, value: str, allowed: tuple[str, ...]) -> str:
    if value not in allowed:
        raise ConfigurationError(f"{option} must be {' or '.join(allowed)}, was {value!r}")
    return value


def _positive(option: str, value: float) -> None:
    if not (0 < value < float("inf")):
        raise ConfigurationError(f"{option} must be positive and finite, was {value}")
