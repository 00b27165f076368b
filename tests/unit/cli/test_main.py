import json
import subprocess
import sys
from pathlib import Path

import pytest


def command(tmp_path: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "trading_system", *arguments],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        cwd=tmp_path,
        env={"PATH": "/usr/bin:/bin", "TRADING_DATA_DIR": str(tmp_path / "data"), **variables},
    )


@pytest.mark.parametrize(
    ("arguments", "variables", "names"),
    [
        (["start", "--duration", "x"], {}, "--duration"),
        (["start", "--environment", "moon"], {}, "TRADING_ENVIRONMENT"),
        (["start", "--strategy", "luck"], {}, "TRADING_STRATEGY__NAME"),
        (["start", "--nope"], {}, "--nope"),
        (["nope"], {}, "nope"),
        (["start"], {"TRADING_VENU__SEED": "1"}, "TRADING_VENUE__SEED"),
        (["start"], {"TRADING_VENUE__SEED": "many"}, "TRADING_VENUE__SEED"),
        (["start"], {"TRADING_RISK__COLLAR_BPS": "-1"}, "TRADING_RISK__COLLAR_BPS"),
        (["start", "--environment", "mainnet"], {}, "TRADING_LIVE_CONFIRM"),
        (["start", "--environment", "testnet"], {}, "TRADING_BYBIT__API_KEY"),
        (["venue", "--market", "dream"], {}, "--market"),
        (["venue", "--symbols", "XX"], {}, "XX"),
        (["venue", "--market", "replay"], {}, "--recording"),
        (["venue", "--recording", "/nope"], {}, "--market replay"),
        (["venue", "--market", "replay", "--recording", "/nope"], {}, "/nope"),
        (["venue", "--speed", "nan"], {}, "--speed"),
        (["venue", "--port", "99999"], {}, "99999"),
    ],
)
def test_misuse_is_one_line_that_names_the_setting(
    tmp_path: Path, arguments: list[str], variables: dict[str, str], names: str
) -> None:
    result = command(tmp_path, *arguments, **variables)
    lines = result.stderr.strip().splitlines()
    assert (result.returncode, result.stdout) == (2, "")
    assert lines[-1].startswith("error: ")
    assert names in lines[-1]
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("name", ["status", "compliance", "stop"])
def test_without_a_running_system_the_commands_say_so(tmp_path: Path, name: str) -> None:
    result = command(tmp_path, name, "--json")
    assert (result.returncode, result.stdout) == (3, "")
    assert "trading-system start" in result.stderr


def test_a_stale_address_file_is_no_running_system(tmp_path: Path) -> None:
    folder = tmp_path / "data"
    folder.mkdir()
    content = {"url": "http://127.0.0.1:9", "token": "x", "pid": 1}
    (folder / "api.json").write_text(json.dumps(content))
    assert command(tmp_path, "status").returncode == 3


def test_help_and_version_answer(tmp_path: Path) -> None:
    assert "venue" in command(tmp_path, "--help").stdout
    assert command(tmp_path, "--version").stdout.startswith("trading-system ")
    assert "Commands:" in command(tmp_path).stdout
