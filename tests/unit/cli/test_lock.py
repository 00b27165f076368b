from pathlib import Path

import pytest

from trading_system.cli.lock import exclusive
from trading_system.domain.errors import ConfigurationError


def test_a_data_directory_has_one_owner(tmp_path: Path) -> None:
    with (
        exclusive(tmp_path),
        pytest.raises(ConfigurationError, match="another system"),
        exclusive(tmp_path),
    ):
        pass


def test_a_directory_is_free_again_after_its_owner(tmp_path: Path) -> None:
    for _ in range(2):
        with exclusive(tmp_path / "new" / "data"):
            assert (tmp_path / "new" / "data" / "lock").exists()


def test_a_directory_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with (
        pytest.raises(ConfigurationError, match="TRADING_DATA_DIR"),
        exclusive(tmp_path / "file" / "data"),
    ):
        pass
