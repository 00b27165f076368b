"""Stage latencies stand beside the guides' figures; the tick rate is that of full seconds."""

from trading_system.cost_simulator import stages
from trading_system.cost_simulator.stages import Stages, TickRate

S = 1_000_000_000


def test_a_stage_shows_percentiles_beside_the_guides_figure() -> None:
    figures = Stages()
    for us in range(1, 101):
        figures.record(stages.BOOK, us * 1000)
    row = figures.summary()["book_update"]
    assert (row["p50_us"], row["max_us"], row["guide_us"]) == (50.5, 100.0, 200.0)
    assert figures.newest_us()["book_update_us"] == 100.0


def test_a_stage_that_was_not_measured_has_no_figure() -> None:
    figures = Stages()
    assert set(figures.newest_us().values()) == {None}
    assert figures.summary()["maker_taker"]["p50_us"] is None


def test_the_rate_is_the_mean_over_full_seconds() -> None:
    rate = TickRate()
    assert rate.per_second(0) is None
    for i in range(40):
        rate.count(i * S // 20)
    assert rate.per_second(S // 2) is None
    assert rate.per_second(2 * S) == 20.0
    assert rate.per_second(60 * S) == 0.0
    assert rate.ticks == 40
