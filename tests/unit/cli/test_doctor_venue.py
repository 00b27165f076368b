"""Checks of venue and key against a small server that answers as told."""

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from trading_system.cli.doctor import venue
from trading_system.cli.doctor.findings import CheckStatus, Finding, is_fit
from trading_system.cli.doctor.probe import Answer
from trading_system.cli.doctor.run import remote_findings
from trading_system.config.settings import Settings, load_settings
from trading_system.runtime.clock import ManualClock

OK, WARNING, FAILED = CheckStatus.OK, CheckStatus.WARNING, CheckStatus.FAILED
NOW_NS = 1_700_000_000_000_000_000
KEY: dict[str, Any] = {
    "readOnly": 0,
    "permissions": {"ContractTrade": ["Order", "Position"], "Wallet": []},
    "ips": ["10.0.0.1"],
    "expiredAt": "2030-01-01T00:00:00Z",
}
ANSWERS: dict[str, Any] = {
    "/v5/market/time": {"timeNano": str(NOW_NS)},
    "/v5/user/query-api": KEY,
    "/v5/position/list": {"list": [{"positionIdx": 0}]},
    "/v5/account/wallet-balance": {
        "list": [{"totalEquity": "5000", "totalAvailableBalance": "4000"}]
    },
    "/v5/account/fee-rate": {"list": [{"takerFeeRate": "0.00055", "makerFeeRate": "0.0002"}]},
    "/v5/order/realtime": {"list": []},
    "/v5/account/query-dcp-info": {"dcpInfos": []},
}


def key(**changes: Any) -> Finding:
    return venue.judge_key({**KEY, **changes}, allow_transfer=False, now_ns=NOW_NS)


def rights(*wallet: str, trade: tuple[str, ...] = ("Order", "Position")) -> dict[str, Any]:
    return {"permissions": {"ContractTrade": list(trade), "Wallet": list(wallet)}}


@pytest.mark.parametrize(
    ("changes", "status", "says"),
    [
        ({}, OK, "no withdrawal"),
        (rights("Withdraw"), FAILED, "withdraw"),
        (rights("AccountTransfer"), FAILED, "AccountTransfer"),
        (rights(trade=("Order",)), FAILED, "Position"),
        ({"readOnly": 1}, FAILED, "read-only"),
        ({"expiredAt": "2023-11-20T00:00:00Z"}, WARNING, "expires in 5 days"),
        ({"expiredAt": "2023-10-01T00:00:00Z"}, FAILED, "expired"),
        ({"ips": ["*"]}, WARNING, "any address"),
        ({"ips": []}, WARNING, "any address"),
    ],
)
def test_a_key_may_trade_and_nothing_else(
    changes: dict[str, Any], status: CheckStatus, says: str
) -> None:
    finding = key(**changes)
    assert (finding.status, says in finding.detail) == (status, True)
    assert (status is OK) == (finding.remedy == "")


def test_a_transfer_right_can_be_allowed_and_a_withdrawal_never() -> None:
    moving = {**KEY, **rights("SubMemberTransfer")}
    assert venue.judge_key(moving, allow_transfer=True, now_ns=NOW_NS).status is OK
    taking = {**KEY, **rights("Withdraw")}
    assert venue.judge_key(taking, allow_transfer=True, now_ns=NOW_NS).status is FAILED


@pytest.mark.parametrize(
    ("offset_ms", "status"), [(0, OK), (-400, OK), (900, WARNING), (-900, WARNING), (6000, FAILED)]
)
def test_the_clock_is_judged_by_its_offset(offset_ms: int, status: CheckStatus) -> None:
    answer = Answer(
        result={"timeNano": str(NOW_NS + offset_ms * 1_000_000)},
        headers={},
        sent_ns=NOW_NS - 5_000_000,
        back_ns=NOW_NS + 5_000_000,
    )
    finding, offset_ns = venue.judge_clock(answer, recv_window_ms=5000)
    assert (finding.status, offset_ns) == (status, offset_ms * 1_000_000)


@pytest.mark.parametrize(
    ("available", "status"), [("4000", OK), ("10", WARNING), ("0", FAILED), ("", FAILED)]
)
def test_the_balance_must_pay_an_entry(available: str, status: CheckStatus) -> None:
    row = {"totalEquity": "1", "totalAvailableBalance": available}
    finding = venue.judge_balance({"list": [row]}, entry_notional=Decimal(1000))
    assert finding.status is status


def test_the_position_mode_is_told_and_either_is_fine() -> None:
    rows = [{"positionIdx": 1}, {"positionIdx": 2}]
    hedged = venue.judge_position_mode("BTCUSDT", {"list": rows})
    assert (hedged.status, "hedge mode" in hedged.detail) == (OK, True)
    assert "one-way" in venue.judge_position_mode("BTCUSDT", {"list": rows[:0]}).detail


@pytest.mark.parametrize(
    ("row", "says"),
    [
        ({"parentUid": "0"}, "main account, HMAC key"),
        ({"isMaster": True, "parentUid": "0"}, "main account"),
        ({"isMaster": False, "parentUid": "77"}, "sub-account of 77"),
        ({"parentUid": "77", "rsaPublicKey": "x"}, "sub-account of 77, RSA key"),
        ({}, "main account"),
    ],
)
def test_the_kind_of_account_and_key_is_told(row: dict[str, Any], says: str) -> None:
    assert says in key(**row).detail


