"""``trading-system cost``: what a trade would cost on live books, once, watched or served."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager, suppress
from pathlib import Path
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.live import Live
from rich.table import Table

from trading_system.cli import cost_table, output
from trading_system.cli.options import Environment, Json, keep_kernels, part, settings_with
from trading_system.cli.output import ExitCode
from trading_system.domain.errors import ConfigurationError, TradingSystemError, ValidationError
from trading_system.monitoring import logs
from trading_system.runtime.child import watch_lifeline

app = typer.Typer(help="Price trades on live books; reads public data only.")

_COMPILE_S: Final = 120.0
_WATCH_S: Final = 0.25
_LAST_LOOK_S: Final = 0.1

Exchange = Annotated[str, typer.Option(help="okx or bybit.")]


@app.command()
def estimate(
    *,
    side: Annotated[str, typer.Option(help="buy or sell.")],
    quantity: Annotated[str, typer.Option(help="Positive number, in --unit.")],
    exchange: Exchange = "bybit",
    instrument: Annotated[
        str | None,
        typer.Option(
            help="The exchange's own spelling; left out, BTCUSDT of bybit, BTC-USDT-SWAP of okx."
        ),
    ] = None,
    unit: Annotated[str, typer.Option(help="base, quote or usd.")] = "base",
    order_type: Annotated[str, typer.Option(help="market or limit.")] = "market",
    price: Annotated[str | None, typer.Option(help="Limit price, quote currency.")] = None,
    volatility_bps: Annotated[
        str | None, typer.Option(help="Of the mid over one second, bps; left out, measured.")
    ] = None,
    tier: Annotated[str | None, typer.Option(help="Fee tier; left out, the lowest.")] = None,
    horizon: Annotated[str | None, typer.Option(help="Time to work the order, seconds.")] = None,
    unfilled: Annotated[
        str | None,
        typer.Option(help="Limit order at the horizon's end: taken (at the market) or cancelled."),
    ] = None,
    maker_bps: Annotated[
        str | None, typer.Option(help="Own maker fee instead of the tier's, bps.")
    ] = None,
    taker_bps: Annotated[
        str | None, typer.Option(help="Own taker fee instead of the tier's, bps.")
    ] = None,
    models: Annotated[
        Path | None,
        typer.Option(help="Folder of own cost models; left out, the shipped ones if simulated."),
    ] = None,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until Ctrl-C.")] = False,
    count: Annotated[
        int | None, typer.Option(min=1, help="With --watch: end after this many estimates.")
    ] = None,
    wait: Annotated[
        float, typer.Option(min=0.1, max=3600.0, help="Patience with book and volatility, s.")
    ] = 30.0,
    environment: Environment = None,
    as_json: Json = False,
) -> int:
    """Print what one trade would cost on the live book of this moment."""
    request = _checked(
        {
            "exchange": exchange,
            "instrument": instrument,
            "side": side,
            "quantity": quantity,
            "unit": unit,
            "order_type": order_type,
            "price": price,
            "volatility_bps": volatility_bps,
            "tier": tier,
            "horizon_s": horizon,
            "unfilled": unfilled,
            "maker_bps": maker_bps,
            "taker_bps": taker_bps,
        }
    )
    if count is not None and not watch:
        raise ConfigurationError("--count needs --watch")
    settings = settings_with({"environment": environment}, only_reads=True)
    logs.configure(_quiet(settings.log.level), form=settings.log.format)
    keep_kernels(settings.data_dir)
    show = _Screen(as_json=as_json)
    if watch:
        _run(_watched(settings, request, show, models=models, wait_s=wait, count=count))
        return int(ExitCode.OK)
    answer = _run(_once(settings, request, models=models, wait_s=wait))
    show.once(answer)
    return int(ExitCode.OK)


@app.command()
def serve(
    *,
    exchange: Annotated[
        list[str] | None, typer.Option(help="okx or bybit; one for each --instrument.")
    ] = None,
    instrument: Annotated[
        list[str] | None, typer.Option(help="The exchange's own spelling; may be repeated.")
    ] = None,
    port: Annotated[int | None, typer.Option(min=0, max=65535, help="0 takes a free one.")] = None,
    environment: Environment = None,
    as_json: Json = False,
) -> int:
    """Serve estimates over HTTP and WebSocket on loopback until SIGTERM or Ctrl-C."""
    markets = _markets(exchange, instrument)
    settings = settings_with({"environment": environment, "cost.port": port}, only_reads=True)
    logs.configure(settings.log.level, form=settings.log.format)
    keep_kernels(settings.data_dir)
    # Taken before anything else is started: a port in use is one line, and nothing to clean up.
    with part("cost_simulator.server").listening(
        settings.cost.host, settings.cost.port
    ) as listener:
        if any(of.strip().lower() == "bybit" for of, _ in markets):
            _compile_elsewhere()
        _run(_served(settings, markets, listener, as_json=as_json))
    return int(ExitCode.OK)


# Compiling leaves some 20 MiB behind for good, which a server need not carry.
def _compile_elsewhere() -> None:
    kept = Path(os.environ["NUMBA_CACHE_DIR"])
    if not any(kept.rglob("*.nbc")):
        command = [sys.executable, "-m", "trading_system.market.warm"]
        with suppress(OSError, subprocess.TimeoutExpired):
            subprocess.run(command, check=False, timeout=_COMPILE_S)  # noqa: S603 - our own module


def _markets(exchanges: list[str] | None, instruments: list[str] | None) -> list[tuple[str, str]]:
    if not exchanges and not instruments:
        return [("bybit", "BTCUSDT"), ("okx", "BTC-USDT-SWAP")]
    named, of = instruments or [], exchanges or []
    if len(of) == 1:
        of = of * max(len(named), 1)
    if len(named) != len(of):
        raise ConfigurationError(
            f"{len(of)} --exchange and {len(named)} --instrument; give one --exchange for all, or "
            "one for each --instrument"
        )
    return list(zip(of, named, strict=True))


def _checked(values: dict[str, Any]) -> Any:  # noqa: ANN401 - EstimateRequest, loaded late
    try:
        return part("cost_simulator.requests").read_request(values)
    except ValidationError as e:
        raise ConfigurationError(str(e)) from e


# A request that the venue's own figures refute (no such instrument, no such tier) is misuse too.
def _run(work: Any) -> Any:  # noqa: ANN401 - the coroutine's own result
    try:
        return asyncio.run(work)
    except ValidationError as e:
        raise ConfigurationError(str(e)) from e


# People who ask for one figure do not want the log of a start; warnings still show.
def _quiet(level: str) -> str:
    return "warning" if level == "info" else level


async def _once(
    settings: Any,  # noqa: ANN401 - loaded late
    request: Any,  # noqa: ANN401 - loaded late
    *,
    models: Path | None,
    wait_s: float,
) -> dict[str, Any]:
    async with _simulator(settings, request, models) as simulator:
        ends_s = asyncio.get_running_loop().time() + wait_s
        await simulator.wait_for_books(wait_s)
        left_s = ends_s - asyncio.get_running_loop().time()
        await simulator.wait_until_priceable(request, deadline_s=max(left_s, _LAST_LOOK_S))
        answer: dict[str, Any] = simulator.estimate(request)
        return answer


async def _watched(
    settings: Any,  # noqa: ANN401 - loaded late
    request: Any,  # noqa: ANN401 - loaded late
    show: _Screen,
    *,
    models: Path | None,
    wait_s: float,
    count: int | None,
) -> None:
    shown = 0
    async with _simulator(settings, request, models) as simulator:
        await simulator.wait_for_books(wait_s)
        updates = simulator.updates(request, min_interval_s=_WATCH_S)
        with show:
            async with aclosing(updates):
                async for update in updates:
                    show.update(update)
                    shown += isinstance(update, dict)
                    if shown == count:
                        return


@asynccontextmanager
async def _simulator(
    settings: Any,  # noqa: ANN401 - loaded late
    request: Any,  # noqa: ANN401 - loaded late
    models: Path | None,
) -> AsyncIterator[Any]:
    room = part("cost_simulator.simulator")
    async with room.CostSimulator(
        settings, request.exchange, request.instrument, must_have_books=False, models=models
    ) as simulator:
        yield simulator


async def _served(
    settings: Any,  # noqa: ANN401 - loaded late
    markets: list[tuple[str, str]],
    listener: socket.socket,
    *,
    as_json: bool,
) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    (exchange, instrument), *more = markets
    simulator = part("cost_simulator.simulator").CostSimulator(
        settings, exchange, instrument, markets=more, must_have_books=False
    )
    server = part("cost_simulator.server").cost_server
    async with simulator, server(simulator, listener=listener) as url:
        names = [f"{of} {name}" for of, name in simulator.names]
        if as_json:
            output.emit_json({"url": url, "ws": f"ws{url[4:]}/ws", "markets": names})
        else:
            output.note(f"costs of {', '.join(names)} at {url} (WebSocket /ws); Ctrl-C stops")
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(_until_orphaned(stop), name="lifeline")
            await simulator.serve_until(stop)
            watching.cancel()


async def _until_orphaned(stop: asyncio.Event) -> None:
    await watch_lifeline()
    stop.set()


class _Screen:
    # Where estimates are shown: a table that is drawn anew, or one JSON document per estimate.

    def __init__(self, *, as_json: bool) -> None:
        self._as_json = as_json
        self._live: Live | None = None

    def once(self, answer: dict[str, Any]) -> None:
        if self._as_json:
            output.emit_json(answer)
        else:
            output.emit_table(cost_table.title(answer), ("what", "figure"), cost_table.rows(answer))

    def update(self, update: dict[str, Any] | TradingSystemError) -> None:
        if self._as_json:
            output.emit_json(_fault(update) if isinstance(update, TradingSystemError) else update)
        elif self._live is not None:
            self._live.update(_drawn(update))

    def __enter__(self) -> _Screen:
        if not self._as_json:
            self._live = Live(console=Console(), auto_refresh=False, transient=False)
            self._live.__enter__()
        return self

    def __exit__(self, *details: Any) -> None:  # noqa: ANN401 - as the protocol has it
        if self._live is not None:
            self._live.__exit__(*details)


def _fault(error: TradingSystemError) -> dict[str, str]:
    described: dict[str, str] = part("cost_simulator.faults").described(error)
    return {**described, "remedy": described["remedy"] or "see docs/cost_simulator.md"}


def _drawn(update: dict[str, Any] | TradingSystemError) -> Table | str:
    if isinstance(update, TradingSystemError):
        return f"no estimate: {update}"
    table = Table("what", "figure", title=cost_table.title(update), title_justify="left")
    for row in cost_table.rows(update):
        table.add_row(*row)
    return table
