import json
import socket
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from inspection import FakeInspection

from trading_system.api.server import control_api
from trading_system.domain.errors import ConfigurationError, Outcome, VenueUnavailable


class System:
    def get_system_status(self) -> dict[str, Any]:
        return {"state": "RUNNING"}

    def request_stop(self, reason: str) -> None:
        raise AssertionError(reason)


def serve(folder: Path, port: int = 0) -> Any:
    return control_api(
        System(), System(), FakeInspection(), host="127.0.0.1", port=port, data_dir=folder
    )


async def test_it_announces_itself_in_a_private_file_and_takes_it_away(tmp_path: Path) -> None:
    async with serve(tmp_path) as url:
        file = tmp_path / "api.json"
        content = json.loads(file.read_text())
        assert (content["url"], file.stat().st_mode & 0o777) == (url, 0o600)
        headers = {"Authorization": f"Bearer {content['token']}"}
        async with (
            aiohttp.ClientSession() as session,
            session.get(f"{url}/status", headers=headers) as answer,
        ):
            assert await answer.json() == {"state": "RUNNING"}
        read_token = (tmp_path / "read.token").read_text()
        assert read_token == content["read_token"] != content["token"]
    assert list(tmp_path.iterdir()) == []


async def test_a_taken_port_is_a_configuration_error(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ConfigurationError, match="TRADING_API__PORT"):
            async with serve(tmp_path, taken.getsockname()[1]):
                raise AssertionError
    assert not (tmp_path / "api.json").exists()


async def test_an_error_inside_leaves_as_itself(tmp_path: Path) -> None:
    lost = VenueUnavailable("gone", venue="bybit", operation="x", outcome=Outcome.UNKNOWN)
    with pytest.raises(VenueUnavailable):
        async with serve(tmp_path):
            raise lost
    assert not (tmp_path / "api.json").exists()
