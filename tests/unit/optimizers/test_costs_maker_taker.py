import math
from pathlib import Path

import numpy as np
import pytest

from optimizers import MakerTakerModel
from optimizers.costs import documents, fitting
from optimizers.costs.documents import CostModelError, UntrainedModelError
from optimizers.costs.maker_taker import FEATURES, feature_row
from optimizers.microstructure.levels import read_levels
from trading_system.domain.errors import ValidationError

WEIGHTS = np.array([0.8, -0.5, 0.6, -1.0])


def sample(count: int, seed: int = 3) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    source = np.random.default_rng(seed)
    x = np.abs(source.normal(0, 1, (count, 4)))
    p = 1.0 / (1.0 + np.exp(-(0.3 + x @ WEIGHTS)))
    return x, (source.uniform(size=count) < p).astype(float), p


def trained() -> MakerTakerModel:
    model = MakerTakerModel()
    model.fit(*sample(4_000)[:2])
    return model


def test_coefficients_are_recovered_and_the_score_is_near_the_best_possible() -> None:
    x, y, p = sample(120_000)
    fit = fitting.fit_logistic(x, y)
    assert fit.line.weights == pytest.approx(WEIGHTS, abs=0.05)
    best = float(np.mean((p[96_000:] - y[96_000:]) ** 2))
    assert fit.scores["brier"] == pytest.approx(best, abs=3e-4)
    assert fit.scores["calibration_slope"] == pytest.approx(1.0, abs=0.1)
    assert fit.scores["calibration_intercept"] == pytest.approx(0.0, abs=0.05)
    assert fit.scores["ece"] < 0.02


def test_the_scores_of_the_published_example_are_reproduced() -> None:
    p, y = np.array([0.1, 0.1, 0.9, 0.9]), np.array([0.0, 1.0, 1.0, 1.0])
    scores = fitting._scores(p, y, 0.75, 4)
    assert scores["brier"] == pytest.approx(0.21)
    assert scores["log_loss"] == pytest.approx(0.654667, abs=5e-7)
    assert scores["ece"] == pytest.approx(0.25)


def test_one_order_and_a_batch_give_the_same_probability() -> None:
    model = trained()
    one = model.predict_maker_probability(0.1, 50.0, 0.5, 20.0, 100.0)
    row = feature_row(spread=0.1, market_depth=50.0, volatility=0.5, order_size=20.0, price=100.0)
    assert row == (0.001, math.log1p(50.0), 0.5, 0.4)
    assert model.predict_batch([row, row]) == pytest.approx([one, one], abs=1e-15)
    assert type(one) is float
    assert 0.0 < one < 1.0


def test_the_live_book_gives_a_missing_price() -> None:
    model = trained()
    model.update_book(read_levels("X", {"bids": [(99, 1)], "asks": [(101, 1)]}))
    with_book = model.predict_maker_probability(2.0, 2.0, 0.5, 1.0)
    assert with_book == model.predict_maker_probability(2.0, 2.0, 0.5, 1.0, 100.0)
    model.update_book(None)
    with pytest.raises(ValidationError, match=r"price=.*update_book"):
        model.predict_maker_probability(2.0, 2.0, 0.5, 1.0)


def test_inputs_beyond_the_samples_are_cut_off() -> None:
    model = trained()
    far = model.predict_maker_probability(0.0, 1e-9, 50.0, 1e-9, 1.0)
    assert far == model.predict_maker_probability(0.0, 1e-9, 5e5, 1e-9, 1.0)


def test_an_untrained_model_refuses_and_names_the_command(tmp_path: Path) -> None:
    model = MakerTakerModel()
    assert not model.is_trained
    for attempt in (
        lambda: model.predict_maker_probability(0.1, 1.0, 0.1, 1.0, 1.0),
        lambda: model.predict_batch([[1.0] * 4]),
        lambda: model.save(tmp_path),
    ):
        with pytest.raises(UntrainedModelError, match="trading-system train --what costs"):
            attempt()


