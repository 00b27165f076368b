"""Opens the feeds: finds the hosts, reads the instruments, starts an embedded venue if needed.

Only public data is read. No key is used, and nothing here can send an order.
"""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Coroutine, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, Final

from trading_system.config.settings import Settings
from trading_system.cost_simulator.faults import UnknownInstrumentError
from trading_system.cost_simulator.feeds import BookFeed, not_offered
from trading_system.domain.errors import ConfigurationError, CorruptDataError, VenueRejected
from trading_system.domain.instruments import Instrument
from trading_system.domain.ports import Clock
from trading_system.live.venue_process import EmbeddedVenue
from trading_system.simulation.instruments import INSTRUMENTS
from trading_system.venues.bybit.hosts import endpoints
from trading_system.venues.bybit.market_queries import MarketQueries
from trading_system.venues.bybit.rest import BybitRest
from trading_system.venues.okx.hosts import okx_hosts

EXCHANGES: Final = ("bybit", "okx")
_MAX_MARKETS: Final = 20
_FOLDER: Final = "cost-"

Name = tuple[str, str]


def checked_names(markets: Sequence[Name]) -> tuple[Name, ...]:
    """Return (exchange, instrument) pairs in the venues' spelling, each once.

    Raises
    ------
    UnknownInstrumentError
        If there is none, an exchange is unknown, or there are more than twenty.
    """
    names = tuple(dict.fromkeys((e.strip().lower(), i.strip().upper()) for e, i in markets))
    if not 1 <= len(names) <= _MAX_MARKETS:
        raise UnknownInstrumentError(
            f"{len(names)} instruments were named; name 1 to {_MAX_MARKETS}"
        )
    for exchange, _ in names:
        if exchange not in EXCHANGES:
            raise UnknownInstrumentError(
                f"there is no exchange {exchange[:40]!r}; take {' or '.join(EXCHANGES)}"
            )
    return names


