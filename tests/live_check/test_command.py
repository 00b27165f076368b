"""``make live-check`` as a user runs it: settings, certificate, table, JSON, exit codes, Ctrl-C."""

import json
import os
import signal
import threading

import pytest
from live_host import live_host
from loopback_tls import CERTIFICATE

from trading_system.cli.live_check.__main__ import main
from trading_system.cli.live_check.guard import CONFIRMATION
from trading_system.cli.output import ExitCode
from trading_system.simulation.venue import default_accounts

ACCOUNT = default_accounts(seed=1)[0]
QUICK = ["--books", "0.3", "--pace", "0"]
INTERRUPTED = 130


@pytest.fixture
def relay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ca.pem").write_text(CERTIFICATE)
    with live_host(tmp_path) as found:
        at = f"127.0.0.1:{found.port}"
        for name, text in {
            "TRADING_ENVIRONMENT": "testnet",
            "TRADING_LIVE_CONFIRM": CONFIRMATION,
            "TRADING_BYBIT__API_KEY": ACCOUNT.api_key,
            "TRADING_BYBIT__API_SECRET": ACCOUNT.api_secret,
            "TRADING_BYBIT__REST_URL": f"https://{at}",
            "TRADING_BYBIT__WS_URL": f"wss://{at}",
        }.items():
            monkeypatch.setenv(name, text)
        yield found


def test_like_host_exits_0_and_json_stands_alone_on_standard_output(relay, tmp_path, capsys):
    code = main(["--json", "--ca-file", "ca.pem", *QUICK], os.environ)
    result = json.loads(capsys.readouterr().out)
    assert (code, result["problems"], result["is_alike"]) == (ExitCode.OK, [], True)
    assert next(tmp_path.glob(".trading/live-check/*/host/transcript.jsonl")).stat().st_size > 0


def test_other_host_exits_1_with_a_table_of_differences(relay, capsys):
    relay.swaps[b'"uta":'] = b'"utA":'
    code = main(["--read-only", "--ca-file", "ca.pem", *QUICK], os.environ)
    told = capsys.readouterr()
    assert code == ExitCode.TARGET_MISSED
    assert "result.uta" in told.out
    assert "NOT alike" in told.err


def test_certificate_that_is_not_trusted_exits_1_and_is_named(relay, capsys):
    assert main(QUICK, os.environ) == ExitCode.TARGET_MISSED
    assert "is not trusted, nothing was sent" in capsys.readouterr().err
    assert relay.asked_bytes == 0


def test_ctrl_c_cancels_what_was_sent_and_exits_130(relay, capsys):
    # The first order request of the host's turn is answered late enough to be interrupted.
    relay.on_asked = {b"/v5/order/create ": lambda: os.kill(os.getpid(), signal.SIGINT)}
    assert threading.current_thread() is threading.main_thread()
    assert main(["--ca-file", "ca.pem", *QUICK], os.environ) == INTERRUPTED
    told = capsys.readouterr().err
    assert "interrupted: cancelling what was sent" in told
    assert "CHECK BY HAND" not in told
