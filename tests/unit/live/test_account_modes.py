"""What a start learns of account and key before the first order, and what it refuses."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from bybit_rig import FakeTransport, listing, ok, refused, signer
from bybit_rows import FLAT, WALLET
from engine_rig import BTC, Rig

from trading_system.config.settings import load_settings
from trading_system.domain.errors import ConfigurationError
from trading_system.domain.orders import Fill, OrderReport, PositionReport
from trading_system.live.access import Access
from trading_system.live.connection import VenueConnection
from trading_system.live.reconciler import Reconciler
from trading_system.risk.limits import TradingState
from trading_system.runtime.clock import ManualClock
from trading_system.venues.bybit.hosts import Endpoints
from trading_system.venues.bybit.streams import StreamCallbacks

S = "BTCUSDT"
QUIET = StreamCallbacks(
    on_frame=lambda _frame, _at: None, on_up=lambda: None, on_down=lambda _why: None
)
KEY: dict[str, Any] = {
    "userID": 1,
    "readOnly": 0,
    "permissions": {"ContractTrade": ["Order", "Position"], "Wallet": []},
}
DERIVATIVES = {"product": "DERIVATIVES", "dcpStatus": "ON", "timeWindow": "10"}
HEDGED = ({**FLAT, "symbol": S, "positionIdx": 1}, {**FLAT, "symbol": S, "positionIdx": 2})


def venue_of(tmp_path: Path, **settings: object) -> tuple[VenueConnection, FakeTransport]:
    nowhere = tmp_path / "nothing"
    given = {"data_dir": str(tmp_path), **{k.replace("__", "."): v for k, v in settings.items()}}
    loaded = load_settings(given, environ={}, dotenv_path=nowhere, config_path=nowhere)
    ws = "ws://127.0.0.1:1"
    endpoints = Endpoints(rest="http://127.0.0.1:1", public_ws=ws, private_ws=ws)
    access = Access(endpoints=endpoints, signer=signer(), account="test-1")
    venue = VenueConnection(loaded, access, clock=ManualClock())
    transport = FakeTransport()
    transport.answer("/v5/market/time", ok({"timeSecond": "0", "timeNano": "0"}))
    transport.answer("/v5/account/fee-rate", refused(10017))
    transport.answer("/v5/position/list", listing({**FLAT, "symbol": S}))
    transport.answer("/v5/user/query-api", ok(KEY))
    transport.answer("/v5/account/query-dcp-info", ok({"dcpInfos": []}))
    transport.answer("/v5/account/wallet-balance", listing(WALLET))
    venue.rest._transport = transport

    async def instrument(_symbol: str) -> object:
        return BTC

    venue.gateway.instrument = instrument  # type: ignore[method-assign,assignment]  # not the subject
    return venue, transport


def topics(venue: VenueConnection) -> tuple[str, ...]:
    return tuple(venue.private_stream(QUIET)._subscriptions.topics)


async def test_a_plain_account_is_one_way_and_has_no_cancel_on_disconnect(tmp_path: Path) -> None:
    venue, _ = venue_of(tmp_path)
    account = await venue.load([S])
    assert (account.hedged, account.disconnect.is_armed) == (frozenset(), False)
    assert not account.is_sub_account
    assert "dcp.future" not in topics(venue)


async def test_hedge_mode_is_taken_as_it_is(tmp_path: Path) -> None:
    venue, transport = venue_of(tmp_path)
    transport.answer("/v5/position/list", listing(*HEDGED))
    account = await venue.load([S])
    assert account.hedged == {S}
    assert {sent.method for sent in transport.sent} == {"GET"}, "nothing was switched"


async def test_quotes_in_hedge_mode_are_refused_with_the_remedy(tmp_path: Path) -> None:
    venue, transport = venue_of(tmp_path, strategy__name="market-maker")
    await venue.load([S])
    transport.answer("/v5/position/list", listing(*HEDGED))
    with pytest.raises(ConfigurationError, match=r"BTCUSDT is in hedge mode.*one-way mode at"):
        await venue.load([S])


async def test_cancel_on_disconnect_is_armed_by_following_its_topic(tmp_path: Path) -> None:
    venue, transport = venue_of(tmp_path)
    transport.answer("/v5/account/query-dcp-info", ok({"dcpInfos": [DERIVATIVES]}))
    account = await venue.load([S])
    assert account.disconnect.window_s == 10
    assert "dcp.future" in topics(venue)


async def test_a_wanted_window_is_asked_for_once(tmp_path: Path) -> None:
    venue, transport = venue_of(tmp_path, bybit__dcp_window_s=40)
    transport.answer("/v5/account/query-dcp-info", ok({"dcpInfos": [DERIVATIVES]}))
    transport.answer("/v5/order/disconnected-cancel-all", ok({}))
    assert (await venue.load([S])).disconnect.window_s == 40
    assert sum(sent.method == "POST" for sent in transport.sent) == 1
    venue, transport = venue_of(tmp_path, bybit__dcp_window_s=10)
    transport.answer("/v5/account/query-dcp-info", ok({"dcpInfos": [DERIVATIVES]}))
    assert (await venue.load([S])).disconnect.window_s == 10
    assert all(sent.method == "GET" for sent in transport.sent)


async def test_a_window_that_the_account_cannot_have_is_the_users_mistake(tmp_path: Path) -> None:
    venue, transport = venue_of(tmp_path, bybit__dcp_window_s=40)
    transport.answer("/v5/order/disconnected-cancel-all", refused(10001))
    with pytest.raises(ConfigurationError, match="leave TRADING_BYBIT__DCP_WINDOW_S empty"):
        await venue.load([S])


def rights(*wallet: str) -> dict[str, Any]:
    return {**KEY, "permissions": {**KEY["permissions"], "Wallet": list(wallet)}}


@pytest.mark.parametrize(
    ("key", "settings", "says"),
    [
        (rights("Withdraw"), {}, "Withdraw"),
        (rights("Withdraw"), {"bybit__allow_transfer": True}, "Withdraw"),
        (rights("AccountTransfer"), {}, "AccountTransfer"),
        (rights("SubMemberTransfer"), {}, "SubMemberTransfer"),
        ({**KEY, "readOnly": 1}, {}, "read-only"),
    ],
)
async def test_a_key_with_rights_that_it_must_not_have_is_refused_at_the_start(
    tmp_path: Path, key: dict[str, Any], settings: dict[str, object], says: str
) -> None:
    venue, transport = venue_of(tmp_path, **settings)
    transport.answer("/v5/user/query-api", ok(key))
    with pytest.raises(ConfigurationError, match=says):
        await venue.load([S])


async def test_a_transfer_right_can_be_allowed_and_a_sub_account_is_known(tmp_path: Path) -> None:
    venue, transport = venue_of(tmp_path, bybit__allow_transfer=True)
    transport.answer("/v5/user/query-api", ok({**rights("AccountTransfer"), "parentUid": "77"}))
    assert (await venue.load([S])).is_sub_account


# --- the comparison with the venue -------------------------------------------------------------


class Held:
    """Answers with the positions that a test set."""

    def __init__(self, *quantities: tuple[int, str]) -> None:
        self.quantities = quantities

    async def positions(self) -> list[PositionReport]:
        return [
            PositionReport(
                symbol=S,
                quantity=Decimal(quantity),
                entry_price=Decimal(50_000),
                ts_exchange_ns=0,
                stop_price=Decimal(index),
                position_idx=index,
            )
            for index, quantity in self.quantities
        ]

    async def open_orders(self) -> list[OrderReport]:
        return []

    async def executions_since(self, start_ms: int) -> list[Fill]:
        return []


async def test_both_sides_are_adopted_and_compared_apart() -> None:
    rig = Rig(hedged=[S])
    venue = Held((1, "0.3"), (2, "-0.1"))
    reconciler = Reconciler(venue, portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock)
    await reconciler.adopt()
    assert [stake.quantity for stake in rig.portfolio.stakes_of(S)] == [
        Decimal("0.3"),
        Decimal("-0.1"),
    ]
    assert await reconciler.compare() is True
    assert reconciler.venue == reconciler.local() == {S: Decimal("0.2")}
    assert reconciler.venue_stops == {S: Decimal(1)}, "that of the larger side"


async def test_sides_that_differ_while_their_sum_agrees_are_a_difference() -> None:
    rig = Rig(hedged=[S])
    venue = Held((1, "0.3"), (2, "-0.1"))
    reconciler = Reconciler(venue, portfolio=rig.portfolio, engine=rig.engine, clock=rig.clock)
    await reconciler.adopt()
    venue.quantities = ((1, "0.2"),)
    await reconciler.check()
    assert reconciler.positions_agree is False
    assert rig.engine.state is TradingState.REDUCING