class Connection:
    """The feeds of some markets and, in the simulated environment, the venue behind them.

    Parameters
    ----------
    settings : Settings
        Environment, addresses and the embedded venue's market.
    names : sequence of (exchange, instrument)
        Checked by :func:`checked_names`.
    """

    def __init__(self, settings: Settings, names: Sequence[Name], *, clock: Clock) -> None:
        self._settings = settings
        self._names = names
        self._clock = clock
        self._stack = AsyncExitStack()
        self._venue: EmbeddedVenue | None = None
        self.feeds: list[BookFeed] = []

    @property
    def venue_pid(self) -> int | None:
        """Process of the embedded venue, None without one."""
        return None if self._venue is None else self._venue.pid

    async def open(self) -> None:
        """Start what is needed and read the instruments; the feeds do not run yet.

        Raises
        ------
        ConfigurationError
            If the embedded venue refuses its settings or has no folder to write to, or an address
            is missing.
        UnknownInstrumentError
            If the exchange does not offer an instrument.
        VenueError
            If an exchange cannot be reached.
        """
        try:
            rest, ws = await self._own_venue()
            for exchange in dict.fromkeys(exchange for exchange, _ in self._names):
                wanted = [name for of, name in self._names if of == exchange]
                opener = self._open_bybit if exchange == "bybit" else self._open_okx
                self.feeds.append(await opener(wanted, rest, ws))
        except BaseException:
            await self._stack.aclose()
            raise

    async def close(self) -> None:
        """End the embedded venue."""
        await self._stack.aclose()

    def tasks(self) -> list[tuple[str, Coroutine[Any, Any, None]]]:
        """Return what has to run while the feeds are open."""
        running = [(f"{feed.exchange} books", feed.run()) for feed in self.feeds]
        if self._venue is not None:
            running.append(("embedded venue", self._venue.watch()))
        return running

    async def _own_venue(self) -> tuple[str | None, str | None]:
        settings = self._settings
        given = {"bybit": settings.bybit.rest_url, "okx": settings.okx.rest_url}
        is_needed = any(given[exchange] is None for exchange, _ in self._names)
        if settings.environment != "simulated" or not is_needed:
            return None, None
        update = {
            "data_dir": self._stack.enter_context(own_folder(settings.data_dir)),
            "symbols": self._symbols(),
            "venue": settings.venue.model_copy(update={"state": None}),
        }
        self._venue = EmbeddedVenue(
            settings.model_copy(update=update),
            on_finished=_nothing,
            on_down=_nothing,
            on_up=_nothing,
        )
        await self._venue.start()
        self._stack.push_async_callback(self._venue.stop)
        return str(self._venue.ready["rest"]), str(self._venue.ready["ws"])

    def _symbols(self) -> tuple[str, ...]:
        spelled = (name.removesuffix("-SWAP").replace("-", "") for _, name in self._names)
        own = tuple(symbol for symbol in spelled if symbol in INSTRUMENTS)
        return tuple(dict.fromkeys((*self._settings.symbols, *own)))

    async def _open_bybit(
        self, wanted: list[str], rest_url: str | None, ws_url: str | None
    ) -> BookFeed:
        bybit = self._settings.bybit
        hosts = endpoints(
            self._settings.environment,
            rest_url=bybit.rest_url or rest_url,
            ws_url=bybit.ws_url or (ws_url if bybit.rest_url is None else None),
        )
        async with BybitRest(hosts.rest, signer=None, clock=self._clock) as rest:
            queries = MarketQueries(rest, clock=self._clock, timeout_s=bybit.request_timeout_s)
            rules = {name: await _bybit_instrument(queries, name) for name in wanted}
        feed: BookFeed = _room("bybit").BybitBookFeed(
            hosts.public_linear, rules, clock=self._clock, jitter=random.Random()
        )
        return feed

    async def _open_okx(
        self, wanted: list[str], rest_url: str | None, ws_url: str | None
    ) -> BookFeed:
        okx = self._settings.okx
        hosts = okx_hosts(
            self._settings.environment,
            rest_url=okx.rest_url or rest_url,
            ws_url=okx.ws_url or (ws_url if okx.rest_url is None else None),
        )
        room = _room("okx")
        rules = await room.read_instruments(hosts, wanted, clock=self._clock)
        feed: BookFeed = room.OkxBookFeed(
            hosts, rules, channel=okx.channel, clock=self._clock, jitter=random.Random()
        )
        return feed


async def _bybit_instrument(queries: MarketQueries, name: str) -> Instrument:
    try:
        return await queries.instrument(name)
    except (VenueRejected, CorruptDataError) as e:
        offered = [rules.symbol for rules in await queries.instruments()]
        raise not_offered("bybit", name, offered) from e


@contextmanager
def own_folder(data_dir: Path) -> Iterator[Path]:
    """Yield a folder of this process in ``data_dir``, for the accounts of its own venue.

    A running system keeps those of its venue in ``data_dir`` itself. A process that is killed
    leaves its folder behind; the next one that starts here removes it.

    Raises
    ------
    ConfigurationError
        If ``data_dir`` cannot be written to.
    """
    try:
        data_dir.mkdir(parents=True, exist_ok=True)
        for left in data_dir.glob(f"{_FOLDER}*"):
            if not _is_alive(left.name.removeprefix(_FOLDER).partition("-")[0]):
                shutil.rmtree(left, ignore_errors=True)
        folder = tempfile.mkdtemp(prefix=f"{_FOLDER}{os.getpid()}-", dir=data_dir)
    except OSError as e:
        raise ConfigurationError(
            f"cannot write to {data_dir}: {e.strerror}; set TRADING_DATA_DIR to a folder of yours"
        ) from e
    try:
        yield Path(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _is_alive(pid: str) -> bool:
    try:
        os.kill(int(pid), 0)
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:  # somebody else's process
        return True
    return True


# Loaded with the first market of an exchange: Bybit's book brings compiled kernels with it, some
# 60 MiB that nobody needs who asks for OKX only.
def _room(exchange: str) -> Any:  # noqa: ANN401 - a module
    return import_module(f"trading_system.cost_simulator.{exchange}")


def _nothing() -> None:
    return
