"""Unmodified ccxt and ccxt.pro clients of one run, pointed at the venue by their ``urls``."""

from __future__ import annotations

import asyncio
import itertools
import re
from collections.abc import Awaitable, Callable
from decimal import ROUND_DOWN, Decimal
from typing import Any

import ccxt.async_support
import ccxt.pro
from protocol import Pacer
from registry import CaseError, check, check_equal
from venue_process import Account, Ready

SYMBOL = "BTC/USDT:USDT"
OTHER = "ETH/USDT:USDT"
WAIT_S = 10.0
PAUSE_MS = 3  # ccxt waits five times this before most requests: at most 67 a second


def code_of(error: BaseException) -> int:
    """Return the venue's code inside the text of a ccxt error."""
    found = re.search(r'"?retCode"?:\s*"?(\d+)', str(error))
    return int(found.group(1)) if found else -1


async def refused(call: Awaitable[Any], kind: type[Exception]) -> int:
    """Return the code of a refusal that ccxt must raise as exactly ``kind``."""
    try:
        answer = await asyncio.wait_for(call, WAIT_S)
    except ccxt.BaseError as e:
        check(type(e) is kind, f"ccxt raised {type(e).__name__}, expected {kind.__name__}: {e}")
        return code_of(e)
    raise CaseError(f"not refused: {answer}")


