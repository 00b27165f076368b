"""From the bytes of an OKX tick to a whole estimate, by the parts of ``cost serve``."""

from __future__ import annotations

import random
import time
from decimal import Decimal
from typing import Any

import engine_kit
import okx_flow
import protocol
from cost_models_ours import walked_bps

from optimizers.costs.fees import FeeTables
from optimizers.costs.maker_taker import MakerTakerModel
from optimizers.costs.slippage import SlippageModel
from trading_system.config.sections import CostSettings
from trading_system.cost_simulator.feeds import BookView, Listeners, Tick
from trading_system.cost_simulator.pricing import PriceDesk
from trading_system.cost_simulator.requests import EstimateRequest, read_request
from trading_system.venues.okx.feed import OkxPublicFeed
from trading_system.venues.okx.instruments import OkxContract, OkxInstrument, OkxInstType

_DEPTH = 400
_CHANGES = 3
_NS_PER_S = 1_000_000_000
_HISTORY_S = 60
_CONTRACT = 0.0001
_QUANTITY = 2.5
_INSTRUMENT = OkxInstrument(
    inst_id=okx_flow.INST_ID,
    inst_type=OkxInstType.SWAP,
    base="BTC",
    quote="USDT",
    tick=Decimal("0.1"),
    lot=Decimal("0.01"),
    min_size=Decimal("0.01"),
    contract_value=Decimal(str(_CONTRACT)),
    contract=OkxContract.LINEAR,
)


class Feed:
    """The books of the OKX client without its connection: frames are handed in."""

    exchange = "okx"
    products = {okx_flow.INST_ID: "perpetual"}  # noqa: RUF012 - never changed

    def __init__(self) -> None:
        self._client = OkxPublicFeed(
            "ws://127.0.0.1:9",
            {okx_flow.INST_ID: _INSTRUMENT},
            clock=engine_kit.CLOCK,
            jitter=random.Random(1),
        )
        self.book = self._client.book(okx_flow.INST_ID)
        self._listeners: Listeners | None = None

    def listen(self, listeners: Listeners) -> None:
        self._listeners = listeners

    async def run(self) -> None:
        return

    def take(self, frame: bytes, received_ns: int) -> None:
        """Do what the client does with a frame of its stream."""
        self.book.apply_frame(frame, received_ns)
        mid = self.book.get_mid_price()
        assert mid is not None
        assert self._listeners is not None
        self._listeners.on_tick(
            Tick(
                instrument=okx_flow.INST_ID,
                mid=mid,
                received_ns=received_ns,
                decoded_ns=None,
                applied_ns=engine_kit.CLOCK.monotonic_ns(),
            )
        )

    def view(self, instrument: str) -> BookView | None:
        sides, received_ns = self._client.depth(instrument, _DEPTH), self.book.received_ns
        assert sides is not None
        assert received_ns is not None
        return BookView(
            bids=sides[0],
            asks=sides[1],
            version=self.book.version,
            sequence=self.book.seq_id,
            ts_exchange_ns=self.book.ts_exchange_ns,
            received_ns=received_ns,
            confirmed_ns=received_ns,
        )

    def figures(self) -> dict[str, Any]:
        return {}


def _desk(feed: Feed) -> PriceDesk:
    return PriceDesk(
        [feed],
        cost=CostSettings(),
        tables=FeeTables.load(),
        maker=MakerTakerModel.load_shipped(),
        slippage=SlippageModel.load_shipped(),
        clock=engine_kit.CLOCK,
    )


def request() -> EstimateRequest:
    return read_request(
        {
            "exchange": "okx",
            "instrument": okx_flow.INST_ID,
            "side": "buy",
            "quantity": _QUANTITY,
            "order_type": "market",
        }
    )


def estimates(count: int) -> list[float]:
    """Time ticks with one estimate each; slippage must equal a plain walk of the plain book."""
    flow, feed, asked = okx_flow.Flow(_DEPTH), Feed(), request()
    desk = _desk(feed)
    now_ns = engine_kit.CLOCK.monotonic_ns()
    feed.take(flow.snapshot(), now_ns - _HISTORY_S * _NS_PER_S)
    for second in range(1, _HISTORY_S):
        feed.take(flow.update(_CHANGES), now_ns - (_HISTORY_S - second) * _NS_PER_S)
    times = []
    for _ in range(count):
        frame = flow.update(_CHANGES)
        began = time.perf_counter_ns()
        feed.take(frame, engine_kit.CLOCK.monotonic_ns())
        answer = desk.price(asked, is_new_tick=True)
        times.append((time.perf_counter_ns() - began) / 1_000)
        _require_right(answer, flow)
    return times


def _require_right(answer: dict[str, Any], flow: okx_flow.Flow) -> None:
    plain = flow.book(_DEPTH)
    asks = [(price, size * _CONTRACT) for price, size in plain["asks"]]
    mid = (plain["bids"][0][0] + asks[0][0]) / 2
    wanted = walked_bps(asks, mid, _QUANTITY)
    assert abs(answer["slippage_bps"] - wanted) < 1e-6, (answer["slippage_bps"], wanted)
    parts = answer["slippage_bps"] + answer["fees_bps"] + answer["market_impact_bps"]
    assert abs(answer["net_cost_bps"] - parts) < 1e-9
    sizes = [step["quantity_base"] for step in answer["schedule"]["steps"]]
    assert abs(sum(sizes) - _QUANTITY) < 1e-9


def main() -> None:
    engine_kit.quiet()
    protocol.ready()
    for question in protocol.questions():
        protocol.say({"us": estimates(question["count"])})


if __name__ == "__main__":
    main()
