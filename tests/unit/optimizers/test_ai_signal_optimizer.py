from __future__ import annotations

import asyncio
import dataclasses
import json
import threading

import pytest
from stub_agents import BTC, SECOND, SlowAgent, StubAgent, features
from virtual_time import in_virtual_time

from optimizers.ai_signal_optimizer import AISignalOptimizer
from trading_system.config.sections import OptimizationSettings
from trading_system.domain.errors import ValidationError
from trading_system.evaluation.sessions import SyntheticPlan, decisions
from trading_system.runtime.clock import ManualClock

MARKET = {
    "price": "50000",
    "bids": [["49999.5", "3"], ["49999.0", "5"]],
    "asks": [["50000.5", "1"], ["50001.0", "2"]],
    "volume": 1234.5,
}


def optimizer(*agents, clock=None, **settings) -> AISignalOptimizer:
    return AISignalOptimizer(
        OptimizationSettings(**settings),
        agents=lambda _symbol: list(agents),
        clock=clock or ManualClock(),
    )


def pair(p_up: float = 0.7) -> list[StubAgent]:
    return [StubAgent("a", p_up), StubAgent("b", p_up)]


async def ask(face: AISignalOptimizer, data=None, **more):
    return await face.get_optimized_signal(BTC, MARKET if data is None else data, **more)


def test_three_agents_of_which_one_is_late_return_at_the_deadline_with_two() -> None:
    async def work(loop):
        agents = [
            SlowAgent("a", delay_s=0.1),
            SlowAgent("b", delay_s=0.1),
            SlowAgent("c", delay_s=5.0),
        ]
        face = optimizer(*agents, clock=loop, request_timeout=1.0)
        return await ask(face, priority=3)

    result = in_virtual_time(work)
    assert result.models_used == ["a", "b"]
    assert result.processing_time_ms == pytest.approx(1000.0)
    assert result.consensus_result.final_signal == "BUY"
    assert result.consensus_result.disagreement_details["failed"] == {"c": "late"}


def test_slow_agents_work_side_by_side_up_to_the_limit() -> None:
    async def work(loop, limit):
        agents = [SlowAgent(name, delay_s=1.0) for name in "abcd"]
        face = optimizer(*agents, clock=loop, max_concurrent_requests=limit)
        return (await ask(face, priority=3)).processing_time_ms

    assert in_virtual_time(lambda loop: work(loop, 4)) == pytest.approx(1000.0)
    assert in_virtual_time(lambda loop: work(loop, 2)) == pytest.approx(2000.0)


@pytest.mark.parametrize(
    ("p_ups", "signal"),
    [
        ((0.7, 0.7), "BUY"),
        ((0.3, 0.3), "SELL"),
        ((0.5, 0.5), "NONE"),
        ((0.7, 0.3), "NONE"),
        ((0.7, None), "NONE"),
        ((None, None), "NONE"),
    ],
)
async def test_votes_decide_the_signal(p_ups, signal) -> None:
    agents = [StubAgent(f"agent {i}", p_up) for i, p_up in enumerate(p_ups)]
    found = (await ask(optimizer(*agents), priority=3)).consensus_result
    assert found.final_signal == signal
    assert all((value is None) == (signal == "NONE") for value in found.recommended_params.values())
    assert sum(found.consensus_votes.values()) == 3  # positioning is the third
    assert 0.0 <= found.confidence_avg <= 1.0


async def test_a_result_is_json_safe_and_a_callers_own() -> None:
    face = optimizer(*pair(), StubAgent("c", error=RuntimeError("broken")))
    first = await ask(face, priority=3)
    json.dumps(dataclasses.asdict(first), allow_nan=False)
    first.consensus_result.consensus_votes.clear()
    again = await ask(face, priority=3)
    assert again.cache_hits == 1
    assert again.consensus_result.consensus_votes == {"BUY": 2, "SELL": 0, "NONE": 2}


async def test_every_key_of_the_metrics_is_there_before_the_first_request() -> None:
    face = optimizer(*pair())
    before = face.get_optimization_metrics()
    await ask(face)
    after = face.get_optimization_metrics()
    for section in ("overall_metrics", "cache_metrics", "load_balancing", "recent_performance"):
        assert before[section].keys() == after[section].keys()
    assert before["overall_metrics"]["total_requests"] == 0
    assert before["overall_metrics"]["avg_processing_time_ms"] is None
    assert after["overall_metrics"]["total_requests"] == 1
    assert set(after["model_performance"]) == {"a", "b", "positioning"}
    assert {
        "avg_response_time_ms",
        "success_rate",
        "total_requests",
        "cache_hit_rate",
        "weight",
    } <= (after["model_performance"]["a"].keys())
    json.dumps([before, after], allow_nan=False)


