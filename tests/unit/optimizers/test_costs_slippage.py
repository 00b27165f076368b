import json
import math
from pathlib import Path

import numpy as np
import pytest

from optimizers import OptimizedSlippageModel, SlippageModel
from optimizers.costs import documents, fitting, quantiles
from optimizers.costs.documents import CostModelError, UntrainedModelError
from optimizers.costs.slippage import FEATURES, slippage_row
from optimizers.microstructure.levels import read_levels
from trading_system.domain.errors import ValidationError
from trading_system.domain.orders import Side

BOOK = read_levels(
    "X", {"bids": [(99.9, 5), (99.8, 10)], "asks": [(100.1, 2), (100.2, 3), (100.5, 10)]}
)
THIN = read_levels("X", {"bids": [(99.9, 1), (99.0, 1)], "asks": [(100.1, 1), (101.0, 1)]})
ORDER = {"side": "buy", "quantity": 6.0}


def sample(count: int = 400, seed: int = 5) -> tuple[np.ndarray, np.ndarray]:
    source = np.random.default_rng(seed)
    x = source.uniform(0, 10, (count, len(FEATURES)))
    return x, x[:, 0] + source.normal(0, 1 + 0.2 * x[:, 3], count)


def trained() -> SlippageModel:
    model = SlippageModel()
    model.fit(*sample())
    return model


def wide() -> SlippageModel:
    """Return a model that has seen books like the one here."""
    x, y = sample()
    model = SlippageModel()
    model.fit(x * 5.0 - 2.0, y)
    return model


def test_the_alias_of_the_guide_is_the_model() -> None:
    assert OptimizedSlippageModel is SlippageModel


def test_a_live_book_is_walked_exactly() -> None:
    model = SlippageModel()
    model.update_book(BOOK)
    found = model.predict(ORDER)
    assert (
        found["slippage_bps"] == found["book_walk_bps"] == pytest.approx(21.66666666667, abs=1e-9)
    )
    assert found["q50_bps"] is None
    assert found["is_extrapolated"] is False
    assert model.predict({"side": Side.SELL, "quantity": 99.0})["is_extrapolated"] is True


def test_the_caches_belong_to_one_book() -> None:
    model = SlippageModel()
    model.update_book(BOOK)
    old = model.predict(ORDER)
    assert model.predict(dict(ORDER)) == old
    model.predict({**ORDER, "note": "same walk"})
    assert (len(model.prediction_cache), len(model.feature_cache)) == (2, 1)
    model.update_book(THIN)
    assert (len(model.prediction_cache), len(model.feature_cache)) == (0, 0)
    assert model.predict(ORDER)["slippage_bps"] > old["slippage_bps"]
    model.update_book(None)
    with pytest.raises(UntrainedModelError, match="train --what costs"):
        model.predict(ORDER)


def test_a_book_and_coefficients_give_walk_and_quantiles() -> None:
    model = wide()
    model.update_book(BOOK)
    model.update_volatility(1e-4)
    found = model.predict(ORDER)
    assert found["q10_bps"] < found["q50_bps"] < found["q90_bps"]
    assert found["slippage_bps"] == found["book_walk_bps"]
    assert model.predict({**ORDER, "volatility": 5e-4})["q90_bps"] > found["q90_bps"]


def test_outside_the_range_that_was_fitted_on_a_book_gives_the_walk_alone() -> None:
    model = wide()
    model.update_book(BOOK)
    found = model.predict({**ORDER, "volatility": 0.5})
    assert found["book_walk_bps"] == pytest.approx(21.66666666667, abs=1e-9)
    assert found["linear_bps"] is found["q10_bps"] is found["q50_bps"] is found["q90_bps"] is None
    with pytest.raises(UntrainedModelError):
        SlippageModel().covers([1.0])


def test_coefficients_alone_answer_with_the_median() -> None:
    found = trained().predict(dict.fromkeys(FEATURES, 5.0))
    assert found["slippage_bps"] == found["q50_bps"] == pytest.approx(5.0, abs=0.5)
    assert found["linear_bps"] == pytest.approx(5.0, abs=0.5)
    assert found["book_walk_bps"] is None


def test_a_model_of_other_inputs_leaves_the_walk_alone() -> None:
    model = SlippageModel()
    model.fit(sample()[0][:, :1], sample()[1], names=["x"])
    model.update_book(BOOK)
    assert model.names == ("x",)
    assert model.predict(ORDER)["q50_bps"] is None


def test_a_row_describes_book_and_order() -> None:
    row = slippage_row(BOOK, Side.BUY, quantity=6.0, volatility=1e-4)
    assert row == pytest.approx((21.6666666667, 20.0, 0.4, 1.0, 0.0))
    thin = read_levels("X", {"bids": [(99, 3)], "asks": [(101, 1)]})
    lean = [slippage_row(thin, side, quantity=1.0, volatility=1e-4)[4] for side in Side]
    assert lean == [0.5, -0.5]


@pytest.mark.parametrize(
    "features",
    [
        {}, {"side": "up", "quantity": 1.0}, {"side": "buy"}, {"side": "buy", "quantity": math.nan},
        {"side": "buy", "quantity": -1.0}, {"side": "buy", "quantity": 1e308}, {"side": []}, None,
        {"side": "buy", "quantity": 1.0, "volatility": 0.0},
    ],
)  # fmt: skip
def test_hostile_orders_are_refused(features) -> None:
    model = trained()
    model.update_book(BOOK)
    with pytest.raises(ValidationError):
        model.predict(features)


