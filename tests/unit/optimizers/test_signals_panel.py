from __future__ import annotations

import asyncio
import contextlib
import random

import pytest
from stub_agents import BTC, SECOND, SlowAgent, StubAgent, features
from virtual_time import in_virtual_time

from optimizers.signals.circuit import Circuit, CircuitRules
from optimizers.signals.panel import AgentPanel, PanelParameters
from trading_system.domain.errors import ConfigurationError
from trading_system.runtime.clock import ManualClock


def panel(*agents, clock=None, **parameters) -> AgentPanel:
    return AgentPanel(
        BTC, agents, clock=clock or ManualClock(), parameters=PanelParameters(**parameters)
    )


def figures(found: AgentPanel, name: str):
    return next(member for member in found.members if member.name == name)


def walk(found: AgentPanel, seconds: int, *, seed: int = 1, start: int = 0):
    """Decide every second on a random walk of the mid; return the decisions."""
    source, mid, decisions = random.Random(seed), 50_000.0, []
    for step in range(start, start + seconds):
        mid += source.choice((-5.0, 5.0))
        decisions.append(found.decide(features(step, mid=mid, imbalance=source.random() - 0.5)))
    return decisions


def by_imbalance(now) -> float:
    return 0.5 + now.imbalance / 10.0


def test_every_agent_observes_and_is_asked_once_per_decision() -> None:
    agents = [StubAgent("a"), StubAgent("b", 0.7)]
    consensus = panel(*agents).decide(features())
    assert consensus is not None
    assert consensus.p_up == pytest.approx(0.65)
    assert consensus.has_quorum
    assert [(len(agent.seen), agent.asked) for agent in agents] == [(1, 1), (1, 1)]


def test_no_opinion_is_no_consensus_but_the_votes_say_why() -> None:
    found = panel(StubAgent("a", None), StubAgent("b", error=ValueError("no")))
    assert found.decide(features()) is None
    assert [vote.note for vote in found.votes] == ["abstained", "raised ValueError: no"]


def test_the_order_of_agents_does_not_change_the_decision() -> None:
    def run(names):
        return repr(walk(panel(*(StubAgent(n, 0.5 + 0.1 * ord(n) % 0.4) for n in names)), 50))

    assert run("abc") == run("cab")


@pytest.mark.parametrize(
    "bad",
    [
        StubAgent("bad", error=RuntimeError("broken")),
        StubAgent("bad", float("nan")),
        StubAgent("bad", 1.5),
        StubAgent("bad", values={"ts_ns": 10**18}),
        StubAgent("bad", values={"agent": "good"}),
        StubAgent("bad", 0.9),
    ],
    ids=["raises", "nan", "out of range", "from the future", "impostor", "constant"],
)
def test_a_faulty_agent_weighs_nothing_within_a_minute_and_harms_nobody(bad) -> None:
    found = panel(StubAgent("a", by_imbalance), StubAgent("b", by_imbalance), bad)
    decisions = walk(found, 61)
    assert all(decision is not None and decision.has_quorum for decision in decisions)
    assert figures(found, "bad").state == "open"
    assert found.weights["bad"] == 0.0
    assert figures(found, "a").failures == 0


def test_an_agent_that_keeps_being_slow_is_left_alone_after_five_calls() -> None:
    clock = ManualClock()
    slow = StubAgent("slow", by_imbalance, on_call=lambda: clock.advance(0.006))
    found = panel(StubAgent("a", by_imbalance), slow, clock=clock)
    walk(found, 20)
    assert slow.asked == 5
    assert figures(found, "slow").state == "open"
    assert figures(found, "slow").avg_us == pytest.approx(6000.0)
    assert found.votes[1].note.startswith("left alone: took 6000 us")


def test_one_slow_call_is_counted_but_its_answer_is_used() -> None:
    clock = ManualClock()
    pauses = iter([0.006, *[0.0] * 20, 0.006, *[0.0] * 20])
    slow = StubAgent("slow", by_imbalance, on_call=lambda: clock.advance(next(pauses)))
    found = panel(StubAgent("a", by_imbalance), slow, clock=clock)
    assert all(decision.has_quorum for decision in walk(found, 30))
    assert (figures(found, "slow").failures, figures(found, "slow").state) == (2, "working")


def test_a_healed_agent_is_tried_again_and_earns_its_weight_back() -> None:
    bad = StubAgent("bad", by_imbalance, error=RuntimeError("broken"))
    found = panel(StubAgent("a", by_imbalance), StubAgent("b", by_imbalance), bad)
    walk(found, 10)
    assert bad.asked == 5
    bad.error = None
    walk(found, 400, start=10)
    healed = figures(found, "bad")
    assert healed.state == "working"
    assert healed.votes > 300
    assert healed.weight > 0.05


def test_an_agent_that_stays_broken_is_tried_ever_more_rarely() -> None:
    bad = StubAgent("bad", error=RuntimeError("broken"))
    found = panel(StubAgent("a", by_imbalance), bad)
    walk(found, 1000)
    assert bad.asked == 5 + 5
    assert figures(found, "bad").trips == 6


def test_a_failing_observer_is_isolated_too() -> None:
    class Blind(StubAgent):
        def observe(self, now):
            raise LookupError("gone")

    blind = Blind("blind")
    found = panel(StubAgent("a"), blind)
    assert found.decide(features()) is not None
    assert blind.asked == 0
    assert figures(found, "blind").note == "observe raised LookupError: gone"


