"""Unmodified pybit clients of one run, pointed at the venue by their host settings alone."""

from __future__ import annotations

import itertools
import queue
import time
from decimal import ROUND_DOWN, Decimal
from typing import Any

import pybit._websocket_trading
import pybit.unified_trading
from protocol import FINAL, Pacer
from pybit.exceptions import InvalidRequestError
from pybit.unified_trading import HTTP, WebSocket, WebSocketTrading
from registry import CaseError, check, check_equal
from streams import WAIT_S, BookLog, ClientLog, Rows
from venue_process import Account, Ready

SYMBOL = "BTCUSDT"
OTHER = "ETHUSDT"
SALES = 5
FILL_S = 20.0
NEAR_BPS = Decimal("0.2")
DEPTHS = (1, 50, 200, 1000)
PRIVATE_TOPICS = ("order", "execution", "position", "wallet")
PING = {"testnet": False, "ping_interval": 4, "ping_timeout": 3}


class Side:
    """One account: a pybit session and its quota."""

    def __init__(self, rest: str, account: Account, pacer: Pacer) -> None:
        keys = {"api_key": account.key, "api_secret": account.secret}
        self.account = account
        self.http = HTTP(**keys)
        self.http.endpoint = rest
        self.strict = HTTP(**keys, max_retries=1, retry_codes={-99})
        self.strict.endpoint = rest
        self._pacer = pacer

    def pace(self, operation: str, cost: int = 1) -> None:
        """Wait until the quota of ``operation`` has room for ``cost`` requests."""
        time.sleep(self._pacer.reserve(self.account.key + operation, cost))

    def storm_over(self, operation: str) -> None:
        """Tell the pacer that this account's quota is used up."""
        self._pacer.exhaust(self.account.key + operation)

    def place(self, **fields: Any) -> dict[str, Any]:
        """Place a linear order once the quota has room; return ``result``."""
        self.pace("create")
        return self.place_now(**fields)

    def place_now(self, **fields: Any) -> dict[str, Any]:
        """Place a linear order at once, for prices that age; return ``result``."""
        return self.http.place_order(category="linear", **fields)["result"]

    def cancel(self, **fields: Any) -> dict[str, Any]:
        """Cancel a linear order; return ``result``."""
        self.pace("cancel")
        return self.http.cancel_order(category="linear", **fields)["result"]

    def amend(self, **fields: Any) -> dict[str, Any]:
        """Amend a linear order; return ``result``."""
        self.pace("amend")
        return self.http.amend_order(category="linear", **fields)["result"]

    def order(self, order_id: str) -> dict[str, Any]:
        """Return the row of one order, open or closed."""
        rows = self.http.get_open_orders(category="linear", orderId=order_id)["result"]["list"]
        check_equal(len(rows), 1, f"rows of order {order_id}")
        return rows[0]

    def final(self, order_id: str) -> dict[str, Any]:
        """Return the row of an order that must already be final."""
        row = self.order(order_id)
        check(row["orderStatus"] in FINAL, f"order {order_id} is {row['orderStatus']}")
        return row

    def open_ids(self, symbol: str = SYMBOL) -> set[str]:
        """Return the ids of the open orders of ``symbol``."""
        found = self.http.get_open_orders(category="linear", symbol=symbol, limit=50)
        return {row["orderId"] for row in found["result"]["list"]}

    def position(self, symbol: str) -> Decimal:
        """Return the signed position of ``symbol``."""
        row = self.http.get_positions(category="linear", symbol=symbol)["result"]["list"][0]
        size = Decimal(row["size"])
        return -size if row["side"] == "Sell" else size

    def wallet(self) -> dict[str, Any]:
        """Return the unified wallet's row."""
        return self.http.get_wallet_balance(accountType="UNIFIED")["result"]["list"][0]

    def flatten(self, symbol: str) -> None:
        """Close the position of ``symbol`` and cancel its orders."""
        self.pace("cancel-all")
        self.http.cancel_all_orders(category="linear", symbol=symbol)
        size = self.position(symbol)
        if size:
            side = "Sell" if size > 0 else "Buy"
            self.place(
                symbol=symbol, side=side, orderType="Market", qty=str(abs(size)), reduceOnly=True
            )
        check_equal(self.position(symbol), Decimal(0), f"position of {symbol} after closing it")


def refused(call: Any, /, **fields: Any) -> int:
    """Return the code with which the venue refuses ``call``."""
    return refusal(call, **fields).status_code


def refusal(call: Any, /, **fields: Any) -> InvalidRequestError:
    """Return the error with which the venue refuses ``call``."""
    try:
        answer = call(**fields)
    except InvalidRequestError as e:
        return e
    raise CaseError(f"not refused: {answer}")


