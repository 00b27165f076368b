import json
from pathlib import Path

import lightgbm
import numpy as np
import numpy.typing as npt
import pytest

from agents.artifacts import Scaling, load
from agents.logistic import parse_logistic
from agents.models.fitting import FittedModel, fit_boosting, fit_logistic, normal_probability
from agents.models.writing import write_models
from trading_system.domain.errors import ConfigurationError
from trading_system.domain.signals import FEATURE_NAMES, MarketFeatures

IMBALANCE = FEATURE_NAMES.index("imbalance")
SCALING = Scaling(horizon_s=10.0, learning_share=0.14, noise=2.0)

Array = npt.NDArray[np.float64]


def samples(count: int = 4_000) -> tuple[Array, Array]:
    rng = np.random.default_rng(3)
    inputs = rng.normal(size=(count, len(FEATURE_NAMES)))
    moves = 8.0 * inputs[:, IMBALANCE] + 4.0 * rng.normal(size=count)
    return np.vstack((inputs, -inputs)), np.concatenate((moves, -moves))


@pytest.mark.parametrize("fit", [fit_logistic, fit_boosting])
def test_a_fit_recovers_a_relation_with_size_and_probability(fit: object) -> None:
    inputs, moves = samples()
    model: FittedModel = fit(inputs, moves)  # type: ignore[operator]  # one of two functions
    score, p_up = model.score_bps(inputs), model.p_up(inputs)
    assert np.corrcoef(score, 8.0 * inputs[:, IMBALANCE])[0, 1] > 0.95
    assert float(score @ moves) / float(score @ score) == pytest.approx(1.0, abs=0.15)
    confident = p_up > 0.9
    assert (moves[confident] > 0).mean() > 0.88


@pytest.mark.parametrize("fit", [fit_logistic, fit_boosting])
def test_the_same_samples_give_the_same_text(fit: object) -> None:
    inputs, moves = samples(1_000)
    first: FittedModel = fit(inputs, moves)  # type: ignore[operator]  # one of two functions
    second: FittedModel = fit(inputs, moves)  # type: ignore[operator]  # one of two functions
    assert first.text == second.text


def test_the_written_logistic_model_scores_as_the_fitted_one() -> None:
    inputs, moves = samples(1_000)
    model = fit_logistic(inputs, moves)
    loaded = parse_logistic(model.text)
    for row, score in zip(inputs[:50], model.score_bps(inputs[:50]), strict=True):
        values = dict(zip(FEATURE_NAMES, row.tolist(), strict=True))
        features = MarketFeatures(symbol="X", mid=1.0, ts_ns=0, **values)
        assert loaded.score_bps(features) == pytest.approx(float(score), rel=1e-6, abs=1e-6)


def test_a_feature_that_never_varies_is_no_obstacle() -> None:
    inputs, moves = samples(1_000)
    inputs[:, 0] = 3.0
    assert np.isfinite(fit_logistic(inputs, moves).score_bps(inputs)).all()


def test_written_models_load_again_and_carry_their_facts(tmp_path: Path) -> None:
    inputs, moves = samples(1_000)
    models = [(fit(inputs, moves), SCALING) for fit in (fit_logistic, fit_boosting)]
    manifest = write_models(tmp_path / "new", models, facts={"command": "train"})
    assert json.loads((tmp_path / "new" / "manifest.json").read_text()) == manifest
    assert manifest["command"] == "train"
    assert load("logistic", folder=tmp_path / "new").scaling == SCALING
    boosted = load("gradient_boosting", folder=tmp_path / "new").text
    again = lightgbm.Booster(model_str=boosted).predict(inputs[:20])
    assert list(again) == list(models[1][0].score_bps(inputs[:20]))
    assert not list((tmp_path / "new").glob("*.part"))


def test_a_folder_that_cannot_be_written_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        write_models(tmp_path / "file", [], facts={})


def test_normal_probabilities_are_those_of_the_table() -> None:
    values = normal_probability(np.array([0.0, 1.0, -1.959964]))
    assert values.tolist() == pytest.approx([0.5, 0.841345, 0.025], abs=1e-6)
