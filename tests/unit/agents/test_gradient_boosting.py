import _ctypes
import gc
import math
from pathlib import Path

import lightgbm
import numpy as np
import pytest

from agents.artifacts import ModelFileError, load
from agents.conformance import made_up_market
from agents.gradient_boosting import GradientBoostingAgent
from agents.lightgbm_library import SingleRowBooster, find_library, open_library
from trading_system.domain.signals import FEATURE_NAMES

WIDTH = len(FEATURE_NAMES)


def text() -> str:
    return load("gradient_boosting").text


def test_single_rows_are_predicted_as_by_the_python_package() -> None:
    rows = np.random.default_rng(1).normal(size=(300, WIDTH))
    expected = lightgbm.Booster(model_str=text()).predict(rows, num_threads=1)
    booster = SingleRowBooster(text(), features=WIDTH)
    assert [booster.predict(row.tolist()) for row in rows] == list(expected)


def test_two_boosters_do_not_share_their_buffers() -> None:
    left, right = (SingleRowBooster(text(), features=WIDTH) for _ in range(2))
    row, other = [0.5] * WIDTH, [-0.5] * WIDTH
    alone = left.predict(row)
    right.predict(other)
    assert left.predict(row) == alone != right.predict(other)


def test_a_closed_booster_predicts_nothing_and_can_be_closed_again() -> None:
    booster = SingleRowBooster(text(), features=WIDTH)
    booster.close()
    booster.close()
    assert math.isnan(booster.predict([0.0] * WIDTH))


@pytest.mark.no_cover  # heavy, on code that the tests above cover
def test_boosters_can_come_and_go() -> None:
    values = set()
    for _ in range(20):
        booster = SingleRowBooster(text(), features=WIDTH)
        values.add(booster.predict([0.1] * WIDTH))
        del booster
        gc.collect()
    assert len(values) == 1


def test_a_model_for_another_number_of_inputs_is_refused() -> None:
    with pytest.raises(ModelFileError, match=f"wants {WIDTH} inputs, not 3"):
        SingleRowBooster(text(), features=3)


def test_a_library_that_cannot_be_loaded_is_an_abstention_with_its_reason(tmp_path: Path) -> None:
    broken = tmp_path / "lib_lightgbm.so"
    broken.write_bytes(b"no library")
    agent = GradientBoostingAgent("TESTUSDT", library=broken)
    assert "cannot be used" in agent.reason
    for features in made_up_market(steps=100):
        agent.observe(features)
        assert agent.opinion(features) is None
    agent.close()


def test_another_library_is_not_mistaken_for_lightgbm() -> None:
    with pytest.raises(ModelFileError, match="cannot be used"):
        open_library(Path(_ctypes.__file__))


def test_the_library_is_found_where_the_package_is_installed() -> None:
    assert find_library().parent.parent == Path(lightgbm.__file__).parent


def test_a_closed_agent_abstains_and_says_so() -> None:
    agent = GradientBoostingAgent("TESTUSDT")
    market = made_up_market()
    for features in market:
        agent.observe(features)
    assert agent.opinion(market[-1]) is not None
    agent.close()
    assert agent.reason == "closed"
    assert agent.opinion(made_up_market(seed=2)[-1]) is None