async def test_the_reported_hit_rate_is_the_counted_one() -> None:
    clock = ManualClock()
    agents = pair()
    face = optimizer(*agents, clock=clock)
    hits = 0
    for step in range(100):
        clock.advance(0.25)
        hits += (await ask(face, features(step / 4.0))).optimization_metadata["from_cache"]
    metrics = face.get_optimization_metrics()
    assert hits == 75
    assert metrics["cache_metrics"]["cache_hit_rate"] == pytest.approx(hits / 100)
    assert metrics["overall_metrics"]["total_requests"] == 100
    assert agents[0].asked == 25


async def test_most_requests_on_the_synthetic_market_are_answered_from_the_cache() -> None:
    clock = ManualClock()
    face = optimizer(
        StubAgent("a"), StubAgent("b", lambda now: 0.5 + now.imbalance / 4), clock=clock
    )
    hits = requests = 0
    for now in decisions(SyntheticPlan(symbols=(BTC,)).venue(1), seconds=20):
        clock.advance((now.ts_ns - clock.monotonic_ns()) / SECOND)
        hits += (await ask(face, now)).optimization_metadata["from_cache"]
        requests += 1
    assert requests > 100
    assert hits / requests > 0.6
    assert face.get_optimization_metrics()["cache_metrics"]["cache_hit_rate"] == hits / requests


async def test_a_cached_value_ends_with_its_validity_below_the_ceiling() -> None:
    clock = ManualClock()
    face = optimizer(StubAgent("a", validity_s=2.0), StubAgent("b", validity_s=900.0), clock=clock)
    await ask(face)
    clock.advance(1.9)
    assert (await ask(face)).optimization_metadata["from_cache"]
    clock.advance(0.2)
    renewed = await ask(face)
    assert not renewed.optimization_metadata["from_cache"]
    assert renewed.cache_hits == 1  # the other opinion was still valid


async def test_the_ceiling_ends_what_would_be_valid_longer() -> None:
    clock = ManualClock()
    agents = [StubAgent("a", validity_s=900.0), StubAgent("b", validity_s=900.0)]
    face = optimizer(*agents, clock=clock, cache_ttl=10.0)
    await ask(face)
    clock.advance(10.0)
    assert (await ask(face)).cache_hits == 0


async def test_another_priority_reuses_the_opinions() -> None:
    agents = pair()
    face = optimizer(*agents)
    await ask(face, priority=2)
    third = await ask(face, priority=3)
    assert third.cache_hits == 2
    assert agents[0].asked == 1
    assert not third.optimization_metadata["from_cache"]


async def test_without_the_cache_every_request_asks() -> None:
    agents = pair()
    face = optimizer(*agents)
    for _ in range(3):
        assert (await ask(face, use_cache=False)).cache_hits == 0
    assert agents[0].asked == 3
    assert face.get_optimization_metrics()["cache_metrics"]["cache_hit_rate"] is None


async def test_clearing_and_a_reset_of_the_panel_invalidate() -> None:
    agents = pair()
    face = optimizer(*agents)
    await ask(face)
    face.clear_cache()
    assert (await ask(face)).cache_hits == 0
    face.panel(BTC).reset()
    assert (await ask(face)).cache_hits == 0
    assert face.get_optimization_metrics()["cache_metrics"]["invalidations"] > 0


def test_equal_requests_at_the_same_time_compute_once() -> None:
    async def work(loop):
        slow = [SlowAgent("a", delay_s=0.2), SlowAgent("b", delay_s=0.2)]
        face = optimizer(*slow, clock=loop)
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(ask(face, priority=3)) for _ in range(5)]
        return slow[0].asked, [task.result().consensus_result for task in tasks]

    asked, results = in_virtual_time(work)
    assert asked == 1
    assert results == [results[0]] * 5


def test_a_reset_during_the_computation_keeps_the_old_consensus_out_of_the_cache() -> None:
    async def work(loop):
        face = optimizer(SlowAgent("a", delay_s=1.0), SlowAgent("b", delay_s=1.0), clock=loop)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(ask(face, priority=3))
            await asyncio.sleep(0.5)
            face.panel(BTC).reset()
        assert task.result().consensus_result.final_signal == "BUY"
        return face.get_optimization_metrics()["cache_metrics"]["hits"], (
            (await ask(face, priority=3)).optimization_metadata["from_cache"]
        )

    assert in_virtual_time(work) == (0, False)


async def test_the_cache_never_holds_more_than_a_hundred_entries() -> None:
    face = optimizer(*pair())
    for step in range(150):
        await ask(face, features(mid=50_000.0 + 10 * step))
    assert face.get_optimization_metrics()["cache_metrics"]["cache_size"] <= 100


