from benchmarks.gated import gated


def row_of(samples, **changes):
    values = {"gate": 10.0, "guide": "20 us", "note": "checked"} | changes
    return gated("x.y", samples, **values)


def test_the_median_has_to_be_below_the_gate():
    assert row_of([9.0, 9.0, 500.0]).met
    assert not row_of([10.0]).met


def test_the_guides_own_figure_stands_in_the_note():
    assert row_of([1.0]).note == "guide's own 20 us; checked"


def test_a_slower_peer_gives_a_ratio_above_one():
    row = row_of([2.0], peer=("other", "1.0", [6.0, 6.0]))
    assert (row.peer, row.peer_version, row.peer_value, row.ratio, row.met) == (
        "other",
        "1.0",
        6.0,
        3.0,
        True,
    )


def test_a_gate_that_holds_is_not_enough_beside_a_faster_peer():
    row = row_of([2.0], peer=("other", "1.0", [1.5]))
    assert not row.met
    assert row.bar == "p50 < 10 us, faster than other"


def test_without_a_peer_nothing_is_compared():
    row = row_of([2.0], unit="ms")
    assert (row.peer, row.ratio, row.unit, row.bar) == (None, None, "ms p50", "p50 < 10 ms")
