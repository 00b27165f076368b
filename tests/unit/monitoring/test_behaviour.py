from __future__ import annotations

import json
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from trading_system.config.operations import HealthSettings
from trading_system.monitoring.behaviour import BehaviourPolicy, Level
from trading_system.monitoring.health import Health
from trading_system.runtime.clock import ManualClock

STEP_S = 0.5
SETTINGS = HealthSettings()


def health(score: float, worst: str = "") -> Health:
    return Health(score=score, reasons=(), worst=worst)


class Run:
    """A policy that is fed one score every half second."""

    def __init__(self, settings: HealthSettings = SETTINGS) -> None:
        self.clock = ManualClock()
        self.policy = BehaviourPolicy(settings, clock=self.clock)
        self.levels: list[Level] = []

    def feed(self, scores: Sequence[float]) -> list[Level]:
        for score in scores:
            self.clock.advance(STEP_S)
            self.levels.append(self.policy.observe(health(score)))
        return self.levels


@pytest.mark.parametrize(
    ("score", "level"),
    [
        (100.0, Level.NORMAL),
        (70.0, Level.NORMAL),
        (69.9, Level.THROTTLE),
        (55.0, Level.THROTTLE),
        (54.9, Level.REDUCE_ONLY),
        (30.0, Level.REDUCE_ONLY),
        (29.9, Level.HALT),
        (0.0, Level.HALT),
        (float("nan"), Level.HALT),
    ],
)
def test_a_score_below_a_threshold_is_acted_on_at_once(score: float, level: Level) -> None:
    assert Run().feed([score]) == [level]


def test_it_comes_back_one_level_after_the_other() -> None:
    run = Run()
    run.feed([10.0])
    levels = run.feed([100.0] * 34)
    assert levels[1:11] == [Level.HALT] * 10
    assert levels[11:22] == [Level.REDUCE_ONLY] * 11
    assert levels[22:33] == [Level.THROTTLE] * 11
    assert levels[33] is Level.NORMAL
    assert run.policy.figures()["changes"] == 4


def test_what_cannot_be_judged_may_only_shrink_and_comes_back_step_by_step() -> None:
    run = Run()
    run.feed([100.0])
    assert run.policy.miss("health cannot be judged") is Level.REDUCE_ONLY
    assert run.policy.reason == "health cannot be judged"
    levels = run.feed([100.0] * 23)[1:]
    assert levels == [Level.REDUCE_ONLY] * 10 + [Level.THROTTLE] * 11 + [Level.NORMAL] * 2


def test_what_cannot_be_judged_stays_halted_and_its_recovery_begins_anew() -> None:
    run = Run()
    run.feed([10.0] + [100.0] * 8)
    assert run.policy.miss("health cannot be judged") is Level.HALT
    assert set(run.feed([100.0] * 10)) == {Level.HALT}


def test_a_score_within_the_margin_never_comes_back() -> None:
    run = Run()
    run.feed([69.0])
    assert set(run.feed([74.9] * 100)) == {Level.THROTTLE}
    assert run.feed([75.0] * 11)[-1] is Level.NORMAL


def test_a_relapse_begins_the_time_of_recovery_anew() -> None:
    run = Run()
    run.feed([60.0, *[80.0] * 9, 72.0])
    assert set(run.feed([80.0] * 10)) == {Level.THROTTLE}
    assert run.feed([80.0])[-1] is Level.NORMAL


def test_time_in_which_nobody_looked_is_no_recovery() -> None:
    run = Run()
    run.feed([60.0, 80.0])
    run.clock.advance(60.0)
    assert run.feed([80.0])[-1] is Level.THROTTLE
    assert run.feed([80.0] * 10)[-1] is Level.NORMAL


def test_a_margin_beyond_hundred_can_still_be_recovered_to() -> None:
    run = Run(HealthSettings(throttle_below=98.0, recover_margin=10.0, recover_after_s=0.0))
    assert run.feed([97.0, 99.9, 100.0]) == [Level.THROTTLE, Level.THROTTLE, Level.NORMAL]


def test_the_figures_say_why_and_since_when() -> None:
    run = Run()
    assert run.policy.figures() == {
        "level": "normal",
        "since_s": 0.0,
        "reason": "",
        "score": None,
        "changes": 0,
    }
    run.policy.observe(health(63.0, "private stream: down"))
    run.clock.advance(12.3)
    figures = run.policy.figures()
    assert figures == {
        "level": "throttle",
        "since_s": 12.3,
        "reason": "health 63 below 70 (private stream: down)",
        "score": 63.0,
        "changes": 1,
    }
    json.dumps(figures, allow_nan=False)
    run.policy.observe(health(40.0))
    assert (run.policy.level, run.policy.score) == (Level.REDUCE_ONLY, 40.0)
    assert run.policy.reason == "health 40 below 55"
    run.feed([90.0] * 11)
    assert run.policy.reason == "health 90 recovered, back from reduce-only step by step"
    run.feed([90.0] * 11)
    assert run.policy.reason == ""


@st.composite
def settings_drawn(draw: st.DrawFn) -> HealthSettings:
    halt, reduce, throttle = sorted(draw(st.tuples(*[st.floats(0, 100)] * 3)))
    return HealthSettings(
        halt_below=halt,
        reduce_below=reduce,
        throttle_below=throttle,
        recover_margin=draw(st.floats(0, 20)),
        recover_after_s=draw(st.sampled_from([0.0, 0.5, 2.0])),
    )


SCORES = st.lists(st.floats(0, 100), max_size=60)


def wanted(settings: HealthSettings, score: float) -> Level:
    limits = (settings.halt_below, settings.reduce_below, settings.throttle_below)
    return Level(3 - min((n for n, limit in enumerate(limits) if score < limit), default=3))


@given(settings_drawn(), SCORES)
def test_it_is_never_better_than_the_score_allows_and_never_skips_a_level_on_the_way_back(
    settings: HealthSettings, scores: list[float]
) -> None:
    before = Level.NORMAL
    for score, level in zip(scores, Run(settings).feed(scores), strict=True):
        assert level >= wanted(settings, score)
        assert before - level <= 1
        assert level <= max(before, wanted(settings, score))  # worse only as far as asked for
        before = level


@given(settings_drawn(), SCORES, st.data())
def test_better_scores_never_lead_to_a_worse_level(
    settings: HealthSettings, scores: list[float], data: st.DataObject
) -> None:
    # One better instant can begin a recovery earlier, and never end one.
    lifted = [data.draw(st.floats(score, 100)) for score in scores]
    pairs = zip(Run(settings).feed(lifted), Run(settings).feed(scores), strict=True)
    assert all(better <= worse for better, worse in pairs)


@given(settings_drawn(), SCORES, SCORES)
def test_the_level_is_a_function_of_the_past_only(
    settings: HealthSettings, scores: list[float], future: list[float]
) -> None:
    alone = list(Run(settings).feed(scores))
    assert Run(settings).feed([*scores, *future])[: len(scores)] == alone
    assert Run(settings).feed(scores) == alone


@given(settings_drawn(), st.floats(0, 100), st.integers(20, 60))
def test_a_steady_score_changes_the_level_at_most_once(
    settings: HealthSettings, score: float, times: int
) -> None:
    levels = Run(settings).feed([score] * times)
    assert len({*levels}) == 1
