from trading_system.venues.bybit.drift import SchemaDrift


def test_differences_are_counted_by_kind() -> None:
    drift = SchemaDrift()
    assert drift.text("x", "a") == "x"
    assert drift.total == 0
    assert drift.text(None, "a") == ""
    assert drift.text(None, "a") == ""
    assert drift.decimal("1e5", "b") is None
    assert dict(drift.counts) == {"a: missing": 2, "b: not a number": 1}
    assert drift.total == 3


def test_kinds_are_bounded_whatever_the_venue_sends() -> None:
    drift = SchemaDrift()
    for number in range(1_000):
        drift.note(f"{number} " + "x" * 500)
    assert len(drift.counts) == 101
    assert max(map(len, drift.counts)) == 60
    assert (drift.counts["other"], drift.total) == (900, 1_000)