def test_the_circuit_closes_on_success_and_forgets_its_pause_after_good_work() -> None:
    circuit = Circuit(CircuitRules(failures=2, pause_s=10.0, longest_pause_s=15.0))
    assert not circuit.failed(0, "x")
    assert circuit.failed(0, "x")
    assert not circuit.allows(10 * SECOND - 1)
    assert circuit.allows(10 * SECOND)
    assert circuit.failed(10 * SECOND, "y")
    assert not circuit.allows(25 * SECOND - 1)
    circuit.succeeded()
    assert not circuit.is_open
    circuit.recovered()
    circuit.trip(0, "z")
    assert circuit.allows(10 * SECOND)


def test_matured_outcomes_show_in_the_figures_and_move_the_weights() -> None:
    def knows(now):
        return 0.9 if now.order_flow > 0 else 0.1

    found = panel(
        StubAgent("right", knows, values={"horizon_s": 1.0}),
        StubAgent("wrong", lambda now: 1 - knows(now), values={"horizon_s": 1.0}),
    )
    source, mid = random.Random(3), 50_000.0
    for step in range(120):
        up = source.random() < 0.5
        found.decide(features(step, mid=mid, order_flow=1.0 if up else -1.0))
        mid += 1.0 if up else -1.0
    right, wrong = figures(found, "right"), figures(found, "wrong")
    assert right.brier == pytest.approx(0.01)
    assert (right.matured, right.accuracy, wrong.accuracy) == (119, 1.0, 0.0)
    assert right.weight > 0.9 > 0.1 > wrong.weight


def test_a_panel_that_learned_beats_equal_weights_on_the_brier_score() -> None:
    def run(learns: bool) -> float:
        biased = StubAgent("biased", lambda now: 0.9 - now.imbalance / 100, values={"horizon_s": 1})
        fair = StubAgent("fair", by_imbalance, values={"horizon_s": 1.0})
        found, source, mid, loss = panel(biased, fair), random.Random(5), 50_000.0, 0.0
        for step in range(400):
            now = features(step, mid=mid, imbalance=source.random() - 0.5)
            consensus = found.decide(now)
            assert consensus is not None
            p_up = consensus.p_up if learns else (biased.p_up(now) + fair.p_up(now)) / 2
            up = source.random() < 0.5
            loss += (p_up - up) ** 2 if step >= 100 else 0.0
            mid += 1.0 if up else -1.0
        return loss

    assert run(learns=True) < 0.95 * run(learns=False)


def test_a_reset_reaches_every_agent_and_those_who_want_to_know() -> None:
    class Stubborn(StubAgent):
        def reset(self):
            raise OSError("no")

    told = []
    agents = [StubAgent("a"), Stubborn("b")]
    found = AgentPanel(BTC, agents, clock=ManualClock(), on_reset=lambda: told.append(1))
    found.decide(features())
    found.reset()
    assert (agents[0].resets, told, found.latest) == (1, [1], None)
    assert found.scores.pending == 0
    assert figures(found, "b").failures == 1


def test_older_features_are_decided_on_but_teach_nothing() -> None:
    found = panel(StubAgent("a"), StubAgent("b"))
    found.decide(features(100.0))
    found.decide(features(90.0))
    assert found.latest is not None
    assert found.latest.ts_ns == 100 * SECOND


@pytest.mark.parametrize(("agents", "words"), [((), "no signal agent"), ("aa", "named a")])
def test_a_panel_needs_agents_with_different_names(agents, words) -> None:
    with pytest.raises(ConfigurationError, match=words):
        panel(*(StubAgent(name) for name in agents))


def test_an_asynchronous_agent_is_read_from_its_slot_while_valid() -> None:
    async def work(loop):
        slow = SlowAgent("slow", 0.8, delay_s=0.5, validity_s=2.0)
        found = panel(StubAgent("a", 0.6), slow, clock=loop, refresh_s=10.0)
        assert found.has_async
        notes = []
        async with asyncio.TaskGroup() as group:
            task = group.create_task(found.serve())
            for step in range(6):
                consensus = found.decide(features(step))
                assert consensus is not None
                notes.append((round(consensus.p_up, 2), consensus.votes[1].note))
                await asyncio.sleep(1.0)
            task.cancel()
        return notes

    assert in_virtual_time(work) == [
        (0.6, "no answer yet"),
        (0.7, ""),
        (0.7, ""),
        (0.6, "stale"),
        (0.6, "stale"),
        (0.6, "stale"),
    ]


def test_a_late_asynchronous_agent_is_cancelled_and_finally_left_alone() -> None:
    async def work(loop):
        slow = SlowAgent("slow", delay_s=60.0)
        found = panel(StubAgent("a"), slow, clock=loop, request_timeout_s=1.0, refresh_s=1.0)
        async with asyncio.TaskGroup() as group:
            task = group.create_task(found.serve())
            for step in range(60):
                found.decide(features(step))
                await asyncio.sleep(1.0)
            task.cancel()
        return slow.asked, figures(found, "slow")

    asked, seen = in_virtual_time(work)
    assert asked == 0
    assert seen.note.startswith("left alone: late")
    assert seen.trips >= 1


def test_an_asynchronous_agent_that_raises_harms_nobody() -> None:
    async def work(loop):
        slow = SlowAgent("slow", delay_s=0.1, error=RuntimeError("down"))
        found = panel(StubAgent("a"), slow, clock=loop)
        found.decide(features(1.0))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(0.3), asyncio.TaskGroup() as group:
                group.create_task(found.serve())
                await asyncio.sleep(0.2)
        return figures(found, "slow").failures

    assert in_virtual_time(work) == 1
