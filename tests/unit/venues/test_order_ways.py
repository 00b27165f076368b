import pytest

from trading_system.runtime.clock import ManualClock
from trading_system.venues.bybit.order_ways import OrderWays, Way

MS = 1_000_000


def ways(*, has_stream=True):
    clock = ManualClock()
    return OrderWays(clock=clock, has_stream=has_stream), clock


def answers(found, way, ms, count=9):
    for _ in range(count):
        found.note_answer(way, ms * MS)


def test_the_stream_is_preferred_before_anything_is_measured():
    found, _ = ways()
    assert found.choose(is_up=True) is Way.STREAM
    assert found.choose(is_up=False) is Way.REST
    view = found.view(is_up=True)
    assert (view.preferred, view.reason, view.stream.median_ms) == (Way.STREAM, "", None)
    assert found.view(is_up=False).reason == "the trade stream is down"


def test_an_environment_without_a_stream_uses_rest():
    found, _ = ways(has_stream=False)
    assert found.choose(is_up=True) is Way.REST
    assert "no trade stream" in found.view(is_up=False).reason


def test_a_clearly_slower_stream_loses_to_rest_and_gets_another_chance():
    found, clock = ways()
    answers(found, Way.REST, 20)
    answers(found, Way.STREAM, 80)
    assert found.choose(is_up=True) is Way.REST
    assert "80 ms, REST in 20 ms" in found.view(is_up=True).reason
    clock.advance(14.9)
    assert found.choose(is_up=True) is Way.REST
    clock.advance(0.2)
    assert found.choose(is_up=True) is Way.STREAM
    assert found.view(is_up=True).reason == ""
    answers(found, Way.STREAM, 20)
    assert found.choose(is_up=True) is Way.STREAM


@pytest.mark.parametrize(("rest_ms", "stream_ms"), [(20, 29), (2, 9), (50, 50), (80, 20)])
def test_a_little_slower_or_slower_by_noise_changes_nothing(rest_ms, stream_ms):
    found, _ = ways()
    answers(found, Way.REST, rest_ms)
    answers(found, Way.STREAM, stream_ms, count=40)
    assert found.choose(is_up=True) is Way.STREAM


def test_a_few_slow_answers_do_not_outweigh_the_median():
    found, _ = ways()
    answers(found, Way.REST, 20)
    answers(found, Way.STREAM, 5, count=12)
    answers(found, Way.STREAM, 500, count=5)
    assert found.choose(is_up=True) is Way.STREAM


def test_two_failures_in_a_row_lose_the_stream_its_preference():
    found, _ = ways()
    found.note_failure(Way.STREAM)
    found.note_answer(Way.STREAM, MS)
    found.note_failure(Way.STREAM)
    assert found.choose(is_up=True) is Way.STREAM
    found.note_failure(Way.STREAM)
    assert found.choose(is_up=True) is Way.REST
    found.note_failure(Way.STREAM)  # one that was under way: nothing new
    view = found.view(is_up=True)
    assert (view.changes, view.stream.failures) == (1, 4)


def test_each_pause_is_longer_until_the_stream_has_been_good_for_long():
    found, clock = ways()

    def pause_s():
        found.note_failure(Way.STREAM)
        found.note_failure(Way.STREAM)
        waited = 0
        while found.choose(is_up=True) is Way.REST:
            clock.advance(1.0)
            waited += 1
        return waited

    assert [pause_s() for _ in range(7)] == [15, 30, 60, 120, 240, 300, 300]
    clock.advance(601)
    assert pause_s() == 15


def test_failures_of_rest_are_counted_and_change_nothing():
    found, _ = ways()
    for _ in range(5):
        found.note_failure(Way.REST)
    found.note_sent(Way.REST)
    view = found.view(is_up=True)
    assert (view.preferred, view.rest.failures, view.rest.sent) == (Way.STREAM, 5, 1)