@pytest.mark.parametrize("label", [0.0, 1.0])
def test_one_class_gives_the_base_rate(label, tmp_path: Path) -> None:
    model = MakerTakerModel()
    scores = model.fit(sample(100)[0], np.full(100, label))
    assert model.predict_maker_probability(0.1, 1.0, 0.1, 1.0, 1.0) == label
    assert model.predict_batch([[1.0] * 4]).tolist() == [label]
    assert (scores["brier"], scores["calibration_slope"]) == (0.0, None)
    model.save(tmp_path)
    assert MakerTakerModel.load(tmp_path).predict_batch([[1.0] * 4]).tolist() == [label]


def test_a_calibration_fold_of_one_class_leaves_the_fit_alone() -> None:
    x, y, _ = sample(1_000)
    y[600:] = 1.0
    fit = fitting.fit_logistic(x, y)
    assert fit.constant is None
    assert fit.scores["calibration_slope"] is None


def test_a_fit_that_a_later_fold_contradicts_leaves_the_base_rate() -> None:
    x, y, _ = sample(1_000)
    y[600:800] = 1.0 - y[600:800]
    fit = fitting.fit_logistic(x, y)
    rate = y[600:800].mean()
    assert fit.line.weights == (0.0,) * 4
    assert fit.line.intercept == pytest.approx(math.log(rate / (1.0 - rate)))
    assert fit.scores["calibration_slope"] is None


def test_inputs_without_any_information_give_a_flat_answer() -> None:
    y = np.tile([0.0, 1.0], 200)
    scores = MakerTakerModel().fit(np.ones((400, 4)), y)
    assert scores["brier"] == pytest.approx(0.25, abs=0.01)


@pytest.mark.parametrize(
    "bad", [math.nan, math.inf, -1.0, "x", None, pytest.param(10**400, id="huge")]
)
def test_hostile_inputs_are_refused(bad) -> None:
    model = trained()
    good = [0.1, 1.0, 0.1, 1.0, 100.0]
    for position in range(5 if bad is not None else 4):
        with pytest.raises(ValidationError):
            model.predict_maker_probability(*good[:position], bad, *good[position + 1 :])


def test_ratios_that_overflow_are_refused() -> None:
    with pytest.raises(ValidationError, match="finite"):
        trained().predict_maker_probability(1e308, 1.0, 0.1, 1.0, 1e-10)
    with pytest.raises(ValidationError, match="finite"):
        trained().predict_maker_probability(0.1, 1e-10, 0.1, 1e308, 1.0)


@pytest.mark.parametrize("rows", [[], [1.0], [[1.0] * 3], [[math.nan] * 4], "x", [[1.0] * 4, []]])
def test_hostile_batches_are_refused(rows) -> None:
    with pytest.raises(ValidationError):
        trained().predict_batch(rows)


@pytest.mark.parametrize("labels", [[1.0] * 99, [2.0] * 100, ["x"] * 100, [math.nan] * 100])
def test_labels_that_are_no_labels_are_refused(labels) -> None:
    with pytest.raises(ValidationError):
        MakerTakerModel().fit(sample(100)[0], labels)


def test_few_samples_are_refused() -> None:
    with pytest.raises(ValidationError, match="at least 50"):
        MakerTakerModel().fit(sample(49)[0], sample(49)[1])