class PybitRoom:
    """All pybit clients of one run: two accounts over REST, three kinds of WebSocket."""

    def __init__(self, venue: Ready) -> None:
        self.venue = venue
        self.log = ClientLog()
        self.pacer = Pacer()
        self.private = Rows()
        self.public = Rows()
        self.books = {
            (symbol, depth): BookLog(depth) for symbol in (SYMBOL, OTHER) for depth in DEPTHS
        }
        self._links = itertools.count(1)
        self._sockets: list[Any] = []

    def open(self) -> None:
        """Point pybit at the venue, connect, authenticate, subscribe."""
        self.log.install()
        pybit.unified_trading.PUBLIC_WSS = self.venue.ws + "/v5/public/{CHANNEL_TYPE}"
        pybit.unified_trading.PRIVATE_WSS = self.venue.ws + "/v5/private"
        pybit._websocket_trading.TRADE_WSS = self.venue.ws + "/v5/trade"
        first, second = self.venue.accounts[:2]
        self.a = Side(self.venue.rest, first, self.pacer)
        self.b = Side(self.venue.rest, second, self.pacer)
        self.start = {side.account.key: side.wallet() for side in (self.a, self.b)}
        self.steps = self._read_steps()
        keys = {"api_key": first.key, "api_secret": first.secret}
        self.private_ws = self.keep(WebSocket("private", **keys, **PING))
        self.trade_ws = self.keep(WebSocketTrading(**keys, **PING))
        self.log.wait("Authorization for", count=2)
        for topic in PRIVATE_TOPICS:
            getattr(self.private_ws, f"{topic}_stream")(self.private.add)
        self.private_ws.fast_execution_stream(self.private.add)
        self.public_ws = self.keep(WebSocket("linear", **PING))
        self._subscribe_public()
        self.log.wait("Subscription to", count=self._subscriptions)
        self._connections = [socket.ws.sock for socket in self._sockets]

    def _subscribe_public(self) -> None:
        for depth in DEPTHS:
            for symbol in (SYMBOL, OTHER):
                self.public_ws.orderbook_stream(depth, symbol, self.books[symbol, depth].add)
        symbols = [SYMBOL, OTHER]
        self.public_ws.trade_stream(symbols, self.public.add)
        self.public_ws.ticker_stream(symbols, self.public.add)
        self.public_ws.kline_stream(1, symbols, self.public.add)
        self._subscriptions = len(PRIVATE_TOPICS) + 1 + 2 * len(DEPTHS) + 3

    def _read_steps(self) -> dict[str, tuple[Decimal, Decimal]]:
        rows = self.a.http.get_instruments_info(category="linear")["result"]["list"]
        return {
            row["symbol"]: (
                Decimal(row["priceFilter"]["tickSize"]),
                Decimal(row["lotSizeFilter"]["qtyStep"]),
            )
            for row in rows
        }

    def keep(self, socket: Any) -> Any:
        """Remember a WebSocket client so that it is closed at the end."""
        self._sockets.append(socket)
        return socket

    def lost_connections(self) -> int:
        """Return how many of the long-lived connections were closed or replaced."""
        kept = zip(self._sockets, self._connections, strict=False)
        return sum(
            client.ws.sock is not before or not client.is_connected() for client, before in kept
        )

    def close(self) -> None:
        """Close every connection."""
        for socket in self._sockets:
            socket.exit()
        self._sockets.clear()
        for side in (getattr(self, "a", None), getattr(self, "b", None)):
            if side is not None:
                side.http.client.close()
                side.strict.client.close()
        self.log.remove()

    def link(self) -> str:
        """Return a fresh client order id."""
        return f"conf-{next(self._links)}"

    def top(self, symbol: str = SYMBOL) -> tuple[Decimal, Decimal]:
        """Return best bid and best ask."""
        book = self.a.http.get_orderbook(category="linear", symbol=symbol, limit=1)["result"]
        return Decimal(book["b"][0][0]), Decimal(book["a"][0][0])

    def across(self, symbol: str = SYMBOL) -> str:
        """Return a price on the grid at which a bid surely trades: above the asks by 0.3 %."""
        tick = self.steps[symbol][0]
        return str((self.top(symbol)[1] * Decimal("1.003") / tick).quantize(Decimal(1)) * tick)

    def fill_as_maker(self, symbol: str, value_usdt: str) -> dict[str, Any]:
        """Let the first account rest a bid near the best one until somebody sells into it.

        The market moves on its own: the bid follows it, a crossing post-only order is placed
        anew, and the second account's sales speed the fill up. Returns the order stream's row
        of the filled bid.
        """
        qty, sold = self.quantity(value_usdt, symbol), self.quantity("150000", symbol)
        ends, sales = time.monotonic() + FILL_S, SALES
        order_id, price = self._rest_near(symbol, qty)
        row = self.a.order(order_id)
        while row["orderStatus"] != "Filled" and time.monotonic() < ends:
            if row["orderStatus"] == "Cancelled":
                check_equal(row["rejectReason"], "EC_PostOnlyWillTakeLiquidity", "rejectReason")
                order_id, price = self._rest_near(symbol, qty)
            if sales:
                sales -= 1
                self.b.place(
                    symbol=symbol,
                    orderType="Limit",
                    price=str(price),
                    side="Sell",
                    qty=sold,
                    timeInForce="IOC",
                )
            row = self.a.order(order_id)
            if row["orderStatus"] == "New":  # a partly filled bid keeps its one price
                price = self._follow(order_id, symbol, price)
                row = self.a.order(order_id)
        self.b.flatten(symbol)
        check_equal(row["orderStatus"], "Filled", f"bid after {FILL_S} s, {row['rejectReason']}")
        return self.order_event(order_id, "Filled")

    def _rest_near(self, symbol: str, qty: str) -> tuple[str, Decimal]:
        self.a.pace("create")
        price = self._near_bid(symbol)
        order_id: str = self.a.place_now(
            symbol=symbol,
            orderType="Limit",
            price=str(price),
            side="Buy",
            qty=qty,
            timeInForce="PostOnly",
            orderLinkId=self.link(),
        )["orderId"]
        return order_id, price

    def _near_bid(self, symbol: str) -> Decimal:
        """Return a price a little below the best bid of this instant (the book may be older)."""
        tick = self.steps[symbol][0]
        (row,) = self.a.http.get_tickers(category="linear", symbol=symbol)["result"]["list"]
        price = Decimal(row["bid1Price"]) * (1 - NEAR_BPS / 10_000)
        return (price / tick).quantize(Decimal(1), ROUND_DOWN) * tick

    def _follow(self, order_id: str, symbol: str, price: Decimal) -> Decimal:
        """Move a resting bid after a market that has left it behind; return its price."""
        self.a.pace("amend")
        wanted = self._near_bid(symbol)
        if wanted <= price:
            return price
        try:
            self.a.strict.amend_order(
                category="linear", symbol=symbol, orderId=order_id, price=str(wanted)
            )
        except InvalidRequestError as e:
            check_equal(e.status_code, 110001, "an order that ended meanwhile")
        return wanted

    def away(self, symbol: str = SYMBOL, *, percent: str = "2") -> str:
        """Return a bid price on the grid, ``percent`` below the best bid."""
        tick = self.steps[symbol][0]
        price = self.top(symbol)[0] * (1 - Decimal(percent) / 100)
        return str((price / tick).quantize(Decimal(1), ROUND_DOWN) * tick)

    def quantity(self, value_usdt: str, symbol: str = SYMBOL) -> str:
        """Return the quantity on the grid that is worth about ``value_usdt``."""
        step = self.steps[symbol][1]
        raw = Decimal(value_usdt) / self.top(symbol)[1]
        return str((raw / step).quantize(Decimal(1), ROUND_DOWN) * step)

    def rest_a_bid(self, **fields: Any) -> dict[str, Any]:
        """Place a small post-only bid far from the market for the first account."""
        wanted = {
            "symbol": SYMBOL,
            "side": "Buy",
            "orderType": "Limit",
            "qty": self.quantity("700"),
            "price": self.away(),
            "timeInForce": "PostOnly",
            "orderLinkId": self.link(),
        }
        return self.a.place(**(wanted | fields))

    def trade(
        self, operation: str, *, kind: str = "", cost: int = 1, **fields: Any
    ) -> dict[str, Any]:
        """Send one trade WebSocket request and return the reply, whatever its code."""
        replies: queue.SimpleQueue[dict[str, Any]] = queue.SimpleQueue()
        self.a.pace(kind or operation.partition("_")[0].replace("place", "create"), cost)
        getattr(self.trade_ws, operation)(replies.put, replies.put, category="linear", **fields)
        try:
            return replies.get(timeout=WAIT_S)
        except queue.Empty:
            raise CaseError(f"{operation}: no reply within {WAIT_S:.0f} s") from None

    def order_event(self, order_id: str, status: str, mark: int = 0) -> dict[str, Any]:
        """Wait for an order stream row of ``order_id`` in ``status``."""
        return self.private.wait(
            "order",
            lambda row: row["orderId"] == order_id and row["orderStatus"] == status,
            mark=mark,
        )