class CcxtRoom:
    """Two REST clients (one per account), one ccxt.pro client of the first, and OKX clients."""

    def __init__(self, venue: Ready, pacer: Pacer, *, pem: str = "") -> None:
        self.venue = venue
        self.pem = pem
        self._pacer = pacer
        self._links = itertools.count(1)
        self._clients: list[Any] = []
        self._okx: Any = None
        self._okx_pro: Any = None

    async def open(self) -> None:
        """Create the clients and load the markets through each library."""
        first, second = self.venue.accounts[:2]
        self.rest = self.client(ccxt.async_support.bybit, first)
        self.pro = self.client(ccxt.pro.bybit, first)
        self.rest_b = self.client(ccxt.async_support.bybit, second)
        await self.rest.load_markets()
        await self.pro.load_markets()
        self.rest_b.set_markets_from_exchange(self.rest)

    async def close(self) -> None:
        """Close every client."""
        for client in self._clients:
            await client.close()

    def client(self, kind: type[Any], account: Account, **options: Any) -> Any:
        """Return a new client of ``kind`` whose hosts are the venue's."""
        keys = {"apiKey": account.key, "secret": account.secret}
        client = kind(keys | {"rateLimit": PAUSE_MS, "options": options})
        rest, ws = self.venue.rest, self.venue.ws
        names = ("spot", "futures", "v2", "public", "private")
        client.urls["api"] = dict.fromkeys(names, rest) | {
            "ws": {
                "public": {
                    kind: f"{ws}/v5/public/{kind}"
                    for kind in ("spot", "linear", "inverse", "option")
                },
                "private": {
                    "spot": {"unified": f"{ws}/v5/private", "nonUnified": f"{ws}/v5/private"},
                    "contract": f"{ws}/v5/private",
                    "usdc": f"{ws}/v5/private",
                    "trade": f"{ws}/v5/trade",
                },
            }
        }
        self._clients.append(client)
        return client

    def stranger(self, kind: type[Any], key: str, secret: str, **options: Any) -> Any:
        """Return a client with other credentials that already knows the markets."""
        client = self.client(kind, Account(key, secret), **options)
        client.set_markets_from_exchange(self.rest if kind is not ccxt.pro.bybit else self.pro)
        return client

    async def okx(self) -> Any:
        """Return the room's REST client of OKX, its markets loaded."""
        if self._okx is None:
            self._okx = self._okx_client(ccxt.async_support.okx, self.venue.ws)
            await self._okx.load_markets()
        return self._okx

    async def okx_pro(self, *, ws: str = "", **keys: str) -> Any:
        """Return the room's ccxt.pro client of OKX; a new one for another host or with keys."""
        if ws or keys:
            client = self._okx_client(ccxt.pro.okx, ws or self.venue.ws, **keys)
            client.set_markets_from_exchange(await self.okx_pro())
            return client
        if self._okx_pro is None:
            self._okx_pro = self._okx_client(ccxt.pro.okx, self.venue.ws)
            await self._okx_pro.load_markets()
        return self._okx_pro

    def _okx_client(self, kind: type[Any], ws: str, **keys: str) -> Any:
        client = kind(keys | {"rateLimit": PAUSE_MS})
        client.urls["api"] = {"rest": self.venue.rest, "ws": f"{ws}/ws/v5"}
        self._clients.append(client)
        return client

    async def pace(self, operation: str, cost: int = 1, *, second: bool = False) -> None:
        """Wait until the account's quota of ``operation`` has room."""
        account = self.venue.accounts[1 if second else 0]
        await asyncio.sleep(self._pacer.reserve(account.key + operation, cost))

    def storm_over(self, operation: str, *, second: bool = False) -> None:
        """Tell the pacer that an account's quota is used up."""
        self._pacer.exhaust(self.venue.accounts[1 if second else 0].key + operation)

    def link(self) -> str:
        """Return a fresh client order id."""
        return f"ccxt-{next(self._links)}"

    async def top(self, symbol: str = SYMBOL) -> tuple[Decimal, Decimal]:
        """Return best bid and best ask."""
        book = await self.rest.fetch_order_book(symbol, 1)
        return Decimal(str(book["bids"][0][0])), Decimal(str(book["asks"][0][0]))

    async def across(self, symbol: str = SYMBOL) -> float:
        """Return a price on the grid at which a bid surely trades: above the asks by 0.3 %."""
        tick = self._grid(symbol, "price")
        price = (await self.top(symbol))[1] * Decimal("1.003")
        return float((price / tick).quantize(Decimal(1)) * tick)

    def _grid(self, symbol: str, name: str) -> Decimal:
        return Decimal(str(self.rest.market(symbol)["precision"][name]))

    async def away(self, symbol: str = SYMBOL, *, percent: str = "2") -> Decimal:
        """Return a bid price on the grid below the best bid."""
        tick = self._grid(symbol, "price")
        price = (await self.top(symbol))[0] * (1 - Decimal(percent) / 100)
        return (price / tick).quantize(Decimal(1), ROUND_DOWN) * tick

    async def amount(self, value_usdt: str, symbol: str = SYMBOL) -> Decimal:
        """Return the amount on the grid that is worth about ``value_usdt``."""
        step = self._grid(symbol, "amount")
        raw = Decimal(value_usdt) / (await self.top(symbol))[1]
        return (raw / step).quantize(Decimal(1), ROUND_DOWN) * step

    async def raw_bid(self, **fields: Any) -> dict[str, Any]:
        """Return the venue's own parameters of a small bid far from the market."""
        return {
            "category": "linear",
            "symbol": "BTCUSDT",
            "side": "Buy",
            "orderType": "Limit",
            "qty": str(await self.amount("700")),
            "price": str(await self.away()),
        } | fields

    async def rest_a_bid(self, symbol: str = SYMBOL, **params: Any) -> dict[str, Any]:
        """Place a small post-only bid far from the market."""
        amount, price = await self.amount("700", symbol), await self.away(symbol)
        await self.pace("create")
        wanted = {"postOnly": True, "clientOrderId": self.link()} | params
        found: dict[str, Any] = await self.rest.create_order(
            symbol, "limit", "buy", float(amount), float(price), wanted
        )
        return found

    async def order(self, order_id: str, symbol: str = SYMBOL) -> dict[str, Any]:
        """Return one order, open or closed."""
        found: dict[str, Any] = await self.rest.fetch_order(
            order_id, symbol, {"acknowledged": True}
        )
        return found

    async def flatten(self, symbol: str, *, second: bool = False) -> None:
        """Cancel the orders of ``symbol`` and close its position."""
        client = self.rest_b if second else self.rest
        await self.pace("cancel-all", second=second)
        await client.cancel_all_orders(symbol)
        for position in await client.fetch_positions([symbol]):
            size = Decimal(position["info"]["size"])
            if size:
                side = "sell" if position["side"] == "long" else "buy"
                await self.pace("create", second=second)
                await client.create_order(
                    symbol, "market", side, float(size), None, {"reduceOnly": True}
                )
        left = [row["info"]["size"] for row in await client.fetch_positions([symbol])]
        check(all(Decimal(size) == 0 for size in left), "position left after closing", left)

    async def watch(
        self, method: Callable[..., Awaitable[Any]], *arguments: Any, until: Callable[[Any], Any]
    ) -> Any:
        """Call a ``watch`` method until what it returned is what was wanted."""
        async with asyncio.timeout(WAIT_S):
            while True:
                found = await method(*arguments)
                if until(found):
                    return found

    async def during(
        self,
        method: Callable[..., Awaitable[Any]],
        *arguments: Any,
        name: str,
        until: Callable[[Any], Any],
        act: Callable[[], Awaitable[Any]],
    ) -> Any:
        """Watch the private stream ``name`` while ``act`` runs; return what was wanted."""
        async with asyncio.TaskGroup() as group:
            watching = group.create_task(self.watch(method, *arguments, until=until))
            await self._subscribed(name)
            await act()
        return watching.result()

    async def _subscribed(self, name: str) -> None:
        """Wait until the venue answered a ping sent after the subscription of ``name``."""
        url = self.venue.ws + "/v5/private"
        async with asyncio.timeout(WAIT_S):
            while not self._is_watched(url, name):
                await asyncio.sleep(0.001)
            client = self.pro.clients[url]
            before = client.lastPong
            while client.lastPong == before:
                await client.send(self.pro.ping(client))
                await asyncio.sleep(0.02)

    def _is_watched(self, url: str, name: str) -> bool:
        client = self.pro.clients.get(url)
        return client is not None and any(key.startswith(name) for key in client.subscriptions)


def check_order(order: dict[str, Any], **wanted: Any) -> None:
    """Fail unless a unified order has the wanted values."""
    for key, value in wanted.items():
        check_equal(order[key], value, f"order {key}")
