"""The models compiled or flattened, asked inline and pooled by the panel of the live system."""

from __future__ import annotations

import math
import time
from collections.abc import Callable

import consensus_models
import engine_kit
import protocol
from plain_agent import Agent

from agents.lightgbm_library import SingleRowBooster
from agents.logistic import LogisticModel
from optimizers.signals.panel import AgentPanel
from trading_system.domain.signals import FEATURE_NAMES, MarketFeatures

_STEP_NS = 100_000_000


def _agents() -> list[Agent]:
    models = consensus_models.fitted()
    scaler, logistic = models["linear"].named_steps.values()
    linear = LogisticModel(
        centres=tuple(scaler.mean_.tolist()),
        scales=tuple(scaler.scale_.tolist()),
        weights=tuple(logistic.coef_[0].tolist()),
        intercept=float(logistic.intercept_[0]),
        bps_per_logit=1.0,
    )
    found = [Agent("linear", linear.p_up)]
    for name in ("boosting_a", "boosting_b"):
        text = models[name].booster_.model_to_string()
        found.append(Agent(name, _boosted(SingleRowBooster(text, features=len(FEATURE_NAMES)))))
    return found


def _boosted(booster: SingleRowBooster) -> Callable[[MarketFeatures], float]:
    def p_up(features: MarketFeatures) -> float:
        logit = booster.predict([getattr(features, name) for name in FEATURE_NAMES])
        return 1.0 / (1.0 + math.exp(-logit))

    return p_up


def main() -> None:
    engine_kit.quiet()
    agents = _agents()
    panel = AgentPanel("BTCUSDT", agents, clock=engine_kit.CLOCK)
    now_ns = 0
    protocol.ready()
    for question in protocol.questions():
        times, said = [], []
        for row in consensus_models.rows(question["count"], question["seed"]):
            now_ns += _STEP_NS
            values = dict(zip(FEATURE_NAMES, row, strict=True))
            features = MarketFeatures(symbol="BTCUSDT", mid=65_000.0, ts_ns=now_ns, **values)
            began = time.perf_counter_ns()
            consensus = panel.decide(features)
            times.append((time.perf_counter_ns() - began) / 1_000)
            assert consensus is not None
            said.append({agent.name: agent.said for agent in agents})
        protocol.say({"us": times, "said": said})


if __name__ == "__main__":
    main()