@pytest.mark.parametrize(
    ("rows", "says"),
    [
        ([], "not offered"),
        (None, "not offered"),
        ([{"product": "DERIVATIVES", "dcpStatus": "OFF", "timeWindow": "10"}], "not offered"),
        ([{"product": "SPOT", "dcpStatus": "ON", "timeWindow": "10"}], "not offered"),
        ([{"product": "DERIVATIVES", "dcpStatus": "ON", "timeWindow": "40"}], "after 40 s"),
    ],
)
def test_cancel_on_disconnect_is_told_where_the_account_has_it(rows: Any, says: str) -> None:
    finding = venue.judge_cancel_on_disconnect({"dcpInfos": rows})
    assert (finding.status, says in finding.detail) == (OK, True)


async def test_a_venue_without_cancel_on_disconnect_is_no_fault(tmp_path: Path) -> None:
    found = await findings(tmp_path, {**ANSWERS, "/v5/account/query-dcp-info": 10017})
    assert "not offered" in found["cancel on disconnect"].detail


async def test_a_private_key_that_others_may_read_is_named_with_its_remedy(
    tmp_path: Path,
) -> None:
    file = tmp_path / "key.pem"
    file.write_text("secret")
    file.chmod(0o644)
    given = {"bybit.rest_url": "http://127.0.0.1:9", "bybit.ws_url": "ws://127.0.0.1:9"}
    given |= {"bybit.api_key": "k", "bybit.private_key_file": str(file)}
    nowhere = tmp_path / "nothing"
    loaded = load_settings(given, environ={}, dotenv_path=nowhere, config_path=nowhere)
    (finding,) = await remote_findings(loaded, clock=ManualClock(NOW_NS))
    assert (finding.status, "chmod 600" in finding.remedy) == (FAILED, True)
    assert "secret" not in finding.detail


def test_limits_name_what_the_venue_documents() -> None:
    headers = {"X-Bapi-Limit": "50", "X-Bapi-Limit-Status": "49"}
    fine = venue.judge_limits(headers, orders_per_second=5)
    assert (fine.status, "49 of 50" in fine.detail) == (OK, True)
    assert venue.judge_limits({}, orders_per_second=50).status is WARNING


@asynccontextmanager
async def serving(answers: dict[str, Any]) -> AsyncIterator[str]:
    async def answer(request: web.Request) -> web.Response:
        found = answers.get(request.path)
        if isinstance(found, int):
            return web.json_response({"retCode": found, "retMsg": "no", "result": {}})
        if isinstance(found, str):
            return web.Response(text=found)
        return web.json_response({"retCode": 0, "retMsg": "OK", "result": found})

    app = web.Application()
    app.router.add_get("/{tail:.*}", answer)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def settings(tmp_path: Path, url: str) -> Settings:
    given = {
        "bybit.rest_url": url,
        "bybit.ws_url": "ws://127.0.0.1:9",
        "bybit.api_key": "k",
        "bybit.api_secret": "s",
    }
    nowhere = tmp_path / "nothing"
    return load_settings(given, environ={}, dotenv_path=nowhere, config_path=nowhere)


async def findings(tmp_path: Path, answers: dict[str, Any]) -> dict[str, Finding]:
    async with serving(answers) as url:
        found = await remote_findings(settings(tmp_path, url), clock=ManualClock(NOW_NS))
    return {finding.name: finding for finding in found}


async def test_a_good_account_passes_every_check(tmp_path: Path) -> None:
    found = await findings(tmp_path, ANSWERS)
    assert [name for name, finding in found.items() if finding.status is not OK] == []
    assert len(found) == 7
    assert is_fit(found.values())


@pytest.mark.parametrize("path", [path for path in ANSWERS if path != "/v5/market/time"])
@pytest.mark.parametrize("broken", [10003, "<html>", {}, {"list": []}, []])
async def test_an_answer_that_is_missing_or_refused_fails_its_own_check_only(
    tmp_path: Path, path: str, broken: Any
) -> None:
    found = await findings(tmp_path, {**ANSWERS, path: broken})
    failed = [name for name, finding in found.items() if finding.status is FAILED]
    lists = {"/v5/order/realtime", "/v5/position/list", "/v5/account/query-dcp-info"}
    is_harmless = path in lists and isinstance(broken, dict)
    assert len(found) == 7
    assert len(failed) <= 1
    assert bool(failed) or is_harmless


@pytest.mark.parametrize("broken", [10016, "<html>", {"timeNano": "soon"}])
async def test_a_host_that_is_no_venue_is_the_only_finding(tmp_path: Path, broken: Any) -> None:
    found = await findings(tmp_path, {**ANSWERS, "/v5/market/time": broken})
    assert [(name, f.status) for name, f in found.items()] == [("venue", FAILED)]


async def test_an_unreachable_host_is_the_only_finding(tmp_path: Path) -> None:
    found = await remote_findings(
        settings(tmp_path, "http://127.0.0.1:9"), clock=ManualClock(NOW_NS)
    )
    assert [(f.name, f.status) for f in found] == [("venue", FAILED)]
    assert "TRADING_BYBIT__REST_URL" in found[0].remedy


async def test_the_command_examines_the_venue_that_is_set(
    command: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with serving(ANSWERS) as url:
        for name, value in {
            "REST_URL": url,
            "WS_URL": "ws://127.0.0.1:9",
            "API_KEY": "k",
            "API_SECRET": "s3cret",
        }.items():
            monkeypatch.setenv(f"TRADING_BYBIT__{name}", value)
        outcome = await command("doctor", "--json")
    rows = {row["name"]: row["status"] for row in json.loads(outcome.out)["checks"]}
    # The answers' clock stands still in the past, far beyond the receive window.
    assert (outcome.code, rows["clock offset"], rows["key permissions"]) == (1, "failed", "ok")
    assert "s3cret" not in outcome.out + outcome.err
