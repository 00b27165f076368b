"""How a start of the venue follows the ones before it on the same state file."""

from decimal import Decimal

import pytest

from trading_system.cli.venue import VenuePlan
from trading_system.domain.errors import ConfigurationError
from trading_system.simulation.bybit_server.options import ServerOptions
from trading_system.simulation.state.entries import AccountState, Head, StakeState
from trading_system.simulation.state.saved import SavedAccount, SavedVenue

ZERO = Decimal(0)


def plan(path, *, seed=1, symbols=("BTCUSDT",)):
    return VenuePlan(
        market="synthetic",
        symbols=list(symbols),
        recordings=[],
        seed=seed,
        edge_bps=0.0,
        activity=1.0,
        speed=1.0,
        fill_model="queue",
        options=ServerOptions(),
        state=path,
    )


def long_position(symbol):
    stake = StakeState(
        symbol=symbol,
        leverage=Decimal(10),
        created_ms=1,
        updated_ms=1,
        lots=5,
        entry_value=Decimal(300),
        open_fee=ZERO,
        session_realised=ZERO,
        cumulative_realised=ZERO,
        opened_ms=1,
        sequence=1,
    )
    wallet = AccountState(account_id=1, cash=ZERO, realised=ZERO, fees=ZERO, funding=ZERO)
    return SavedAccount(wallet=wallet, stakes={symbol: stake})


def saved(head, **changes):
    return SavedVenue(head, {each.account_id: SavedAccount() for each in head.accounts}, **changes)


def first_id(venue):
    return venue.exchange._house._settlement._identifiers.uuid()


def test_first_start_has_the_accounts_of_its_seed(tmp_path):
    head = plan(tmp_path / "s").head(None)
    assert (head.generation, [each.api_key for each in head.accounts]) == (
        0,
        ["sim-key-1", "sim-key-2"],
    )


def test_next_start_keeps_accounts_even_under_another_seed(tmp_path):
    first = plan(tmp_path / "s").head(None)
    second = plan(tmp_path / "s", seed=9).head(saved(first))
    assert (second.generation, second.accounts) == (1, first.accounts)


def test_ids_of_two_starts_differ_and_prices_go_on(tmp_path):
    here = plan(tmp_path / "s")
    head = here.head(None)
    before = here.build(head, None)
    memory = saved(head, marks={"BTCUSDT": Decimal(50_000)})
    after = here.build(here.head(memory), memory)
    assert first_id(before) != first_id(after)
    for venue in (before, after):
        venue.prepare(1_700_000_000_000)
    assert abs(after.exchange.mark_price("BTCUSDT") - 50_000) < 100
    assert abs(before.exchange.mark_price("BTCUSDT") - 50_000) > 1000


def test_state_of_another_market_is_refused(tmp_path):
    head = Head(market="replay", seed=1, generation=0, accounts=[])
    with pytest.raises(ConfigurationError, match="--market replay"):
        plan(tmp_path / "s").head(saved(head))


def test_state_with_a_position_in_an_unlisted_symbol_is_refused(tmp_path):
    here = plan(tmp_path / "s")
    memory = saved(here.head(None))
    memory.accounts[1] = long_position("ETHUSDT")
    with pytest.raises(ConfigurationError, match="ETHUSDT"):
        here.build(memory.head, memory)
