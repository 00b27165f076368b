"""The operations guide: every alert with its remedy, the levels of behaviour, names that exist."""

import re
from pathlib import Path

import pytest
import typer
from pydantic import SecretStr

from trading_system.cli.main import app
from trading_system.config.operations import AlertSettings, HealthSettings
from trading_system.config.settings import KNOWN_BY_NAME, variables
from trading_system.dashboard.guard import CONTENT_SECURITY_POLICY
from trading_system.dashboard.routes import PAGES
from trading_system.monitoring.alerts.rules import RULES
from trading_system.monitoring.alerts.sinks import sinks_of
from trading_system.monitoring.behaviour import Level

ROOT = Path(__file__).parents[2]
OPERATIONS = (ROOT / "docs/operations.md").read_text()
DASHBOARD = (ROOT / "docs/dashboard.md").read_text()
DEPLOY = ROOT / "deploy"
COMMANDS = typer.main.get_command(app).commands


def rows(text: str, first: str) -> list[list[str]]:
    """Return the cells of the table whose header begins with ``first``."""
    _, found, rest = text.partition(f"| {first} |")
    assert found, f"no table of {first}"
    lines = rest.splitlines()[2:]
    count = next((i for i, line in enumerate(lines) if not line.startswith("|")), len(lines))
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[:count]]


def plain(text: str) -> str:
    return text.replace("`", "")


def test_the_guide_explains_exactly_the_alerts_that_exist() -> None:
    told = [tuple(map(plain, row)) for row in rows(OPERATIONS, "alert")]
    assert told == [
        (rule.name, rule.severity.name.lower(), plain(rule.meaning), plain(rule.remedy))
        for rule in RULES
    ]


def test_the_levels_and_their_thresholds_are_those_of_the_settings() -> None:
    settings = HealthSettings()
    thresholds = {
        Level.NORMAL: "-",
        Level.THROTTLE: f"{settings.throttle_below:g} (TRADING_HEALTH__THROTTLE_BELOW)",
        Level.REDUCE_ONLY: f"{settings.reduce_below:g} (TRADING_HEALTH__REDUCE_BELOW)",
        Level.HALT: f"{settings.halt_below:g} (TRADING_HEALTH__HALT_BELOW)",
    }
    told = [(plain(row[0]), plain(row[1])) for row in rows(OPERATIONS, "level")]
    assert told == [(level.label, bar) for level, bar in thresholds.items()]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_a_remedy_names_commands_and_settings_that_exist(rule: object) -> None:
    text = f"{rule.meaning} {rule.remedy}"  # type: ignore[attr-defined] # a rule
    assert set(re.findall(r"TRADING_\w+", text)) <= {*variables(), *KNOWN_BY_NAME}
    for line in re.findall(r"`trading-system ([^`]+)`", text):
        command, *given = line.split()
        options = {option for parameter in COMMANDS[command].params for option in parameter.opts}
        assert {word for word in given if word.startswith("--")} <= options


def test_commands_by_their_path_exist_too() -> None:
    for name in re.findall(r"bin/trading-system ([a-z][a-z-]*)", OPERATIONS):
        assert name in COMMANDS


def test_paths_and_ports_are_those_of_the_service() -> None:
    unit = (DEPLOY / "trading-system.service").read_text()
    for line in (
        "User=trading",
        "WorkingDirectory=/opt/trading-system",
        "TRADING_DATA_DIR=/var/lib/trading-system",
        "TRADING_API__PORT=8600",
        "TimeoutStopSec=60",
    ):
        assert line in unit
        value = line.partition("=")[2]
        assert value in OPERATIONS or value == "60"
    assert re.search(r"127\.0\.0\.1:8600\b", (DEPLOY / "prometheus.yml").read_text())


def test_no_proxy_of_the_guide_leads_to_the_control_api() -> None:
    targets = re.findall(r"(?:proxy_pass http://|reverse_proxy )([\w.:]+)", OPERATIONS)
    dashboard_port = re.search(r"^TRADING_DASHBOARD__PORT=(\d+)$", OPERATIONS, re.MULTILINE)
    assert dashboard_port is not None
    assert targets == [f"127.0.0.1:{dashboard_port.group(1)}"] * 2


def test_apprise_understands_the_addresses_of_the_guide() -> None:
    found = re.findall(r"^TRADING_ALERTS__URLS=(.+)$", OPERATIONS, re.MULTILINE)
    addresses = [address for line in found for address in line.strip('"').split()]
    assert len(addresses) >= 4
    sinks = sinks_of(AlertSettings(urls=tuple(map(SecretStr, addresses))))
    assert [sink.name for sink in sinks] == [address.partition(":")[0] for address in addresses]


def test_the_dashboard_guide_has_every_page_and_the_policy_in_force() -> None:
    assert [row[0].strip("*") for row in rows(DASHBOARD, "page")] == [page.title for page in PAGES]
    policy = " ".join(DASHBOARD.split())
    for directive in CONTENT_SECURITY_POLICY.split("; "):
        assert directive in policy
