"""Kernels against oracles computed by hand, and against cache misfortune."""

import math
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from trading_system.market import kernels, kernels_plain

ROOT = Path(__file__).parents[3]
BOTH = pytest.mark.parametrize("kernel", [kernels, kernels_plain], ids=["compiled", "plain"])


def loaded(kernel, bids, asks, *, tick=0.1, step=1.0, depth=50, mode=kernels.SNAPSHOT):
    book, meta, update = kernels.allocate(depth)
    rows = [number for level in (*bids, *asks) for number in level]
    update[: 5 + len(rows)] = (tick, step, mode, len(bids), len(asks), *rows)
    return book, meta, update, kernel.apply_levels(book, meta, update)


@BOTH
def test_imbalance_of_the_worked_example_is_a_quarter_at_both_depths(kernel):
    book, meta, _, _ = loaded(kernel, [(99.9, 5), (99.8, 10)], [(100.1, 3), (100.2, 6)])
    assert kernel.imbalance(book, meta, 1) == 0.25
    assert kernel.imbalance(book, meta, 2) == 0.25
    mirror, mirror_meta, _, _ = loaded(kernel, [(99.9, 3), (99.8, 6)], [(100.1, 5), (100.2, 10)])
    assert kernel.imbalance(mirror, mirror_meta, 2) == -0.25


@BOTH
def test_microprice_of_the_worked_example_is_the_weighted_mid(kernel):
    book, meta, _, _ = loaded(kernel, [(99.9, 5)], [(100.1, 3)])
    assert kernel.microprice(book, meta) * 0.1 == pytest.approx(100.025, abs=1e-9)


@BOTH
def test_book_walk_of_the_worked_example(kernel):
    book, meta, _, _ = loaded(kernel, [(99.9, 1)], [(100.1, 2), (100.2, 3), (100.5, 10)])
    taken, mean, worst = kernel.walk(book, meta, 1, 6.0)
    assert (taken, worst) == (6.0, 1005)
    assert mean * 0.1 == pytest.approx(100.216667, abs=5e-7)
    assert (mean * 0.1 / 100 - 1) * 1e4 == pytest.approx(21.6667, abs=5e-5)


@BOTH
def test_walk_price_never_improves_with_size_and_stops_at_the_displayed_depth(kernel):
    book, meta, _, _ = loaded(kernel, [(99.9, 1)], [(100.1, 2), (100.2, 3), (100.5, 10)])
    means = [kernel.walk(book, meta, 1, lots / 4)[1] for lots in range(1, 80)]
    assert means == sorted(means)
    assert kernel.walk(book, meta, 1, 1e9)[0] == 15.0
    assert kernel.walk(book, meta, 0, 5.0)[::2] == (1.0, 999)


@BOTH
def test_empty_sides_have_no_measures(kernel):
    book, meta, _, applied = loaded(kernel, [], [])
    assert applied == (kernels.OK, 0, 0, 0, 0)
    assert math.isnan(kernel.imbalance(book, meta, 5))
    assert math.isnan(kernel.microprice(book, meta))
    taken, mean, worst = kernel.walk(book, meta, 0, 1.0)
    assert (taken, worst) == (0.0, 0)
    assert math.isnan(mean)


@BOTH
@pytest.mark.parametrize(
    ("bids", "asks", "mode", "status"),
    [
        ([(math.nan, 1)], [], kernels.DELTA, kernels.BAD_NUMBER),
        ([(99.9, math.inf)], [], kernels.DELTA, kernels.BAD_NUMBER),
        ([(99.9, -1)], [], kernels.DELTA, kernels.BAD_NUMBER),
        ([(0.0, 1)], [], kernels.DELTA, kernels.BAD_NUMBER),
        ([], [(-99.9, 1)], kernels.DELTA, kernels.BAD_NUMBER),
        ([], [(1e300, 1)], kernels.DELTA, kernels.BAD_NUMBER),
        ([(99.95, 1)], [], kernels.DELTA, kernels.OFF_GRID),
        ([(99.9, 1.5)], [], kernels.DELTA, kernels.OFF_GRID),
        ([(99.9001, 1)], [], kernels.DELTA, kernels.OFF_GRID),
        ([(99.9, 1e-9)], [], kernels.DELTA, kernels.ZERO_SIZE),
        ([(99.9, 0)], [], kernels.SNAPSHOT, kernels.ZERO_SIZE),
        ([(99.9, 1), (99.8, 1), (99.9, 1)], [], kernels.DELTA, kernels.DUPLICATE),
        ([(100.1, 1)], [(100.1, 1)], kernels.SNAPSHOT, kernels.CROSSED),
        ([(100.2, 1)], [(100.1, 1)], kernels.REPLACE, kernels.CROSSED),
        ([(99.0 - i, 1) for i in range(5)], [], kernels.DELTA, kernels.TOO_MANY),
    ],
)
def test_impossible_updates_are_refused_whole(kernel, bids, asks, mode, status):
    book, meta, update, _ = loaded(kernel, [(99.8, 7)], [(100.3, 9)], depth=2)
    before = (meta.copy(), book[meta[0] : meta[0] + 4, :1].copy())
    rows = [number for level in (*bids, *asks) for number in level]
    update[:5] = (0.1, 1.0, mode, len(bids), len(asks))
    update[5 : 5 + len(rows)] = rows[: len(update) - 5]
    assert kernel.apply_levels(book, meta, update) == (status, 0, 0, 0, 0)
    assert np.array_equal(meta, before[0])
    assert np.array_equal(book[meta[0] : meta[0] + 4, :1], before[1])


