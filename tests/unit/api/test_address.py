import json
from pathlib import Path

import pytest

from trading_system.api.address import ApiAddress, read_address, remove_address, write_address
from trading_system.domain.errors import ConfigurationError

ADDRESS = ApiAddress("http://127.0.0.1:5", "s3cret", "l00k")


def test_what_is_written_is_read_and_private(tmp_path: Path) -> None:
    file = write_address(tmp_path, ADDRESS)
    assert read_address(tmp_path) == ADDRESS
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_token_never_shows_in_a_text() -> None:
    text = f"{ADDRESS!r} {ADDRESS}"
    assert "s3cret" not in text
    assert "l00k" not in text


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


def test_the_read_token_has_a_private_file_of_its_own(tmp_path: Path) -> None:
    write_address(tmp_path, ADDRESS)
    file = tmp_path / "read.token"
    assert (file.read_text(), file.stat().st_mode & 0o777) == ("l00k", 0o600)


def test_what_is_removed_leaves_nothing_behind(tmp_path: Path) -> None:
    write_address(tmp_path, ADDRESS)
    remove_address(tmp_path)
    remove_address(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_an_address_without_a_read_token_is_read(tmp_path: Path) -> None:
    (tmp_path / "api.json").write_text(json.dumps({"url": "u", "token": "t"}))
    assert read_address(tmp_path) == ApiAddress("u", "t", "")


def test_a_folder_that_is_gone_is_a_configuration_error(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="TRADING_DATA_DIR"):
        write_address(tmp_path / "gone", ADDRESS)


def test_what_cannot_be_announced_whole_is_not_announced(tmp_path: Path) -> None:
    (tmp_path / "api.json").mkdir()
    with pytest.raises(ConfigurationError, match=r"api\.json"):
        write_address(tmp_path, ADDRESS)
    assert [file.name for file in tmp_path.iterdir()] == ["api.json"]


def test_a_link_laid_in_the_way_is_not_followed(tmp_path: Path) -> None:
    target = tmp_path / "elsewhere"
    target.write_text("mine")
    (tmp_path / "api.json").symlink_to(target)
    write_address(tmp_path, ADDRESS)
    assert target.read_text() == "mine"
    assert not (tmp_path / "api.json").is_symlink()
