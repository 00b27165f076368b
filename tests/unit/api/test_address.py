import json
from pathlib import Path

import pytest

from trading_system.api.address import ApiAddress, read_address, write_address

ADDRESS = ApiAddress("http://127.0.0.1:5", "s3cret")


def test_what_is_written_is_read_and_private(tmp_path: Path) -> None:
    file = write_address(tmp_path, ADDRESS)
    assert read_address(tmp_path) == ADDRESS
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_token_never_shows_in_a_text() -> None:
    assert "s3cret" not in f"{ADDRESS!r} {ADDRESS}"


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", '{"url": "x"}', "5"])
def test_an_unreadable_file_is_no_address(tmp_path: Path, content: str) -> None:
    (tmp_path / "api.json").write_text(content)
    assert read_address(tmp_path) is None


def test_no_file_is_no_address(tmp_path: Path) -> None:
    assert read_address(tmp_path) is None


def test_an_open_file_of_an_earlier_run_becomes_private(tmp_path: Path) -> None:
    (tmp_path / "api.json").write_text(json.dumps({"url": "u", "token": "t"}))
    (tmp_path / "api.json").chmod(0o644)
    assert write_address(tmp_path, ADDRESS).stat().st_mode & 0o777 == 0o600
