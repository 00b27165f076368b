"""Debian's real Prometheus reads what the system tells, and the shipped rules fire and clear.

Needs ``prometheus`` and ``promtool`` (Debian: ``apt install prometheus``); skipped without them.
"""

from __future__ import annotations

import asyncio
import itertools
import json
import math
import re
import shutil
import socket
import subprocess
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import pytest
from control_desk import FakeControl
from inspection import FakeInspection, full_status
from prometheus_client.parser import text_string_to_metric_families

from trading_system.api.server import control_api
from trading_system.monitoring.exposition import render
from trading_system.monitoring.latency import STAGES, StageLatency

pytestmark = pytest.mark.browser

PROMETHEUS, PROMTOOL = shutil.which("prometheus"), shutil.which("promtool")
DEPLOY = Path(__file__).resolve().parents[2] / "deploy"
BOARD = DEPLOY / "grafana" / "boards" / "trading.json"
METRIC = re.compile(r"\btrading_[a-z_]+\b")
WITHIN_S = 15.0
MS = 1_000_000

needs_prometheus = pytest.mark.skipif(
    PROMETHEUS is None, reason="prometheus is not installed (Debian: apt install prometheus)"
)
needs_promtool = pytest.mark.skipif(
    PROMTOOL is None, reason="promtool is not installed (Debian: apt install prometheus)"
)


class System(FakeControl, FakeInspection):
    """A system behind the real control API; every scrape finds it at work."""

    def __init__(self):
        FakeControl.__init__(self)
        FakeInspection.__init__(self)
        self.figures = full_status()
        self.stages = StageLatency()

    def get_system_status(self):
        self.figures["orders"]["sent"] += 10
        for stage, step in itertools.product(STAGES, range(20)):
            self.stages.record(stage, (20 if step == 19 else 3) * MS)
        return self.figures

    def latency(self):
        return {**super().latency(), "stages": self.stages.detail()}

    def text(self):
        return render(self.get_system_status(), self.latency(), alerts=self.alerts())

    def halt(self):
        self.figures["trading_state"] = "HALTED"
        self.figures["health"]["score"] = 40.0

    def recover(self):
        self.figures["trading_state"] = "ACTIVE"
        self.figures["health"]["score"] = 97.0

    @asynccontextmanager
    async def listening(self, folder):
        """Serve the control API, which writes ``read.token`` into the folder."""
        async with control_api(self, self, self, host="127.0.0.1", port=0, data_dir=folder) as url:
            yield urlsplit(url).port


class Prometheus:
    """Debian's Prometheus on loopback, with the shipped files at a rhythm of one second."""

    def __init__(self, http, port):
        self._http = http
        self._url = f"http://127.0.0.1:{port}"

    async def ask(self, path, **query):
        async with self._http.get(f"{self._url}{path}", params=query) as answer:
            assert answer.status == 200, await answer.text()
            return await answer.json()

    async def value(self, expression):
        """Return the figure of the first series, None without one."""
        result = (await self.ask("/api/v1/query", query=expression))["data"]["result"]
        figure = float(result[0]["value"][1]) if result else math.nan
        return figure if math.isfinite(figure) else None

    async def firing(self):
        alerts = (await self.ask("/api/v1/alerts"))["data"]["alerts"]
        return {a["labels"]["alertname"] for a in alerts if a["state"] == "firing"}

    async def is_ready(self):
        try:
            async with self._http.get(f"{self._url}/-/ready") as answer:
                return answer.status == 200
        except aiohttp.ClientConnectionError:
            return False


async def until(question, accepts=bool):
    """Ask again and again until the answer is accepted; return it."""
    loop = asyncio.get_running_loop()
    ends = loop.time() + WITHIN_S
    while not accepts(answer := await question()):
        assert loop.time() < ends, f"the last answer was {answer!r}"
        await asyncio.sleep(0.05)
    return answer


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def configured(folder, port):
    """Write the shipped files with this test's address, token and rhythm; return the first one."""
    token = folder / "read.token"
    text = (DEPLOY / "prometheus.yml").read_text()
    for shipped, here in (
        ("127.0.0.1:8600", f"127.0.0.1:{port}"),
        ("/data/read.token", str(token)),
        ("interval: 5s", "interval: 1s"),
        ("scrape_timeout: 3s", "scrape_timeout: 1s"),
    ):
        assert shipped in text
        text = text.replace(shipped, here)
    (folder / "rules.yml").write_text((DEPLOY / "rules.yml").read_text())
    path = folder / "prometheus.yml"
    path.write_text(text)
    return path


@asynccontextmanager
async def prometheus(folder, target_port):
    port = free_port()
    log_path = folder / "prometheus.log"
    with log_path.open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            PROMETHEUS,
            f"--config.file={configured(folder, target_port)}",
            f"--storage.tsdb.path={folder / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            stdout=log,
            stderr=log,
        )
    try:
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as http:
            server = Prometheus(http, port)
            await until(server.is_ready)
            yield server
    finally:
        if process.returncode is None:
            process.terminate()
        async with asyncio.timeout(10):
            status = await process.wait()
    assert status == 0, log_path.read_text()[-2000:]


def told_names():
    text = System().text().decode()
    return {
        sample.name
        for family in text_string_to_metric_families(text)
        for sample in (*family.samples, family)
    } | {f"{f.name}_total" for f in text_string_to_metric_families(text) if f.type == "counter"}


