"""Checks of the machine, each seen fine and each seen broken."""

import json
import socket
from pathlib import Path
from typing import Any

import pytest

from trading_system.api.address import ApiAddress, write_address
from trading_system.cli.doctor import machine
from trading_system.cli.doctor.findings import CheckStatus
from trading_system.cli.lock import exclusive
from trading_system.config.settings import Settings, load_settings

OK, WARNING, FAILED = CheckStatus.OK, CheckStatus.WARNING, CheckStatus.FAILED


def settings(tmp_path: Path, **values: object) -> Settings:
    nowhere = tmp_path / "nothing"
    given = {"data_dir": tmp_path / "data", **values}
    return load_settings(given, environ={}, dotenv_path=nowhere, config_path=nowhere)


def test_this_interpreter_and_its_libraries_are_fit() -> None:
    finding = machine.check_python()
    assert (finding.status, "numpy" in finding.detail) == (OK, True)


def test_an_old_interpreter_or_a_missing_library_is_named() -> None:
    missing = machine.check_python(required=["numpy", "no-such-thing"])
    assert (missing.status, "missing: no-such-thing" in missing.detail) == (FAILED, True)
    assert machine.check_python(oldest=(9, 0)).status is FAILED


def test_requirements_are_read_as_names() -> None:
    assert {"aiohttp", "numpy", "typing-extensions"} <= set(machine._required())
    assert machine._distribution("bare") == "bare"


def test_a_library_that_does_not_load_is_a_warning_with_a_remedy() -> None:
    assert machine.check_lightgbm().status is OK
    assert machine.check_lightgbm("no_such_package").status is WARNING
    broken = machine.check_lightgbm("json")
    assert (broken.status, "libgomp1" in broken.remedy) == (WARNING, True)


def test_a_free_data_directory_is_fit(tmp_path: Path) -> None:
    assert machine.check_data_dir(tmp_path / "new").status is OK


def test_a_data_directory_in_use_or_out_of_reach_is_told_apart(tmp_path: Path) -> None:
    with exclusive(tmp_path):
        assert machine.check_data_dir(tmp_path).status is FAILED
        write_address(tmp_path, ApiAddress("http://127.0.0.1:9", "t"))
        assert machine.check_data_dir(tmp_path).status is WARNING
    (tmp_path / "file").write_text("")
    finding = machine.check_data_dir(tmp_path / "file" / "data")
    assert (finding.status, "TRADING_DATA_DIR" in finding.remedy) == (FAILED, True)


@pytest.mark.parametrize(
    ("low", "least", "status"), [(1, 0, OK), (10**9, 0, WARNING), (1, 10**9, FAILED)]
)
def test_disk_space_is_judged_where_the_directory_will_be(
    tmp_path: Path, low: int, least: int, status: CheckStatus
) -> None:
    finding = machine.check_disk(tmp_path / "not" / "there", low_mib=low, least_mib=least)
    assert (finding.status, str(tmp_path) in finding.detail) == (status, True)


def test_the_kernel_cache_is_counted_or_said_to_be_out_of_reach(
    tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.delenv("NUMBA_CACHE_DIR", raising=False)
    assert "first start compiles" in machine.check_kernels(tmp_path).detail
    (tmp_path / "kernels" / "x.nbc").write_bytes(b"")
    assert "1 compiled" in machine.check_kernels(tmp_path).detail
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file" / "kernels"))
    assert machine.check_kernels(tmp_path).status is WARNING


def test_a_port_is_free_taken_or_out_of_reach(tmp_path: Path) -> None:
    assert "free port" in machine.check_port(settings(tmp_path)).detail
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        given = settings(tmp_path, **{"api.port": port})
        finding = machine.check_port(given)
        assert (finding.status, "TRADING_API__PORT" in finding.remedy) == (FAILED, True)
        (tmp_path / "data").mkdir()
        write_address(tmp_path / "data", ApiAddress("http://127.0.0.1:9", "t"))
        assert machine.check_port(given).status is OK
    (tmp_path / "data" / "api.json").unlink()
    assert "is free" in machine.check_port(given).detail


def test_recordings_are_opened(tmp_path: Path) -> None:
    def judged(path: Path) -> Any:
        given = {"venue.market": "replay", "venue.recording": str(path)}
        return machine.check_recordings(settings(tmp_path, **given))

    assert machine.check_recordings(settings(tmp_path)).status is OK
    assert judged(tmp_path / "none.gz").status is FAILED
    (tmp_path / "empty.gz").write_bytes(b"")
    assert "is empty" in judged(tmp_path / "empty.gz").detail
    (tmp_path / "some.gz").write_bytes(b"x")
    assert judged(tmp_path / "some.gz").status is OK


@pytest.mark.parametrize(
    ("spelled", "status"),
    [
        ("", OK),
        ("json:JSONDecoder", OK),
        ("no_such_module:Agent", FAILED),
        ("json:Nothing", FAILED),
        ("json:__name__", FAILED),
    ],
)
def test_own_agents_are_imported(tmp_path: Path, spelled: str, status: CheckStatus) -> None:
    given = settings(tmp_path, **{"strategy.signal": spelled})
    assert machine.check_signals(given).status is status


async def test_the_command_lists_every_check_and_exits_zero(command: Any) -> None:
    outcome = await command("doctor", "--json")
    answer = json.loads(outcome.out)
    assert (outcome.code, answer["fit"]) == (0, True)
    assert {tuple(row) for row in answer["checks"]} == {("name", "status", "detail", "remedy")}
    assert "Preflight" in (await command("doctor")).out


async def test_a_wrong_setting_is_a_failed_check_with_its_remedy(
    command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TRADING_VENUE__SEDE", "1")
    outcome = await command("doctor", "--json")
    first, *others = json.loads(outcome.out)["checks"]
    assert (outcome.code, first["status"], len(others) > 5) == (1, "failed", True)
    assert (first["name"], first["remedy"]) == (
        "configuration",
        "did you mean TRADING_VENUE__SEED?",
    )


@pytest.mark.parametrize(
    ("arguments", "variables", "remedy"),
    [
        (["--environment", "testnet"], {}, "TRADING_BYBIT__API_KEY"),
        (
            [],
            {
                "TRADING_BYBIT__REST_URL": "http://127.0.0.1:9",
                "TRADING_BYBIT__API_KEY": "k",
                "TRADING_BYBIT__API_SECRET": "s",
            },
            "TRADING_BYBIT__WS_URL",
        ),
    ],
)
async def test_what_the_venue_needs_is_asked_for(
    command: Any, monkeypatch: Any, arguments: list[str], variables: dict[str, str], remedy: str
) -> None:
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    outcome = await command("doctor", *arguments, "--json")
    last = json.loads(outcome.out)["checks"][-1]
    assert (outcome.code, last["status"], remedy in last["remedy"]) == (1, "failed", True)
