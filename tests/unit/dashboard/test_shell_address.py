from __future__ import annotations

import json
import os

import pytest

from trading_system.dashboard.address import DASHBOARD_FILE, announced, read_address
from trading_system.domain.errors import ConfigurationError


def test_only_the_read_token_is_taken(tmp_path):
    content = {"url": "http://127.0.0.1:1", "token": "control", "read_token": "read"}
    (tmp_path / "api.json").write_text(json.dumps(content))
    address = read_address(tmp_path)
    assert (address.url, address.token) == ("http://127.0.0.1:1", "read")
    assert "read'" not in repr(address)
    assert "control" not in repr(address)


def test_the_read_token_may_lie_in_its_own_file(tmp_path):
    (tmp_path / "api.json").write_text(json.dumps({"url": "http://127.0.0.1:1"}))
    assert read_address(tmp_path) is None
    (tmp_path / "read.token").write_text("read\n")
    assert read_address(tmp_path).token == "read"


@pytest.mark.parametrize("text", ["", "[]", "3", "{", '{"token": "x"}'])
def test_a_broken_file_is_no_address(tmp_path, text):
    (tmp_path / "api.json").write_text(text)
    assert read_address(tmp_path) is None


def test_the_dashboard_announces_itself_to_its_owner_only(tmp_path):
    with announced(tmp_path, url="http://127.0.0.1:2", link_token="secret") as file:
        assert file == tmp_path / DASHBOARD_FILE
        assert file.stat().st_mode & 0o777 == 0o600
        content = json.loads(file.read_text())
        assert content == {"url": "http://127.0.0.1:2", "link_token": "secret", "pid": os.getpid()}
    assert not file.exists()


def test_a_file_that_cannot_be_written_names_the_remedy(tmp_path):
    with (
        pytest.raises(ConfigurationError, match="TRADING_DATA_DIR"),
        announced(tmp_path / "absent", url="", link_token=""),
    ):
        pass
