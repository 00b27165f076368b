from collections.abc import Callable
from importlib.metadata import entry_points

import pytest

from agents.conformance import check_signal_model, made_up_market
from agents.mean_reversion import MeanReversionAgent
from agents.trend import TrendAgent
from trading_system.domain.errors import ValidationError
from trading_system.domain.ports import SignalAgent
from trading_system.domain.signals import MarketFeatures, Opinion
from trading_system.runtime.clock import SystemClock

REGISTERED = {each.name: each for each in entry_points(group="trading_system.agents")}


def test_the_agents_of_the_project_are_registered() -> None:
    assert {"order_flow", "logistic", "gradient_boosting"} <= set(REGISTERED)


@pytest.mark.parametrize("name", sorted(REGISTERED))
def test_every_registered_agent_conforms_and_speaks(name: str) -> None:
    report = check_signal_model(REGISTERED[name].load(), clock=SystemClock())
    assert report.agent == name
    assert report.opinions > 100
    assert report.median_s < 200e-6


@pytest.mark.parametrize("make", [TrendAgent, MeanReversionAgent])
def test_agents_that_are_not_registered_conform_too(make: Callable[[str], SignalAgent]) -> None:
    assert check_signal_model(make, clock=SystemClock()).opinions > 100


def test_the_families_of_registered_agents_differ() -> None:
    agents = [each.load()("BTCUSDT") for each in REGISTERED.values()]
    assert len({agent.family for agent in agents}) == len(agents) >= 3


class Wrong:
    """An agent that keeps all rules but those it is told to break."""

    def __init__(self, **broken: object) -> None:
        self.name = str(broken.pop("name", "wrong"))
        self.family = "wrong"
        self._is_hasty = bool(broken.pop("is_hasty", False))
        self._broken = broken
        self._seen = 0

    def observe(self, features: MarketFeatures) -> None:
        self._seen += 1

    def opinion(self, features: MarketFeatures) -> Opinion | None:
        if not self._seen and not self._is_hasty:
            return None
        values = {
            "agent": self.name,
            "symbol": features.symbol,
            "p_up": 0.5,
            "expected_move_bps": 0.0,
            "uncertainty_bps": 1.0,
            "horizon_s": 10.0,
            "samples": 1,
            "ts_ns": features.ts_ns,
        }
        return Opinion(**{**values, **self._broken})

    def reset(self) -> None:
        self._seen = 1


def test_an_agent_that_keeps_the_rules_passes() -> None:
    report = check_signal_model(lambda _: Wrong(), clock=SystemClock())
    assert report.opinions == len(made_up_market())


@pytest.mark.parametrize(
    ("broken", "rule"),
    [
        ({"p_up": 1.5}, r"p_up must be in"),
        ({"p_up": float("nan")}, "finite"),
        ({"expected_move_bps": float("inf")}, "finite"),
        ({"uncertainty_bps": -1.0}, "uncertainty_bps"),
        ({"horizon_s": 0.0}, "horizon_s"),
        ({"samples": -1}, "samples"),
        ({"agent": "another"}, "name"),
        ({"symbol": "ETHUSDT"}, "symbol"),
        ({"ts_ns": 1}, "time"),
        ({"reasons": ("r",) * 6}, "five reasons"),
        ({"is_hasty": True}, "abstain"),
        ({"name": ""}, "name must be"),
    ],
)
def test_each_broken_rule_is_named(broken: dict[str, object], rule: str) -> None:
    with pytest.raises(ValidationError, match=rule):
        check_signal_model(lambda _: Wrong(**broken), clock=SystemClock())


def test_an_agent_that_remembers_across_instances_is_found_out() -> None:
    calls: list[int] = []

    def make(_: str) -> Wrong:
        calls.append(1)
        return Wrong(expected_move_bps=float(len(calls)))

    with pytest.raises(ValidationError, match="the same about the same"):
        check_signal_model(make, clock=SystemClock())


def test_a_slow_agent_is_found_out() -> None:
    class SlowClock:
        now_ns = 0

        def monotonic_ns(self) -> int:
            self.now_ns += 5_000_000
            return self.now_ns

        def utc_ns(self) -> int:
            return 0

    with pytest.raises(ValidationError, match="us per decision"):
        check_signal_model(lambda _: Wrong(), clock=SlowClock())
