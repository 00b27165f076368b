"""pybit's clients beyond one-way perpetuals: spot, a hedged account, an account with an RSA key."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import ROUND_DOWN, Decimal
from typing import Any

import pybit._websocket_trading
import pybit.unified_trading
from protocol import Pacer
from pybit.unified_trading import HTTP, WebSocket, WebSocketTrading
from registry import check_equal
from room_pybit import PING, SYMBOL, Side, refused
from streams import WAIT_S, BookLog, ClientLog, Rows
from venue_process import Account, Ready

BASE = "BTC"
DEPTHS = (1, 50, 200, 1000)
SPOT_TOPICS = ("order.spot", "execution.spot", "wallet")
HEDGE_TOPICS = ("order", "execution", "position")
FEE = Decimal("0.001")


class SpotSide(Side):
    """One account that trades the spot pair; nothing is rounded but down to the grid."""

    def __init__(self, rest: str, account: Account, pacer: Pacer) -> None:
        super().__init__(rest, account, pacer)
        found = self.http.get_instruments_info(category="spot", symbol=SYMBOL)["result"]["list"]
        self.tick = Decimal(found[0]["priceFilter"]["tickSize"])
        self.step = Decimal(found[0]["lotSizeFilter"]["basePrecision"])

    def top(self) -> tuple[Decimal, Decimal]:
        """Return best bid and best ask of the pair."""
        book = self.http.get_orderbook(category="spot", symbol=SYMBOL, limit=1)["result"]
        return Decimal(book["b"][0][0]), Decimal(book["a"][0][0])

    def price(self, percent: str) -> str:
        """Return a price on the grid, ``percent`` above the best bid (below for a negative)."""
        raw = self.top()[0] * (1 + Decimal(percent) / 100)
        return str((raw / self.tick).quantize(Decimal(1), ROUND_DOWN) * self.tick)

    def quantity(self, value_usdt: str) -> str:
        """Return the quantity on the grid that is worth about ``value_usdt``."""
        return self.cut(Decimal(value_usdt) / self.top()[1])

    def cut(self, quantity: Decimal) -> str:
        """Return a quantity cut to the grid."""
        return str((quantity / self.step).quantize(Decimal(1), ROUND_DOWN) * self.step)

    def spot(self, **fields: Any) -> dict[str, Any]:
        """Place a spot order once the quota has room; return ``result``."""
        self.pace("create")
        return self.http.place_order(category="spot", symbol=SYMBOL, **fields)["result"]

    def bid(self, **fields: Any) -> dict[str, Any]:
        """Return the fields of a small bid far from the market."""
        return {
            "side": "Buy",
            "orderType": "Limit",
            "qty": self.quantity("700"),
            "price": self.price("-2"),
        } | fields

    def spot_refused(self, **fields: Any) -> int:
        """Return the code with which a spot order is refused."""
        self.pace("create")
        return refused(self.strict.place_order, category="spot", symbol=SYMBOL, **fields)

    def cancel_spot(self, **fields: Any) -> dict[str, Any]:
        """Cancel a spot order; return ``result``."""
        self.pace("cancel")
        return self.http.cancel_order(category="spot", symbol=SYMBOL, **fields)["result"]

    def spot_order(self, order_id: str) -> dict[str, Any]:
        """Return the row of one spot order, open or closed."""
        rows = self.http.get_open_orders(category="spot", orderId=order_id)["result"]["list"]
        check_equal(len(rows), 1, f"rows of order {order_id}")
        return rows[0]

    def waiting(self, order_filter: str) -> list[dict[str, Any]]:
        """Return the pair's orders of one filter that are open."""
        rows: list[dict[str, Any]] = self.http.get_open_orders(
            category="spot", symbol=SYMBOL, orderFilter=order_filter, limit=50
        )["result"]["list"]
        return rows

    def coin(self, name: str) -> dict[str, Any]:
        """Return the wallet's row of one coin."""
        found = self.http.get_wallet_balance(accountType="UNIFIED", coin=name)["result"]["list"][0]
        return next(row for row in found["coin"] if row["coin"] == name)

    def balance(self, name: str) -> Decimal:
        """Return how much of a coin the account has."""
        return Decimal(self.coin(name)["walletBalance"])

    def buy(self, value_usdt: str) -> Decimal:
        """Buy at market for a quote amount; return what arrived."""
        before = self.balance(BASE)
        self.spot(side="Buy", orderType="Market", qty=value_usdt)
        return self.balance(BASE) - before

    def sell(self, quantity: Decimal) -> str:
        """Sell at market what of a quantity is on the grid; return the order's id."""
        return str(self.spot(side="Sell", orderType="Market", qty=self.cut(quantity))["orderId"])


