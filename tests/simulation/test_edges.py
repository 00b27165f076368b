"""Whether the system trades where a trade pays, and only there: the whole decision in virtual time.

Without an edge no order is sent; with the default edge the system trades and earns before fees;
with its sign flipped, or with the relation between flow and price turned round, it follows.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Sequence

import pytest
from virtual_desk import Record, Trade, virtual_run

# Heavy work on code that its unit tests cover: measuring it here would only double the time.
pytestmark = pytest.mark.no_cover

EDGE_BPS = 25.0
TRADED_S = 60.0
NOISE_S = 180.0
TURNED_S = 120.0
SAME_S = 1.0
TURN_S = 60.0
"""Virtual time after which every slope must have turned; a measured run took 41 s at most."""
SEEDS = range(1, 7)


@pytest.fixture(scope="module")
def traded() -> dict[int, Record]:
    """Return one minute of the default market per seed."""
    return {seed: virtual_run(seed=seed, edge_bps=EDGE_BPS, seconds=TRADED_S) for seed in SEEDS}


@pytest.fixture(scope="module")
def flipped() -> dict[int, Record]:
    """Return one minute of the market's mirror image per seed."""
    return {seed: virtual_run(seed=seed, edge_bps=-EDGE_BPS, seconds=TRADED_S) for seed in SEEDS}


def trades_in(records: Iterable[Record]) -> list[Trade]:
    return [trade for record in records for trade in record.trades]


def mean_gross_bps(trades: Sequence[Trade]) -> float:
    return statistics.mean(trade.gross_bps for trade in trades)


def is_settled(record: Record) -> bool:
    return record.local == record.at_venue and record.open_orders == 0


@pytest.mark.parametrize("seed", range(101, 106))
def test_without_edge_no_order_is_sent(seed: int) -> None:
    record = virtual_run(seed=seed, edge_bps=0.0, seconds=NOISE_S)
    assert record.orders == 0
    assert record.decisions == []
    # The agents had spoken: there was something to refuse.
    assert record.opinions > 1_000
    assert record.best_edge_bps < 0


def test_with_the_default_edge_every_seed_trades_and_they_earn_before_fees(
    traded: dict[int, Record],
) -> None:
    assert all(record.entries for record in traded.values())
    assert all(is_settled(record) for record in traded.values())
    trades = trades_in(traded.values())
    assert len(trades) >= 15
    assert mean_gross_bps(trades) > 11.0  # more than two taker fees: positive after them too
    assert statistics.mean(trade.net_bps for trade in trades) > 0


def test_every_entry_states_that_it_pays_its_costs(traded: dict[int, Record]) -> None:
    for record in traded.values():
        for entry in record.entries:
            assert entry.move_bps * entry.parent.side.sign > 11.0
            assert "bps after costs" in entry.parent.purpose


def test_the_first_order_comes_within_seconds_of_the_first_data(
    traded: dict[int, Record], flipped: dict[int, Record]
) -> None:
    firsts = [each.first_order_s for each in (*traded.values(), *flipped.values())]
    waits = sorted(wait for wait in firsts if wait is not None)
    assert len(waits) == 2 * len(SEEDS)
    assert waits[0] > 1.5  # nothing is believed before outcomes have matured
    assert statistics.median(waits) <= 6.0


def test_with_the_sign_flipped_the_entries_follow(
    traded: dict[int, Record], flipped: dict[int, Record]
) -> None:
    # The flipped market mirrors price and book together.
    assert all(record.entries for record in flipped.values())
    assert all(is_settled(record) for record in flipped.values())
    assert mean_gross_bps(trades_in(flipped.values())) > 11.0
    pairs = [
        (plain.parent.side, mirrored.parent.side)
        for seed in SEEDS
        for plain in traded[seed].entries
        for mirrored in flipped[seed].entries
        if plain.parent.symbol == mirrored.parent.symbol
        and abs(plain.at_s - mirrored.at_s) <= SAME_S
    ]
    assert len(pairs) >= 2 * len(SEEDS)
    assert statistics.mean(mirrored is plain.opposite for plain, mirrored in pairs) >= 0.95


def test_the_same_seed_gives_the_same_decisions_byte_for_byte(traded: dict[int, Record]) -> None:
    again = virtual_run(seed=1, edge_bps=EDGE_BPS, seconds=TRADED_S)
    assert again.journal() == traded[1].journal()
    assert again.trades == traded[1].trades
    assert traded[1].journal() != traded[2].journal()


@pytest.mark.parametrize("seed", range(1, 6))
def test_where_flow_means_the_opposite_the_calibration_turns_and_no_entry_goes_against_it(
    seed: int,
) -> None:
    record = virtual_run(seed=seed, edge_bps=EDGE_BPS, seconds=TURNED_S, mirrored_from_s=0.0)
    late = [slopes for at_s, slopes in record.slopes if at_s >= TURN_S]
    assert len(late) > 50
    assert all(slope < 0 for slopes in late for slope in slopes.values())
    # A trained model's word is taken for its opposite, in every entry.
    assert record.entries
    assert all(entry.raw_bps * entry.parent.side.sign < 0 for entry in record.entries)
    assert is_settled(record)


def test_entries_go_with_the_trained_score_where_the_market_confirms_it(
    traded: dict[int, Record], flipped: dict[int, Record]
) -> None:
    for record in (*traded.values(), *flipped.values()):
        assert all(entry.raw_bps * entry.parent.side.sign > 0 for entry in record.entries)
