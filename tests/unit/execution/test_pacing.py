"""Cancels stay inside the venue's quota, and nobody is forgotten."""

from trading_system.execution.pacing import PERIOD_S, CancelPacer


def orders(count: int) -> list[tuple[str, str]]:
    return [("BTCUSDT", f"ts-{number}") for number in range(count)]


def test_ten_leave_per_period_and_those_never_asked_for_come_first() -> None:
    pacer, wanted = CancelPacer(again_s=0.0), orders(15)
    assert pacer.take(wanted, now_s=0.0) == wanted[:10]
    assert pacer.take(wanted, now_s=1.0) == []
    assert pacer.take(wanted, now_s=PERIOD_S) == wanted[10:] + wanted[:5]


def test_the_same_order_is_asked_for_again_only_after_a_while() -> None:
    pacer, wanted = CancelPacer(again_s=1.1), orders(2)
    assert pacer.take(wanted[:1], now_s=0.0) == wanted[:1]
    assert pacer.take(wanted, now_s=0.5) == wanted[1:]
    assert pacer.take(wanted, now_s=1.2) == wanted[:1]
    assert pacer.take([], now_s=9.0) == []