@dataclass(frozen=True, slots=True)
class RsaKey:
    """The private half of the venue's third account, as PEM text."""

    api_key: str
    pem: str


class ModesRoom:
    """Clients of three accounts: the first trades spot, the second hedges, the third has RSA."""

    def __init__(self, venue: Ready, pacer: Pacer, pem: str) -> None:
        self.venue = venue
        self.log = ClientLog()
        self.rows = Rows()
        self.hedge_rows = Rows()
        self.public = Rows()
        self.books = {depth: BookLog(depth) for depth in DEPTHS}
        self.rsa = RsaKey(venue.accounts[2].key, pem)
        self._pacer = pacer
        self._sockets: list[Any] = []

    def open(self) -> None:
        """Point pybit at the venue, connect, authenticate, subscribe."""
        self.log.install()
        pybit.unified_trading.PUBLIC_WSS = self.venue.ws + "/v5/public/{CHANNEL_TYPE}"
        pybit.unified_trading.PRIVATE_WSS = self.venue.ws + "/v5/private"
        pybit._websocket_trading.TRADE_WSS = self.venue.ws + "/v5/trade"
        first, second = self.venue.accounts[:2]
        self.spot = SpotSide(self.venue.rest, first, self._pacer)
        self.hedge = Side(self.venue.rest, second, self._pacer)
        self._private(first, SPOT_TOPICS, self.rows)
        self._private(second, HEDGE_TOPICS, self.hedge_rows)
        self.trade_ws = self.keep(
            WebSocketTrading(api_key=first.key, api_secret=first.secret, **PING)
        )
        public = self.keep(WebSocket("spot", **PING))
        for depth in DEPTHS:
            public.orderbook_stream(depth, SYMBOL, self.books[depth].add)
        public.trade_stream(SYMBOL, self.public.add)
        public.ticker_stream(SYMBOL, self.public.add)
        public.kline_stream(1, SYMBOL, self.public.add)
        topics = len(SPOT_TOPICS) + len(HEDGE_TOPICS)
        self.log.wait("Subscription to", count=topics + len(DEPTHS) + 3)

    def _private(self, account: Account, topics: tuple[str, ...], rows: Rows) -> None:
        socket = self.keep(
            WebSocket("private", api_key=account.key, api_secret=account.secret, **PING)
        )
        for topic in topics:
            name, _, category = topic.partition(".")
            if category:  # pybit has no method of its own for these, but a slot in the topic
                socket.subscribe(name + ".{symbol}", rows.add, category)
            else:
                socket.subscribe(name, rows.add)

    def rsa_http(self, pem: str = "") -> HTTP:
        """Return a REST client that signs with an RSA key, the account's own by default."""
        client = HTTP(
            api_key=self.rsa.api_key, api_secret=pem or self.rsa.pem, rsa_authentication=True
        )
        client.endpoint = self.venue.rest
        return client

    def keep(self, socket: Any) -> Any:
        """Remember a WebSocket client so that it is closed at the end."""
        self._sockets.append(socket)
        return socket

    def close(self) -> None:
        """Close every connection."""
        for socket in self._sockets:
            socket.exit()
            socket.wst.join(timeout=WAIT_S)  # it logs its end
        for side in (getattr(self, "spot", None), getattr(self, "hedge", None)):
            if side is not None:
                side.http.client.close()
                side.strict.client.close()
        self.log.remove()

    def spot_event(self, order_id: str, status: str) -> dict[str, Any]:
        """Wait for an ``order.spot`` row of an order in one state."""
        return self.rows.wait(
            "order.spot",
            lambda row: row["orderId"] == order_id and row["orderStatus"] == status,
        )