async def test_priority_one_asks_quick_agents_only() -> None:
    clock = ManualClock()
    tired = StubAgent("tired", on_call=lambda: clock.advance(0.002))
    face = optimizer(*pair(), tired, SlowAgent("slow", delay_s=0.0), clock=clock)
    first = await ask(face, priority=1, use_cache=False)
    assert "slow" not in first.load_balancing_info["selected"]
    second = await ask(face, priority=1, use_cache=False)
    assert second.load_balancing_info["selected"] == ["a", "b", "positioning"]


async def test_priority_two_takes_the_two_quickest_of_equal_weight_and_different_families() -> None:
    clock = ManualClock()

    def lasting(name: str, seconds: float, family: str) -> StubAgent:
        return StubAgent(name, family=family, on_call=lambda: clock.advance(seconds))

    agents = [lasting("a", 3e-4, "x"), lasting("b", 1e-4, "y"), lasting("c", 2e-4, "y")]
    face = optimizer(*agents, clock=clock)
    await ask(face, priority=3, use_cache=False)
    found = await ask(face, priority=2, use_cache=False)
    assert found.models_used == ["a", "b"]
    assert found.optimization_metadata["has_quorum"]


async def test_a_heavy_agent_works_off_the_loop_and_a_quick_one_on_it() -> None:
    before = set(threading.enumerate())
    threads: list[str] = []
    agent = StubAgent("a", on_call=lambda: threads.append(threading.current_thread().name))
    face = optimizer(agent, StubAgent("b"))
    await ask(face, priority=3, use_cache=False)
    await ask(face, priority=3, use_cache=False)
    assert threads[0].startswith("signals")
    assert threads[1] == threading.main_thread().name
    await face.cleanup()
    await face.cleanup()
    assert set(threading.enumerate()) <= before


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        ({}, "no price"),
        ({"price": "nan"}, "no price"),
        ({"price": 50_000}, "needs spread_bps"),
        ({"bid": 50_001, "ask": 50_000}, "crossed"),
        ({"order_book": [1, 2]}, "no mapping"),
    ],
)
async def test_unusable_market_data_is_no_signal_with_a_reason(data, reason) -> None:
    agents = pair()
    for agent in agents:
        agent.requires = ("mid", "spread_bps")
    found = await ask(optimizer(*agents), data, priority=3)
    assert found.consensus_result.final_signal == "NONE"
    assert reason in found.consensus_result.thesis_combined
    json.dumps(dataclasses.asdict(found), allow_nan=False)


async def test_features_that_are_no_numbers_are_refused_and_counted_as_failure() -> None:
    face = optimizer(*pair())
    found = await ask(face, features(imbalance=float("nan")))
    assert "imbalance" in found.consensus_result.thesis_combined
    assert face.get_optimization_metrics()["recent_performance"]["last_10_success_rate"] == 0.0
    assert face.get_optimization_metrics()["overall_metrics"]["failed_requests"] == 1


async def test_live_features_supply_what_a_request_leaves_out_while_they_are_fresh() -> None:
    clock = ManualClock()
    clock.advance(100.0)
    agents = pair()
    for agent in agents:
        agent.requires = ("order_flow",)
    face = optimizer(*agents, clock=clock)
    face.panel(BTC).decide(features(99.0, order_flow=0.4))
    await ask(face, {"price": 50_010.0})
    assert (agents[0].seen[-1].order_flow, agents[0].seen[-1].mid) == (0.4, 50_010.0)
    clock.advance(4.0)
    late = await ask(face, {"price": 50_020.0})
    assert late.models_used == []


async def test_a_live_panel_never_sees_the_future_of_a_request() -> None:
    clock = ManualClock()
    clock.advance(100.0)
    agents = pair()
    face = optimizer(*agents, clock=clock)
    face.panel(BTC).decide(features(100.0))
    await ask(face, features(10_000.0))
    assert agents[0].seen[-1].ts_ns == 100 * SECOND


async def test_a_request_about_the_past_teaches_nothing() -> None:
    agents = pair()
    face = optimizer(*agents)
    await ask(face, features(100.0))
    await ask(face, features(50.0, mid=60_000.0))
    assert [seen.ts_ns for seen in agents[0].seen] == [100 * SECOND]


async def test_extreme_positioning_adds_a_vote_against_the_crowd() -> None:
    face = optimizer(*pair(0.55))
    quiet = await ask(face, priority=3, institutional_data={"funding_rate": 0.0001})
    crowded = await ask(
        face,
        priority=3,
        institutional_data={"funding_rate": "0.002", "long_short_ratio": 4, "basis_bps": None},
    )
    assert "positioning" not in quiet.models_used
    assert "positioning" in crowded.models_used
    assert crowded.optimization_metadata["p_up"] < quiet.optimization_metadata["p_up"]