def test_a_saved_model_answers_the_same(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(documents, "SHIPPED", tmp_path)
    assert MakerTakerModel.load_shipped() is None
    trained().save(tmp_path, facts={"brier": 0.2})
    again = MakerTakerModel.load_shipped()
    rows = sample(20)[0]
    assert again.predict_batch(rows).tolist() == trained().predict_batch(rows).tolist()


def test_the_time_that_a_fit_is_for_is_kept_with_it(tmp_path: Path) -> None:
    model = MakerTakerModel()
    assert model.horizon_s == 60.0
    model.fit(*sample(400)[:2], horizon_s=10.0)
    model.save(tmp_path)
    assert model.horizon_s == MakerTakerModel.load(tmp_path).horizon_s == 10.0


def test_a_file_without_a_time_is_for_the_usual_one(tmp_path: Path) -> None:
    four = [1.0] * 4
    content = {"features": list(FEATURES), "intercept": 0.0, "weights": four, "lows": four,
               "highs": four, "constant": None}  # fmt: skip
    documents.write_model(tmp_path, "maker_taker", content, facts={})
    assert MakerTakerModel.load(tmp_path).horizon_s == 60.0


@pytest.mark.parametrize("bad", [0.0, -1.0, math.nan, math.inf])
def test_a_fit_is_for_a_positive_time(bad) -> None:
    with pytest.raises(ValidationError, match="horizon_s"):
        MakerTakerModel().fit(*sample(400)[:2], horizon_s=bad)


def test_the_base_rate_does_not_know_what_scores_it() -> None:
    x, y, _ = sample(1_000)
    y[:800], y[800:] = np.tile([0.0, 1.0], 400), 1.0
    assert fitting.fit_logistic(x, y).scores["base_rate"] == 0.5
    y[:800] = 0.0
    fit = fitting.fit_logistic(x, y)
    assert (fit.constant, fit.scores["base_rate"], fit.scores["brier"]) == (0.0, 0.0, 1.0)


@pytest.mark.parametrize(
    "change",
    [
        {"features": ["x"]}, {"weights": [1.0]}, {"constant": 2.0}, {"intercept": None},
        {"horizon_s": 0.0}, {"horizon_s": "x"},
    ],
)  # fmt: skip
def test_a_file_that_is_not_understood_is_refused(tmp_path: Path, change) -> None:
    four = [1.0] * 4
    content = {"features": list(FEATURES), "intercept": 0.0, "weights": four, "lows": four,
               "highs": four, "constant": None, **change}  # fmt: skip
    documents.write_model(tmp_path, "maker_taker", content, facts={})
    with pytest.raises(CostModelError):
        MakerTakerModel.load(tmp_path)


def test_extreme_log_odds_do_not_overflow(tmp_path: Path) -> None:
    ends = {"lows": [0.0] * 4, "highs": [1e6] * 4, "constant": None, "features": list(FEATURES)}
    for intercept, expected in ((-1e6, 0.0), (1e6, 1.0)):
        content = {**ends, "intercept": intercept, "weights": [0.0] * 4}
        documents.write_model(tmp_path, "maker_taker", content, facts={})
        model = MakerTakerModel.load(tmp_path)
        assert model.predict_maker_probability(0.1, 1.0, 0.1, 1.0, 1.0) == expected
        assert model.predict_batch([[1.0] * 4])[0] == pytest.approx(expected, abs=1e-300)


def test_a_size_that_seems_to_help_a_fill_is_left_out_of_the_fit() -> None:
    rng = np.random.default_rng(5)
    x = rng.uniform(0.0, 1.0, (4_000, 4))
    y = (rng.random(4_000) < 1.0 / (1.0 + np.exp(-(x[:, 2] + 2.0 * x[:, 3] - 1.0)))).astype(float)
    free = fitting.fit_logistic(x, y)
    held = fitting.fit_logistic(x, y, not_rising=(3,))
    assert free.line.weights[3] > 0.5
    assert held.line.weights[3] == 0.0
    assert held.line.weights[2] > 0.5
    assert fitting.fit_logistic(x, 1.0 - y, not_rising=(3,)).line.weights[3] < -0.5


def test_a_larger_order_is_never_more_likely_to_fill() -> None:
    rng = np.random.default_rng(6)
    x = np.column_stack([rng.uniform(1e-6, 1e-4, 500), rng.uniform(1, 9, 500),
                         rng.uniform(1e-5, 1e-3, 500), rng.uniform(0.001, 0.5, 500)])  # fmt: skip
    y = (rng.random(500) < 0.3 + x[:, 3]).astype(float)
    model = MakerTakerModel()
    model.fit(x, y)
    said = [
        model.predict_maker_probability(0.1, 100.0, 2e-4, size, 65_000.0) for size in (1, 9, 40)
    ]
    assert said == sorted(said, reverse=True)
