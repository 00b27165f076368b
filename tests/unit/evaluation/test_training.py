import hashlib
import io
import json
import os
from pathlib import Path

import pytest
from rich.console import Console

from agents.artifacts import SHIPPED, load, read_manifest
from agents.logistic import LogisticAgent
from trading_system.cli.train import ProgressBar, report, run
from trading_system.domain.errors import ConfigurationError
from trading_system.evaluation.sessions import SyntheticPlan, decisions
from trading_system.evaluation.training import TrainingPlan, train

FILES = {"manifest.json", "logistic.json", "gradient_boosting.txt"}


def quiet(what: str, done: int, total: int) -> None:
    assert 0 <= done <= total


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of the smallest run that is allowed."""
    out = tmp_path_factory.mktemp("tiny")
    train(TrainingPlan(out=out, seeds=1, minutes=5.4), progress=quiet)
    return out


@pytest.mark.no_cover  # the fixture has measured the same command
def test_the_same_command_writes_the_same_bytes_and_prints_the_manifest(
    tiny: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run(source="synthetic", recordings=[], seeds=1, minutes=5.4, out=tmp_path, as_json=True)
    assert contents(tmp_path) == contents(tiny)
    assert set(contents(tiny)) == FILES
    assert json.loads(capsys.readouterr().out) == read_manifest(tiny)


def test_people_get_a_table_of_scores(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    report(read_manifest(tiny), out=tiny, as_json=False)
    shown = capsys.readouterr()
    assert "0.000" in shown.out
    assert "models and manifest written" in shown.err


def test_the_manifest_tells_command_data_scores_and_versions(tiny: Path) -> None:
    manifest = read_manifest(tiny)
    assert manifest["command"] == "trading-system train --source synthetic --seeds 1 --minutes 5.4"
    assert manifest["data"]["seeds"] == [1001]
    assert len(manifest["data"]["sha256"]) == 64
    assert set(manifest["versions"]) == {"lightgbm", "numpy", "scikit-learn"}
    assert set(manifest["walk_forward"]["scores"]) == {
        "logistic",
        "gradient_boosting",
        "imbalance_ridge",
        "always_flat",
    }


def test_trained_models_serve_an_agent(tiny: Path) -> None:
    agent = LogisticAgent("BTCUSDT", folder=tiny)
    venue = SyntheticPlan(symbols=("BTCUSDT",)).venue(5)
    spoken = 0
    for features in decisions(venue, seconds=6):
        agent.observe(features)
        spoken += agent.opinion(features) is not None
    assert spoken > 20
    assert load("gradient_boosting", folder=tiny).scaling.horizon_s == 10.0


def test_too_little_data_is_refused_and_nothing_is_written(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="too little data"):
        train(TrainingPlan(out=tmp_path / "out", seeds=1, minutes=0.5), progress=quiet)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    "wrong",
    [
        {"source": "recordings"},
        {"recordings": (Path("a.gz"),)},
        {"seeds": 0},
        {"seeds": 1_001},
        {"minutes": 0.0},
        {"minutes": float("nan")},
    ],
)
def test_a_plan_that_makes_no_sense_is_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ConfigurationError):
        TrainingPlan(out=Path("out"), **wrong)


def test_a_missing_recording_is_a_configuration_error(tmp_path: Path) -> None:
    plan = TrainingPlan(out=tmp_path, source="recordings", recordings=(tmp_path / "absent.txt.gz",))
    assert plan.command() == ("trading-system train --source recordings --recordings absent.txt.gz")
    with pytest.raises(ConfigurationError):
        train(plan, progress=quiet)


def test_the_shipped_command_is_the_default_one() -> None:
    manifest = read_manifest(SHIPPED)
    plan = TrainingPlan(out=SHIPPED)
    assert manifest["command"] == plan.command()
    assert manifest["data"]["source"] == "synthetic"
    digest = hashlib.sha256((SHIPPED / "logistic.json").read_bytes()).hexdigest()
    assert manifest["models"]["logistic"]["sha256"] == digest


@pytest.mark.parametrize("is_terminal", [True, False])
def test_progress_is_drawn_on_terminals_only(is_terminal: bool) -> None:
    drawn = io.StringIO()
    with ProgressBar(Console(file=drawn, force_terminal=is_terminal)) as bar:
        bar.show("simulating", 0, 2)
        bar.show("simulating", 2, 2)
    assert ("simulating" in drawn.getvalue()) is is_terminal


@pytest.mark.data
@pytest.mark.no_cover  # heavy; the synthetic market has taken the same way
def test_recordings_are_trained_on_and_judged_like_any_market(tmp_path: Path) -> None:
    folder = os.environ.get("TRADING_TEST_DATA")
    if not folder:
        pytest.skip("TRADING_TEST_DATA names no folder of recordings")
    paths = tuple(
        Path(folder) / "raw_ws" / f"binance_usdm_{symbol}_20240808.txt.gz"
        for symbol in ("btcusdt", "ethusdt")
    )
    plan = TrainingPlan(out=tmp_path, source="recordings", recordings=paths)
    manifest = train(plan, progress=quiet)
    assert manifest["data"]["recordings"] == [path.name for path in paths]
    assert manifest["walk_forward"]["scores"]["logistic"]["skill"] < 0.2
    assert LogisticAgent("BTCUSDT", folder=tmp_path).reason.startswith("too few")
