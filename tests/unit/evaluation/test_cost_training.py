import hashlib
import json
import math
from functools import partial
from pathlib import Path

import pytest

from optimizers.costs.documents import MANIFEST, SHIPPED, CostModelError
from optimizers.costs.maker_taker import MakerTakerModel
from optimizers.costs.slippage import SlippageModel
from trading_system.cli.train import run_costs
from trading_system.domain.errors import ConfigurationError
from trading_system.evaluation.cost_sessions import CostSamples, joined, sampled_costs
from trading_system.evaluation.cost_training import (
    CostTrainingPlan,
    maker_scores,
    taker_scores,
    train_costs,
)
from trading_system.evaluation.sessions import SyntheticPlan
from trading_system.market.volatility import RealisedVolatility

METER = partial(RealisedVolatility, 300.0)
SHIPPED_PLAN = CostTrainingPlan(out=SHIPPED, seeds=45)
FIRST_TEST_SEED = 6_001
"""Neither fitted on nor among those that judged."""


def quiet(what: str, done: int, total: int) -> None:
    assert 0 <= done <= total


def manifest_of(folder: Path) -> dict:
    return json.loads((folder / MANIFEST).read_bytes())


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict]:
    """Return folder and answer of about the smallest run that is allowed."""
    out = tmp_path_factory.mktemp("costs")
    plan = CostTrainingPlan(out=out, seeds=1, minutes=2.2)
    return out, train_costs(plan, meter=METER, progress=quiet)


@pytest.fixture(scope="module")
def fresh() -> CostSamples:
    """Return samples of seeds that no model has met, on the default market and one without edge."""
    return joined(
        [
            sampled_costs(
                SyntheticPlan(edge_bps=edge_bps).venue(FIRST_TEST_SEED + number),
                seed=FIRST_TEST_SEED + number,
                seconds=110,
                horizon_s=60,
                meter=METER,
            )
            for number, edge_bps in enumerate((25.0, 0.0))
        ]
    )


def test_a_run_writes_both_models_and_tells_command_data_scores_and_versions(
    tiny: tuple[Path, dict],
) -> None:
    folder, answer = tiny
    assert answer == manifest_of(folder)
    assert {path.name for path in folder.iterdir()} == {
        MANIFEST,
        "maker_taker.json",
        "slippage.json",
    }
    for entry in answer["models"].values():
        assert entry["command"] == "trading-system train --what costs --seeds 1 --minutes 2.2"
        assert entry["data"]["seeds"] == [3001, 3001]
        assert entry["data"]["unseen_seeds"] == [4001, 4001]
        assert len(entry["data"]["sha256"]) == 64
        assert set(entry["versions"]) == {"numpy", "scikit-learn"}
        assert entry["unseen"]["model"]["samples"] > 80


@pytest.mark.no_cover  # the fixture has measured the same command
def test_the_same_command_writes_the_same_bytes_and_prints_the_manifest(
    tiny: tuple[Path, dict], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, answer = tiny
    run_costs(seeds=1, minutes=2.2, out=tmp_path, as_json=True)
    for path in folder.iterdir():
        assert (tmp_path / path.name).read_bytes() == path.read_bytes()
    assert json.loads(capsys.readouterr().out) == answer


def test_written_models_load_and_a_changed_file_does_not(
    tiny: tuple[Path, dict], tmp_path: Path
) -> None:
    folder, _ = tiny
    assert MakerTakerModel.load(folder).is_trained
    assert SlippageModel.load(folder).is_trained
    for path in folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    (tmp_path / "slippage.json").write_bytes((folder / "slippage.json").read_bytes() + b" ")
    with pytest.raises(CostModelError, match="SHA-256"):
        SlippageModel.load(tmp_path)


def test_too_little_data_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    plan = CostTrainingPlan(out=tmp_path / "out", seeds=1, minutes=0.2)
    with pytest.raises(ConfigurationError, match="too little data"):
        train_costs(plan, meter=METER, progress=quiet)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("text", ['{"format": 1, "models": {"logistic": {}}}', "no json", "[]"])
def test_a_folder_of_other_models_is_left_alone(tmp_path: Path, text: str) -> None:
    (tmp_path / MANIFEST).write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match="models of another kind"):
        train_costs(CostTrainingPlan(out=tmp_path), meter=METER, progress=quiet)
    assert (tmp_path / MANIFEST).read_text(encoding="utf-8") == text


@pytest.mark.parametrize(
    "wrong", [{"seeds": 0}, {"seeds": 1_001}, {"minutes": 0.0}, {"minutes": float("nan")}]
)
def test_a_plan_that_makes_no_sense_is_refused(wrong: dict[str, float]) -> None:
    with pytest.raises(ConfigurationError):
        CostTrainingPlan(out=Path("out"), **wrong)


def test_the_shipped_models_are_those_of_one_recorded_command() -> None:
    entries = manifest_of(SHIPPED)["models"]
    assert set(entries) == {"maker_taker", "slippage"}
    for name, entry in entries.items():
        assert entry["command"] == SHIPPED_PLAN.command()
        content = (SHIPPED / f"{name}.json").read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
    assert entries["maker_taker"]["data"] == entries["slippage"]["data"]


def test_the_shipped_interval_covered_eighty_percent_of_unseen_seeds() -> None:
    scores = manifest_of(SHIPPED)["models"]["slippage"]["unseen"]
    assert 0.75 <= scores["model"]["coverage"] <= 0.85
    assert scores["model"]["pinball_bps"] < scores["volatility_interval"]["pinball_bps"]


def test_the_shipped_fill_model_beat_the_base_rate_and_the_touch_probability() -> None:
    scores = manifest_of(SHIPPED)["models"]["maker_taker"]["unseen"]
    assert scores["model"]["brier_skill"] > 0.0
    assert scores["model"]["brier"] < scores["touch_probability"]["brier"]


def test_the_shipped_interval_covers_eighty_percent_of_fresh_seeds(fresh: CostSamples) -> None:
    model = SlippageModel.load_shipped()
    assert model is not None
    scores = taker_scores(model, fresh)
    chance = 3.3 * math.sqrt(0.8 * 0.2 / scores["samples"])
    assert scores["samples"] > 300
    assert abs(scores["coverage"] - 0.8) <= 0.05 + chance


def test_the_shipped_fill_model_is_right_on_average_on_fresh_seeds(fresh: CostSamples) -> None:
    model = MakerTakerModel.load_shipped()
    assert model is not None
    scores = maker_scores(model, fresh, reference_rate=0.5)
    assert abs(scores["mean_probability"] - scores["fill_rate"]) < 0.2
    assert scores["brier_skill"] > 0.0