def board_expressions():
    panels = json.loads(BOARD.read_text())["panels"]
    return [target["expr"] for panel in panels for target in panel.get("targets", ())]


@needs_prometheus
@pytest.mark.xdist_group("processes")
@pytest.mark.timeout(60)
async def test_the_real_prometheus_scrapes_computes_and_fires_and_clears_the_shipped_alerts(
    tmp_path,
):
    system = System()
    async with system.listening(tmp_path) as port, prometheus(tmp_path, port) as server:
        await until(lambda: server.value('up{job="trading-system"}'), lambda value: value == 1.0)
        assert await server.value("trading_health_score") == 97.0
        assert await server.firing() & {"TradingHalted", "TradingHealthLow"} == set()

        system.halt()
        await until(server.firing, {"TradingHalted", "TradingHealthLow"}.issubset)
        system.recover()
        await until(server.firing, lambda names: not names & {"TradingHalted", "TradingHealthLow"})

        assert (await until(lambda: server.value("rate(trading_orders_sent_total[20s])"))) > 1.0
        of_acks = 'sum by (le) (rate(trading_stage_duration_seconds_bucket{stage="ack"}[20s]))'
        quantile = await until(lambda: server.value(f"histogram_quantile(0.5, {of_acks})"))
        assert 0.0025 < quantile <= 0.005
        slowest = await server.value(f"histogram_quantile(0.99, {of_acks})")
        assert 0.01 < slowest <= 0.025
        rolling = 'trading_stage_rolling_seconds{stage="ack",quantile="0.5"}'
        assert await server.value(rolling) == pytest.approx(0.003, rel=0.01)

        empty = [e for e in board_expressions() if await series(server, e) == "refused"]
        assert empty == []


async def series(server, expression):
    answer = await server.ask("/api/v1/query", query=expression)
    return "refused" if answer["status"] != "success" else answer["data"]["result"]


@needs_prometheus
@pytest.mark.xdist_group("processes")
@pytest.mark.timeout(60)
async def test_a_system_that_is_gone_is_down_and_a_wrong_token_scrapes_nothing(tmp_path):
    system = System()
    async with system.listening(tmp_path) as port, prometheus(tmp_path, port) as server:
        (tmp_path / "read.token").write_text("another token")
        await until(lambda: server.value('up{job="trading-system"} == bool 0'))
        targets = (await server.ask("/api/v1/targets"))["data"]["activeTargets"]
        assert "401" in targets[0]["lastError"]
        pending = (await server.ask("/api/v1/alerts"))["data"]["alerts"]
        states = {alert["labels"]["alertname"]: alert["state"] for alert in pending}
        assert states.get("TradingSystemDown", "pending") in {"pending", "firing"}


@needs_promtool
@pytest.mark.parametrize("kind", ["config", "rules"])
def test_promtool_accepts_the_shipped_files(tmp_path, kind):
    (tmp_path / "read.token").write_text("a token")
    path = configured(tmp_path, 8600) if kind == "config" else DEPLOY / "rules.yml"
    done = subprocess.run(
        [PROMTOOL, "check", kind, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "SUCCESS" in done.stdout


@needs_promtool
def test_promtool_finds_nothing_wrong_with_the_text_itself():
    done = subprocess.run(
        [PROMTOOL, "check", "metrics"], input=System().text(), capture_output=True, check=False
    )
    complaints = (done.stdout + done.stderr).decode()
    assert done.returncode == 0, complaints


@pytest.mark.parametrize("path", [BOARD, DEPLOY / "rules.yml"], ids=lambda path: path.name)
def test_every_metric_that_board_and_rules_name_is_told(path):
    text = "\n".join(board_expressions()) if path is BOARD else path.read_text()
    named = set(METRIC.findall(text))
    assert len(named) > 10
    assert named - told_names() == set()


def test_the_board_shows_every_area_and_places_no_panel_on_another():
    panels = json.loads(BOARD.read_text())["panels"]
    rows = [panel["title"] for panel in panels if panel["type"] == "row"]
    assert rows == [
        "Health and compliance",
        "Latency by stage",
        "Orders and fills",
        "Equity",
        "Alerts",
        "Process",
    ]
    cells = [
        (x, y)
        for place in (panel["gridPos"] for panel in panels)
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def test_containers_publish_on_loopback_only_and_run_without_root_from_pinned_images():
    text = (DEPLOY / "compose.yaml").read_text()
    ports = re.findall(r'^\s*ports: \["([^"]+)"\]', text, re.MULTILINE)
    assert ports == ["127.0.0.1:3000:3000"]
    assert len(re.findall(r"^\s+user: ", text, re.MULTILINE)) == 3
    assert not re.search(r'user: "0|privileged: true|network_mode: "?host', text)
    assert text.count("healthcheck:") == 3
    dockerfile = (DEPLOY / "Dockerfile").read_text()
    images = re.findall(r"^\s+image: (\S+)", text, re.MULTILINE)
    images += re.findall(r"^FROM (\S+)", dockerfile, re.MULTILINE)
    assert all(re.search(r":v?\d+\.\d+\.\d+", image) for image in images)
    assert "--require-hashes" in dockerfile
    assert re.search(r"^USER (?!0|root)", dockerfile, re.MULTILINE)