async def test_wrong_arguments_are_refused() -> None:
    face = optimizer(*pair())
    with pytest.raises(ValidationError, match="priority"):
        await ask(face, priority=4)
    with pytest.raises(ValidationError, match="ETHUSDT"):
        await ask(face, features()._replace(symbol="ETHUSDT"))
    with pytest.raises(ValidationError, match="empty"):
        face.panel("")


async def test_settings_change_behaviour_after_construction_too() -> None:
    face = optimizer(*pair(), cache_ttl=60.0, max_concurrent_requests=2, request_timeout=3.0)
    assert (face.cache_ttl, face.max_concurrent_requests, face.request_timeout) == (60.0, 2, 3.0)
    face.max_concurrent_requests = 3
    face.request_timeout = 0.5
    found = await ask(face)
    assert found.optimization_metadata["agent_deadline_s"] == 0.5
    assert face.get_optimization_metrics()["load_balancing"]["max_concurrent_requests"] == 3


async def test_agents_may_be_given_by_name() -> None:
    face = AISignalOptimizer(
        agents={"a": lambda _symbol: StubAgent("a"), "b": lambda _symbol: StubAgent("b")},
        clock=ManualClock(),
    )
    assert (await ask(face)).models_used == ["a", "b"]


async def test_the_optimizer_finds_its_agents_without_an_argument() -> None:
    face = AISignalOptimizer()
    found = await ask(face, priority=3)
    assert found.consensus_result.final_signal in {"BUY", "SELL", "NONE"}
    assert face.get_optimization_metrics()["status"] == "active"
    await face.cleanup()


async def test_same_requests_give_the_same_bytes() -> None:
    async def run() -> str:
        face = optimizer(*pair(0.61), StubAgent("c", 0.4))
        results = [
            await ask(face, features(float(step), mid=50_000.0 + step)) for step in range(30)
        ]
        return json.dumps([dataclasses.asdict(result) for result in results])

    assert await run() == await run()


async def test_a_hanging_agent_is_given_up_at_the_deadline_and_not_called_twice() -> None:
    leave = threading.Event()
    hanging = StubAgent("hanging", on_call=lambda: leave.wait(20.0))
    face = optimizer(*pair(), hanging, request_timeout=0.05)
    first = await ask(face, priority=3, use_cache=False)
    second = await ask(face, priority=3, use_cache=False)
    face.panel(BTC).decide(features(200.0))
    leave.set()
    assert first.consensus_result.disagreement_details["failed"] == {"hanging": "late"}
    assert first.models_used == ["a", "b"]
    assert "busy" in second.consensus_result.disagreement_details["failed"]["hanging"]
    assert hanging.asked == 1
    await face.cleanup()


async def test_a_silent_panel_is_no_signal_because_nobody_has_a_view() -> None:
    found = await ask(optimizer(StubAgent("a", None)), priority=3)
    assert "no agent has a view (a abstained; positioning abstained)" in (
        found.consensus_result.thesis_combined
    )


async def test_no_agent_fit_for_an_emergency_is_no_signal_with_a_reason() -> None:
    clock = ManualClock()
    tired = StubAgent("tired", on_call=lambda: clock.advance(0.002))
    face = optimizer(tired, clock=clock)
    await ask(face, priority=3, use_cache=False)
    found = await ask(face, priority=1, use_cache=False)
    assert found.consensus_result.final_signal == "NONE"
    assert "tired" not in found.load_balancing_info["selected"]


async def test_agents_that_name_no_needs_are_not_asked_without_a_book() -> None:
    class Plain(StubAgent):
        requires = ("mid", "spread_bps", "imbalance")

    plain = Plain("plain")
    found = await ask(optimizer(plain), {"price": 50_000}, priority=3)
    assert plain.asked == 0
    assert "plain abstained: needs spread_bps, imbalance" in found.consensus_result.thesis_combined


async def test_failing_agents_are_counted_and_do_not_raise() -> None:
    bad = [StubAgent("a", error=ValueError("x")), StubAgent("b", float("inf"))]
    face = optimizer(*bad)
    for step in range(12):
        await ask(face, features(float(step)), priority=2)
    models = face.get_optimization_metrics()["model_performance"]
    assert models["a"]["success_rate"] == 0.0
    assert models["a"]["state"] == models["b"]["state"] == "open"
    assert models["a"]["weight"] == 0.0


async def test_without_a_working_agent_there_is_no_signal() -> None:
    face = optimizer(*pair())
    for seat in face.panel(BTC).seats:
        seat.circuit.trip(100 * SECOND, "broken")
    found = await ask(face, features(), priority=1)
    assert found.consensus_result.thesis_combined == "no signal: no agent is fit for priority 1"
    assert found.optimization_metadata["agents_asked"] == []