def test_missing_or_hostile_inputs_are_refused_without_a_book() -> None:
    with pytest.raises(ValidationError, match="lack spread_bps"):
        trained().predict({"walk_bps": 1.0})
    with pytest.raises(ValidationError, match="finite"):
        trained().predict(dict.fromkeys(FEATURES, math.inf))


def test_caches_are_bounded() -> None:
    model = SlippageModel()
    model.update_book(BOOK)
    for i in range(1_100):
        model.predict({"side": "buy", "quantity": 1.0 + i * 1e-3})
    assert len(model.prediction_cache) == len(model.feature_cache) == 1_024


def test_quantile_lines_recover_the_known_ones() -> None:
    source = np.random.default_rng(11)
    x = source.uniform(0, 5, 3_000)
    y = x + source.exponential(1.0 + x)
    lines = quantiles.fit(x[:, None], y, names=["x"])
    for at, level in enumerate(quantiles.LEVELS, start=1):
        assert lines.weights[at][0] == pytest.approx(1 - math.log(1 - level), abs=0.25)
        assert lines.intercepts[at] == pytest.approx(-math.log(1 - level), abs=0.25)


def test_quantiles_cover_what_they_say_on_fresh_samples() -> None:
    source = np.random.default_rng(12)
    x = source.uniform(0, 5, 6_000)
    y = x + source.exponential(1.0 + x)
    lines = quantiles.fit(x[:3_000, None], y[:3_000], names=["x"])
    found = np.array([lines.predict([value])[1:] for value in x[3_000:]])
    covered = (y[3_000:, None] <= found).mean(axis=0)
    assert covered == pytest.approx([0.1, 0.5, 0.9], abs=0.03)


def test_quantiles_never_cross_and_inputs_are_cut_off() -> None:
    model = trained()
    for value in (-1e9, -3.0, 0.0, 3.0, 1e9):
        row = [value] * len(FEATURES)
        low, middle, high = model.quantiles(row)
        assert low <= middle <= high < 50.0
    assert model.quantiles([1e9] * 5) == model.quantiles([1e12] * 5)


def test_large_samples_are_thinned() -> None:
    x = np.linspace(0, 1, fitting.QUANTILE_ROWS + 1_000)[:, None]
    line = fitting.fit_quantile(x, 2.0 * x[:, 0] + 1.0, level=0.5)
    assert (line.intercept, line.weights[0]) == (pytest.approx(1.0), pytest.approx(2.0))


@pytest.mark.parametrize(
    ("x", "y"),
    [
        ([[1.0] * 5] * 10, [1.0] * 10), ([[1.0] * 4] * 60, [1.0] * 60), ([[1.0] * 5] * 60, [1.0]),
        ([[math.nan] * 5] * 60, [1.0] * 60), ([[1.0] * 5] * 60, [math.inf] * 60), ("x", [1.0]),
        ([], []),
    ],
)  # fmt: skip
def test_samples_that_cannot_be_fitted_are_refused(x, y) -> None:
    with pytest.raises(ValidationError):
        SlippageModel().fit(x, y)


def test_an_input_that_never_varies_does_no_harm() -> None:
    x, y = sample()
    x[:, 2] = 7.0
    model = SlippageModel()
    model.fit(x, y)
    assert model.quantiles([5.0, 5.0, 7.0, 5.0, 5.0])[1] == pytest.approx(5.0, abs=0.5)


def test_a_saved_model_answers_the_same(tmp_path: Path) -> None:
    model = trained()
    model.save(tmp_path, facts={"samples": 400})
    again = SlippageModel.load(tmp_path)
    assert again.is_trained
    assert again.quantiles([5.0] * 5) == model.quantiles([5.0] * 5)
    manifest = json.loads((tmp_path / documents.MANIFEST).read_text())
    assert manifest["models"]["slippage"]["samples"] == 400


def test_an_untrained_model_saves_and_answers_nothing(tmp_path: Path) -> None:
    assert not SlippageModel().is_trained
    assert SlippageModel().names == FEATURES
    with pytest.raises(UntrainedModelError):
        SlippageModel().save(tmp_path)
    with pytest.raises(UntrainedModelError):
        SlippageModel().quantiles([1.0] * 5)


def test_shipped_coefficients_are_optional(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(documents, "SHIPPED", tmp_path)
    assert SlippageModel.load_shipped() is None
    trained().save(tmp_path)
    assert SlippageModel.load_shipped().is_trained


@pytest.mark.parametrize(
    "change",
    [{"names": []}, {"names": ["a", "a"]}, {"names": [1]}, {"names": "x"}, {"lows": [1.0]},
     {"lows": "abcde"}, {"lows": [True] * 5}, {"q10": {}}, {"q10": 3}, {"more": 1}],
)  # fmt: skip
def test_a_file_that_is_not_understood_is_refused(tmp_path: Path, change) -> None:
    content = {**quantiles.fit(*sample(), names=FEATURES).content(), **change}
    documents.write_model(tmp_path, "slippage", content, facts={})
    with pytest.raises(CostModelError):
        SlippageModel.load(tmp_path)
