import pytest

from benchmarks.live_rows import Block, cost_row, described, watch_row

SEEN = {"frames": {"market:BTCUSDT": 40, "status": 8, "log": 0}, "reads": 10, "seconds": 4.0}


def pairs_of(*ratios, cpu_s=0.0):
    return [
        (Block([100.0] * 9, 1.0, 4.0), Block([100.0 * r] * 9, 1.0 + cpu_s, 4.0)) for r in ratios
    ]


def test_the_row_is_judged_by_the_median_of_the_pairs():
    row = cost_row(pairs_of(1.0, 1.1, 1.12, 1.14, 9.0), seen="")
    assert (row.ratio, row.met) == (1.12, True)
    assert not cost_row(pairs_of(1.0, 1.1, 1.16, 1.2, 1.3), seen="").met


def test_the_row_shows_both_medians_and_every_ratio():
    row = cost_row(pairs_of(1.1, 1.1, 1.1), seen="20 frames per s")
    assert (row.value, row.peer_value) == (pytest.approx(110.0), 100.0)
    assert "ratios 1.100, 1.100, 1.100; 20 frames per s" in row.note


def test_the_client_costs_what_the_process_used_more_for_as_many_ticks():
    assert "costs 5.0 % of a core" in cost_row(pairs_of(1.0, cpu_s=0.2), seen="").note


def test_the_row_of_the_watch_is_its_mean_and_share_of_a_core():
    row = watch_row([9_000.0] * 10, [500.0] * 9 + [6_000.0])
    assert (row.value, row.p50, row.met) == (1_050.0, 9_000.0, True)
    assert row.note.startswith("0.210 % of a core")
    assert not watch_row([1_600.0], [1_600.0]).met


def test_what_the_client_got_is_told_per_second():
    assert described([SEEN, SEEN]) == "10.0 market and 2.0 other frames, 2.5 reads per s"


def test_a_client_that_was_sent_nothing_makes_no_row():
    with pytest.raises(AssertionError, match="not kept up to date"):
        described([{"frames": {}, "reads": 1, "seconds": 4.0}])
