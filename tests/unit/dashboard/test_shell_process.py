from __future__ import annotations

import json
import signal
import socket
import sys
from urllib.parse import urlsplit

import aiohttp
import pytest

from trading_system.config.operations import DashboardSettings
from trading_system.dashboard.address import DASHBOARD_FILE
from trading_system.dashboard.app import dashboard
from trading_system.domain.errors import ConfigurationError
from trading_system.runtime.child import ChildSpec, is_clean_exit, launch
from trading_system.runtime.clock import ManualClock


async def test_the_process_announces_itself_serves_a_login_and_ends_cleanly(tmp_path):
    spec = ChildSpec(
        name="dashboard",
        command=(sys.executable, "-m", "trading_system.dashboard"),
        environ={"TRADING_DATA_DIR": str(tmp_path)},
        ready_deadline_s=60.0,
    )
    async with launch(spec) as child, aiohttp.ClientSession() as http:
        url, login = str(child.ready["url"]), str(child.ready["login"])
        assert child.ready["pid"] == child.pid
        file = tmp_path / DASHBOARD_FILE
        assert file.stat().st_mode & 0o777 == 0o600
        content = json.loads(file.read_text())
        assert (content["url"], content["pid"]) == (url, child.pid)
        async with http.get(url) as answer:
            assert answer.status == 401
        async with http.get(url, headers={"Host": "evil.example"}) as answer:
            assert answer.status == 403
        bearer = {"Authorization": f"Bearer {content['link_token']}"}
        async with http.post(f"{url}/login-links", headers=bearer) as answer:
            fresh = (await answer.json())["login"]
        assert fresh.startswith(f"{url}/login?code=")
        assert fresh != login
        code = urlsplit(login).query.removeprefix("code=")
        async with http.post(
            f"{url}/login", data={"code": code}, headers={"Origin": url}, allow_redirects=False
        ) as answer:
            assert answer.status == 303
            cookie = answer.headers["Set-Cookie"].split(";")[0]
        inside = {"Cookie": cookie}
        async with http.get(url, headers=inside) as answer:
            page = await answer.text()
            assert answer.status == 200
            assert "dashboard.css" in page
            assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        for path in ("/docs", "/openapi.json", "/redoc", "/_nicegui/../../etc/passwd", "/%2e%2e/x"):
            async with http.get(url + path, headers=inside) as answer:
                assert answer.status == 404
                assert "root:" not in await answer.text()
        async with http.get(f"{url}/dashboard.css", headers=inside) as answer:
            assert "--accent" in await answer.text()
        assert not list(tmp_path.glob("dashboard/*"))
    assert is_clean_exit(child.exit_code)
    assert child.exit_code != -signal.SIGKILL
    assert not (tmp_path / DASHBOARD_FILE).exists()


async def test_a_taken_port_names_the_remedy(tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        settings = DashboardSettings(port=taken.getsockname()[1])
        with pytest.raises(ConfigurationError, match="TRADING_DASHBOARD__PORT"):
            async with dashboard(
                settings, data_dir=tmp_path, link=None, pages=(), clock=ManualClock()
            ):
                pass
