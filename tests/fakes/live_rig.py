"""A whole system on a real embedded venue, and a reader of that venue that shares nothing with it.

The system runs in the test's own process, its venue in a child process, with sockets between them.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import aiohttp

from trading_system.config.settings import Settings, load_settings
from trading_system.enhanced_trading_system import EnhancedTradingSystem
from trading_system.live.desk import TradingDesk
from trading_system.runtime.clock import SystemClock

BTC, ETH = "BTCUSDT", "ETHUSDT"
_WINDOW = "5000"


def live_settings(folder: Path, **values: object) -> Settings:
    """Return settings that know nothing of the machine; underscores twice mean a section."""
    given = {"data_dir": str(folder / "data"), "venue.edge": 0.0}
    given |= {name.replace("__", "."): value for name, value in values.items()}
    nowhere = folder / "nothing"
    return load_settings(given, environ={}, dotenv_path=nowhere, config_path=nowhere)


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[EnhancedTradingSystem]:
    """Run a system for the block."""
    system = EnhancedTradingSystem(settings)
    await system.start_system()
    try:
        yield system
    finally:
        await system.stop_system("the test is over")


async def eventually(
    condition: Callable[[], bool], *, within_s: float = 10.0, what: str = "the condition"
) -> None:
    """Look again and again until ``condition`` holds; an AssertionError when time is up."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + within_s
    while not condition():
        assert loop.time() < ends, f"{what} did not hold within {within_s:g} s"
        await asyncio.sleep(0.005)


@dataclass(frozen=True, slots=True)
class VenueReader:
    """Signs and reads by itself."""

    rest_url: str
    api_key: str
    api_secret: str

    @classmethod
    def of(cls, ready: Mapping[str, Any]) -> VenueReader:
        """Return a reader of the venue that printed the ready line ``ready``."""
        return cls(str(ready["rest"]), str(ready["api_key"]), str(ready["api_secret"]))

    async def rows(self, path: str, **query: object) -> list[dict[str, Any]]:
        """Return the rows of one page."""
        text = urlencode({"category": "linear", **query})
        stamp = str(SystemClock().utc_ns() // 1_000_000)
        message = f"{stamp}{self.api_key}{_WINDOW}{text}"
        sign = hmac.new(self.api_secret.encode(), message.encode(), hashlib.sha256).hexdigest()
        headers = {
            "X-BAPI-API-KEY": self.api_key,
            "X-BAPI-TIMESTAMP": stamp,
            "X-BAPI-RECV-WINDOW": _WINDOW,
            "X-BAPI-SIGN": sign,
        }
        async with (
            aiohttp.ClientSession() as http,
            http.get(f"{self.rest_url}{path}?{text}", headers=headers) as reply,
        ):
            answer = await reply.json()
        assert answer["retCode"] == 0, answer
        rows: list[dict[str, Any]] = answer["result"]["list"]
        return rows

    async def orders(self) -> dict[str, dict[str, Any]]:
        """Return every order the venue knows of, at work or over, by order id."""
        open_orders = await self.rows("/v5/order/realtime", settleCoin="USDT", limit=50)
        past = await self.rows("/v5/order/history", limit=50)
        assert len(open_orders) < 50
        assert len(past) < 50
        return {row["orderId"]: row for row in (*past, *open_orders)}

    async def positions(self) -> dict[str, Decimal]:
        """Return the positions that are not flat, signed."""
        rows = await self.rows("/v5/position/list", settleCoin="USDT")
        return {
            row["symbol"]: Decimal(row["size"]) * (1 if row["side"] == "Buy" else -1)
            for row in rows
            if Decimal(row["size"])
        }


def reader_of(desk: TradingDesk) -> VenueReader:
    """Return a reader of the desk's embedded venue."""
    assert desk.venue is not None
    return VenueReader.of(desk.venue.ready)
