from pathlib import Path

import pytest

from optimizers.costs import documents
from optimizers.costs.documents import CostModelError
from trading_system.domain.errors import ConfigurationError


def test_models_share_a_manifest(tmp_path: Path) -> None:
    documents.write_model(tmp_path / "a", "one", {"x": 1.5}, facts={"n": 1})
    documents.write_model(tmp_path / "a", "two", {"x": 2.5}, facts={})
    assert documents.read_model(tmp_path / "a", "one") == {"x": 1.5}
    assert documents.read_model(tmp_path / "a", "two") == {"x": 2.5}
    assert documents.has_model(tmp_path / "a", "one")
    assert not documents.has_model(tmp_path / "a", "three")
    assert not documents.has_model(tmp_path, "one")


@pytest.mark.parametrize("text", ["{", "[]", '{"x": NaN}', '{"x": 2}', " " * (1024 * 1024 + 1)])
def test_a_changed_file_is_refused(tmp_path: Path, text: str) -> None:
    documents.write_model(tmp_path, "one", {"x": 1.5}, facts={})
    (tmp_path / "one.json").write_text(text)
    with pytest.raises(CostModelError):
        documents.read_model(tmp_path, "one")


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 9, "models": {}}', '{"format": 1}', "NaN"])
def test_a_manifest_that_is_not_understood_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / documents.MANIFEST).write_text(text)
    with pytest.raises(CostModelError):
        documents.has_model(tmp_path, "one")
    with pytest.raises(CostModelError):
        documents.write_model(tmp_path, "one", {}, facts={})


def test_missing_models_are_refused(tmp_path: Path) -> None:
    with pytest.raises(CostModelError, match="cannot be read"):
        documents.read_model(tmp_path, "one")
    documents.write_model(tmp_path, "two", {}, facts={})
    with pytest.raises(CostModelError, match="lists no model"):
        documents.read_model(tmp_path, "one")


def test_a_folder_that_cannot_be_written_is_a_configuration_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot be written"):
        documents.write_model(tmp_path / "file" / "x", "one", {}, facts={})
