import pytest

from benchmarks import gates


def test_percentiles_are_held_below_their_limits():
    judge = gates._below(p50=10, p95=100)
    assert judge([5.0] * 100) == ("p50 5 us, p95 5 us", True)
    assert judge([5.0] * 90 + [2_500.0] * 10) == ("p50 5 us, p95 2.5 ms", False)


@pytest.mark.parametrize(("served", "met"), [([1, 1, 2, 3], True), ([1, 2, 1, 3], False)])
def test_one_inversion_breaks_the_order_of_service(served, met):
    assert gates._in_order(served)[1] is met


@pytest.mark.parametrize(("sent", "met"), [([1.0, 1.0], True), ([1.0, 2.0], False), ([0.0], False)])
def test_a_request_is_sent_exactly_once(sent, met):
    assert gates._once(sent)[1] is met
