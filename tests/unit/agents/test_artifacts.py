import hashlib
import json
import shutil
from pathlib import Path

import pytest

from agents.artifacts import SHIPPED, ModelFileError, load, read_manifest, read_object
from agents.gradient_boosting import GradientBoostingAgent
from agents.logistic import LogisticAgent
from trading_system.domain.signals import FEATURE_NAMES

MODELS = {"logistic": LogisticAgent, "gradient_boosting": GradientBoostingAgent}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return Path(shutil.copytree(SHIPPED, tmp_path / "models"))


def edit(folder: Path, change: dict[str, object]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **change}))


def replace(folder: Path, name: str, content: bytes) -> None:
    """Replace a model's file and its checksum, as somebody would who can write both."""
    manifest = json.loads((folder / "manifest.json").read_text())
    entry = manifest["models"][name]
    entry["sha256"] = hashlib.sha256(content).hexdigest()
    (folder / entry["file"]).write_bytes(content)
    (folder / "manifest.json").write_text(json.dumps(manifest))


def test_shipped_models_are_those_of_their_manifest() -> None:
    manifest = read_manifest(SHIPPED)
    assert set(manifest["models"]) == set(MODELS)
    assert manifest["features"] == list(FEATURE_NAMES)
    assert manifest["command"].startswith("trading-system train --source synthetic")
    for name, entry in manifest["models"].items():
        content = (SHIPPED / entry["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
        assert len(content) == entry["bytes"] < 200_000
        assert load(name).text.encode() == content
    listed = {entry["file"] for entry in manifest["models"].values()}
    assert {path.name for path in SHIPPED.iterdir()} == {*listed, "manifest.json"}


def test_shipped_models_beat_doing_nothing_out_of_sample() -> None:
    scores = read_manifest(SHIPPED)["walk_forward"]["scores"]
    assert set(scores) == {*MODELS, "imbalance_ridge", "always_flat"}
    for name in MODELS:
        assert scores[name]["brier_skill"] > scores["always_flat"]["brier_skill"] + 0.1
        assert scores[name]["skill"] > scores["imbalance_ridge"]["skill"]
        assert scores[name]["calibration_error"] < 0.06
        assert scores[name]["independent"] > 300


@pytest.mark.parametrize("name", MODELS)
def test_a_changed_file_is_refused(folder: Path, name: str) -> None:
    file = folder / read_manifest(folder)["models"][name]["file"]
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(ModelFileError, match="SHA-256 differs"):
        load(name, folder=folder)


@pytest.mark.parametrize("name", MODELS)
def test_a_cut_off_file_is_refused(folder: Path, name: str) -> None:
    file = folder / read_manifest(folder)["models"][name]["file"]
    file.write_bytes(file.read_bytes()[:-100])
    with pytest.raises(ModelFileError, match="SHA-256 differs"):
        load(name, folder=folder)


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize(
    "content",
    [
        b"\x80\x04\x95\x1a\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x07weights\x94]\x94G?\xf0\x00\x00\x00\x00\x00\x00as.",
        b"",
        b"null",
        b"tree\nnot a model",
        b"tree\n\nend of trees\n",
        b'{"weights": NaN}',
        b"[" * 100_000,
    ],
    ids=["pickle", "empty", "null", "cut trees", "no trees", "nan", "deep"],
)
def test_what_is_no_model_is_never_used_even_with_a_right_checksum(
    folder: Path, name: str, content: bytes
) -> None:
    replace(folder, name, content)
    agent = MODELS[name]("BTCUSDT", folder=folder)
    assert agent.reason
    assert "matured" not in agent.reason


@pytest.mark.parametrize("name", MODELS)
def test_an_agent_without_its_files_abstains_and_says_why(tmp_path: Path, name: str) -> None:
    agent = MODELS[name]("BTCUSDT", folder=tmp_path)
    assert "cannot be read" in agent.reason


def test_a_manifest_for_other_features_is_refused(folder: Path) -> None:
    edit(folder, {"features": ["spread_bps"]})
    with pytest.raises(ModelFileError, match="train again"):
        load("logistic", folder=folder)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 99}, "format 99"),
        ({"models": []}, "lists no models"),
        ({"models": {}}, "lists no model 'logistic'"),
        ({"models": {"logistic": {"file": "../secret"}}}, "names no file of its folder"),
        ({"models": {"logistic": {"file": 3}}}, "names no file of its folder"),
        ({"models": {"logistic": {"file": "absent.json"}}}, "cannot be read"),
    ],
)
def test_a_wrong_manifest_is_refused(folder: Path, change: dict[str, object], message: str) -> None:
    edit(folder, change)
    with pytest.raises(ModelFileError, match=message):
        load("logistic", folder=folder)


@pytest.mark.parametrize(
    "scaling",
    [
        None,
        {},
        {"horizon_s": 10.0, "learning_share": 0.1, "noise": True},
        {"horizon_s": 10.0, "learning_share": -0.1, "noise": 1.0},
    ],
)
def test_a_wrong_scaling_is_refused(folder: Path, scaling: object) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["models"]["logistic"]["scaling"] = scaling
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(ModelFileError):
        load("logistic", folder=folder)


def test_a_huge_file_is_not_read(folder: Path) -> None:
    (folder / "manifest.json").write_bytes(b" " * (4 * 1024 * 1024 + 1))
    with pytest.raises(ModelFileError, match="larger than"):
        read_manifest(folder)


def test_what_is_no_json_object_is_refused() -> None:
    for text in ("", "[]", "1", '{"a": Infinity}'):
        with pytest.raises(ModelFileError):
            read_object(text, "it")