@BOTH
@pytest.mark.parametrize("tick", [0.1, 0.01, 1e-8, 0.05, 0.5, 25.0])
def test_every_price_near_the_largest_still_finds_its_tick(kernel, tick):
    for ticks in (1, 2**20 + 1, 2**40 + 1, 2**44):
        _, _, _, applied = loaded(kernel, [(ticks * tick, 1.0)], [], tick=tick)
        assert applied == (kernels.OK, ticks, 1, 0, 0)


@BOTH
def test_levels_beyond_the_depth_are_dropped_worst_first(kernel):
    bids = [(100.0 - i, 1 + i) for i in range(4)]
    book, meta, _, _ = loaded(kernel, bids[::-1], [], tick=1.0, depth=2)
    assert meta[1] == 2
    assert book[meta[0], :2].tolist() == [100, 99]
    assert book[meta[0] + 1, :2].tolist() == [1, 2]


def test_warm_compiles_exactly_what_the_book_calls():
    kernels.warm()
    compiled = [kernels.apply_levels, kernels.imbalance, kernels.microprice, kernels.walk]
    compiled.append(kernels.depth_lots)
    if kernels.IS_INTERPRETED:
        pytest.skip("numba is switched off")
    assert [len(kernel.signatures) for kernel in compiled] == [1] * len(compiled)


SMOKE = """
import sys
from decimal import Decimal
from trading_system.domain.instruments import Instrument
from trading_system.domain.orders import Side
from trading_system.market import kernels, warm
from trading_system.market.book import OrderBook
from trading_system.market.decode import BookMessage
warm.main()
one = Decimal(1)
book = OrderBook(Instrument(symbol="X", base_coin="X", quote_coin="Y", tick_size=Decimal("0.1"),
    qty_step=one, min_price=Decimal("0.1"), max_price=one * 1000, min_qty=one, max_qty=one,
    max_market_qty=one), depth=50)
book.apply(BookMessage.of(topic="orderbook.50.X", symbol="X", is_snapshot=True, update_id=7,
    sequence=7, ts_exchange_ns=1, bids=[(99.9, 5.0), (99.8, 10.0)],
    asks=[(100.1, 3.0), (100.2, 6.0)]), 1)
walk = book.walk(Side.BUY, 4.0)
print(kernels.IS_INTERPRETED, book.best_bid_ticks, book.imbalance(2), round(book.microprice(), 6),
    walk.filled_qty, book.depth_lots(Side.SELL, 9), book.levels(Side.BUY, 1))
"""


def smoke(tree, **environment):
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", SMOKE],
        cwd=tree,
        env={**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1", **environment},
        capture_output=True,
        text=True,
        check=False,
        timeout=100,
    )


def test_book_works_where_no_kernel_cache_can_be_written(tmp_path):
    # Files stand where folders would have to be made, which stops even the superuser.
    blocked = tmp_path / "blocked"
    blocked.touch()
    tree = tmp_path / "tree"
    for package in ("domain", "market"):
        shutil.copytree(
            ROOT / "trading_system" / package,
            tree / "trading_system" / package,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    shutil.copy(ROOT / "trading_system" / "__init__.py", tree / "trading_system")
    (tree / "trading_system" / "market" / "__pycache__").touch()
    nowhere = str(blocked / "cache")
    result = smoke(tree, NUMBA_CACHE_DIR=nowhere, HOME=nowhere, XDG_CACHE_HOME=nowhere)
    assert result.stderr == ""
    assert result.stdout == "False 999 0.25 100.025 4.0 9 [(999, 5)]\n"


def test_book_works_with_numba_switched_off():
    result = smoke(ROOT, NUMBA_DISABLE_JIT="1")
    assert result.stderr == ""
    assert result.stdout == "True 999 0.25 100.025 4.0 9 [(999, 5)]\n"


def test_kernel_cache_goes_where_the_environment_says(tmp_path):
    result = smoke(ROOT, NUMBA_CACHE_DIR=str(tmp_path))
    assert result.stderr == ""
    assert list(tmp_path.rglob("kernels.apply_levels*.nbi"))
