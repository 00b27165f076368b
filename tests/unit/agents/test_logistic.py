import json
import math

import pytest

from agents.artifacts import ModelFileError, load
from agents.conformance import made_up_market
from agents.logistic import LogisticAgent, parse_logistic
from trading_system.domain.signals import FEATURE_NAMES

WIDTH = len(FEATURE_NAMES)
IMBALANCE = FEATURE_NAMES.index("imbalance")


def document(**change: object) -> str:
    weights = [0.0] * WIDTH
    weights[IMBALANCE] = 2.0
    plain = {
        "centres": [0.0] * WIDTH,
        "scales": [0.5] * WIDTH,
        "weights": weights,
        "intercept": 0.25,
        "bps_per_logit": 6.0,
    }
    return json.dumps({**plain, **change})


def test_the_score_is_the_log_odds_in_basis_points() -> None:
    model = parse_logistic(document())
    features = made_up_market(steps=5)[-1]
    logit = 0.25 + 2.0 * features.imbalance / 0.5
    assert model.logit(features) == pytest.approx(logit)
    assert model.p_up(features) == pytest.approx(1 / (1 + math.exp(-logit)))
    assert model.score_bps(features) == pytest.approx(6.0 * logit)


def test_a_freak_value_cannot_carry_the_score() -> None:
    model = parse_logistic(document(scales=[1e-9] * WIDTH))
    for features in made_up_market(steps=5):
        assert abs(model.logit(features)) <= 0.25 + 2.0 * 5


@pytest.mark.parametrize(
    "change",
    [
        {"weights": [1.0]},
        {"weights": "1"},
        {"scales": [0.0] * WIDTH},
        {"intercept": None},
        {"intercept": True},
        {"bps_per_logit": "6"},
        {"code": "import os"},
    ],
)
def test_a_document_that_breaks_the_format_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ModelFileError):
        parse_logistic(document(**change))


def test_the_shipped_model_prefers_no_direction() -> None:
    model = parse_logistic(load("logistic").text)
    assert abs(model.intercept) < 0.01
    assert model.bps_per_logit > 0


def test_the_agent_speaks_after_the_first_outcomes_and_gives_its_reasons() -> None:
    agent = LogisticAgent("TESTUSDT")
    opinions = []
    for features in made_up_market():
        agent.observe(features)
        opinions.append(agent.opinion(features))
    spoken = [each for each in opinions if each is not None]
    assert opinions[0] is None
    assert spoken
    assert spoken[-1].samples > 10
    assert len(spoken[-1].reasons) == 2
    assert agent.reason == ""
