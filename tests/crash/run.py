"""Kill the trading process at random moments and prove that nothing is lost or doubled.

Each round starts the real command against one stand-alone venue, kills it with SIGKILL while it
starts, trades or waits, and starts it again without a strategy. After that second run the venue's
own records, read with a client that shares nothing with the system, must equal the local ones:

* every order at the venue was an intent in the journal before it was sent, and only once;
* every execution at the venue is in the journal, each exactly once, and no other is;
* positions are equal, no own order is open, and no intent is without a known end.

Usage: ``python tests/crash/run.py --runs 50 [--seed 1] [--json]``.
"""

from __future__ import annotations

import argparse
import collections
import hashlib
import hmac
import json
import os
import random
import select
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

START = [sys.executable, "-m", "trading_system", "start", "--no-dashboard", "--json"]
VENUE = [
    sys.executable,
    "-m",
    "trading_system",
    "venue",
    "--port",
    "0",
    "--limits",
    "off",
    "--json",
]
READY = "trading-system runs"
BUSY = {
    "TRADING_STRATEGY__MIN_EDGE_BPS": "-50",
    "TRADING_STRATEGY__CONFIDENCE": "0",
    "TRADING_STRATEGY__DECISION_INTERVAL_S": "0.1",
    "TRADING_STRATEGY__MAX_HOLD_S": "1",
    "TRADING_STRATEGY__ENTRY_NOTIONAL": "500",
    "TRADING_RISK__MAX_DAILY_LOSS_PCT": "100",
    "TRADING_RISK__MAX_DRAWDOWN_PCT": "100",
}
# Row kinds of the journal, spelled here again: this script trusts nothing of the system.
INTENT, SETTLED, FILL = 2, 4, 5


class CrashError(AssertionError):
    """A promise was broken; the text says which."""


@dataclass
class Venue:
    """The stand-alone venue and a signing reader of its own."""

    process: subprocess.Popen[str]
    ready: dict[str, Any]

    def read(self, path: str, **parameters: str) -> list[dict[str, Any]]:
        """Return all rows of a signed, paged query."""
        rows: list[dict[str, Any]] = []
        cursor = ""
        for _ in range(400):
            query = {"category": "linear", "limit": "50", **parameters}
            if cursor:
                query["cursor"] = cursor
            result = self._get(path, urllib.parse.urlencode(query))
            rows += result["list"]
            cursor = result.get("nextPageCursor", "")
            if not cursor:
                return rows
        raise CrashError(f"{path} has no end")

    def _get(self, path: str, query: str) -> dict[str, Any]:
        key, secret = self.ready["api_key"], self.ready["api_secret"]
        stamp = str(int(time.time() * 1000))  # noqa: TID251 - real time, as any client has it
        text = f"{stamp}{key}5000{query}"
        headers = {
            "X-BAPI-API-KEY": key,
            "X-BAPI-TIMESTAMP": stamp,
            "X-BAPI-RECV-WINDOW": "5000",
            "X-BAPI-SIGN": hmac.new(secret.encode(), text.encode(), hashlib.sha256).hexdigest(),
        }
        request = urllib.request.Request(f"{self.ready['rest']}{path}?{query}", headers=headers)
        with urllib.request.urlopen(request, timeout=10) as answer:
            envelope = json.loads(answer.read())
        if envelope["retCode"] != 0:
            raise CrashError(f"{path}: {envelope['retCode']} {envelope['retMsg']}")
        result: dict[str, Any] = envelope["result"]
        return result


@dataclass
class Tally:
    """What the rounds did and found."""

    rounds: int = 0
    killed_starting: int = 0
    killed_running: int = 0
    orders: int = 0
    executions: int = 0
    recovered_intents: int = 0
    lost: int = 0
    duplicated: int = 0
    recovery_s: list[float] = field(default_factory=list)


def launch_venue(folder: Path, seed: int) -> Venue:
    """Start a stand-alone venue without request quotas."""
    process = subprocess.Popen(
        [*VENUE, "--seed", str(seed)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
        env=clean_environment(folder),
    )
    assert process.stdout is not None
    return Venue(process, json.loads(process.stdout.readline()))


def clean_environment(folder: Path, **variables: str) -> dict[str, str]:
    """Return the environment without settings of whoever runs this."""
    kept = {k: v for k, v in os.environ.items() if not k.startswith("TRADING_")}
    return {**kept, "TRADING_DATA_DIR": str(folder / "data"), **variables}


def system_environment(folder: Path, venue: Venue, **variables: str) -> dict[str, str]:
    """Return the environment of a trading process that uses ``venue``."""
    return clean_environment(
        folder,
        TRADING_BYBIT__REST_URL=venue.ready["rest"],
        TRADING_BYBIT__WS_URL=venue.ready["ws"],
        TRADING_BYBIT__API_KEY=venue.ready["api_key"],
        TRADING_BYBIT__API_SECRET=venue.ready["api_secret"],
        **variables,
    )


def kill_once(folder: Path, venue: Venue, rng: random.Random, tally: Tally) -> None:
    """Start trading and kill the process at a random moment."""
    process = subprocess.Popen(
        START,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        env=system_environment(folder, venue, **BUSY),
    )
    assert process.stderr is not None
    is_early = rng.random() < 0.2
    deadline = time.monotonic() + (rng.uniform(0.3, 4.0) if is_early else 30.0)
    is_ready = wait_for_line(process, READY, deadline)
    if is_ready:
        tally.killed_running += 1
        wait_for_line(process, "\0never", time.monotonic() + rng.uniform(0.2, 8.0))
    else:
        tally.killed_starting += 1
        if not is_early:
            process.kill()
            raise CrashError("the system was not ready within 30 s")
    os.kill(process.pid, signal.SIGKILL)
    process.wait(timeout=10)
    process.stderr.close()


def wait_for_line(process: subprocess.Popen[bytes], text: str, deadline: float) -> bool:
    """Drain standard error until ``text`` comes or time is up."""
    assert process.stderr is not None
    descriptor, tail = process.stderr.fileno(), b""
    while (left := deadline - time.monotonic()) > 0:
        if not select.select([descriptor], [], [], left)[0]:
            return False
        chunk = os.read(descriptor, 65_536)
        if not chunk:
            raise CrashError(f"the system ended by itself: {tail[-2000:].decode(errors='replace')}")
        tail = (tail + chunk)[-4096:]
        if text.encode() in tail:
            return True
    return False


def verify(folder: Path, venue: Venue, tally: Tally) -> None:
    """Start without a strategy, stop, and compare both sides."""
    before = len(unsettled(folder))
    began = time.monotonic()
    run = subprocess.run(
        [*START, "--duration", "0.5"],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
        env=system_environment(folder, venue, TRADING_STRATEGY__NAME="none"),
    )
    if run.returncode != 0:
        raise CrashError(f"the restart ended with {run.returncode}: {run.stderr[-3000:]}")
    tally.recovery_s.append(time.monotonic() - began)
    tally.recovered_intents += before
    report = json.loads(run.stdout)
    compare_positions(report, venue)
    compare_records(folder, venue, tally)


def compare_positions(report: dict[str, Any], venue: Venue) -> None:
    """Check positions and open orders against the venue's own answers."""
    truth = {
        row["symbol"]: float(row["size"]) * (1 if row["side"] == "Buy" else -1)
        for row in venue.read("/v5/position/list", settleCoin="USDT")
        if float(row["size"])
    }
    local = {symbol: float(q) for symbol, q in report["position"]["local"].items()}
    if truth != local:
        raise CrashError(f"positions differ: venue {truth}, local {local}")
    working = [
        row["orderLinkId"]
        for row in venue.read("/v5/order/realtime", settleCoin="USDT", openOnly="0")
        if row["orderLinkId"].startswith("ts-")
    ]
    if working:
        raise CrashError(f"orders left open: {working}")


def compare_records(folder: Path, venue: Venue, tally: Tally) -> None:
    """Check orders and executions of the venue against the journal, one by one."""
    if unsettled(folder):
        raise CrashError(f"intents without a known end: {unsettled(folder)[:5]}")
    intents = collections.Counter(keys(folder, INTENT))
    orders = collections.Counter(
        row["orderLinkId"]
        for row in venue.read("/v5/order/history", settleCoin="USDT")
        if row["orderLinkId"].startswith("ts-")
    )
    repeated = [link for link, count in [*intents.items(), *orders.items()] if count > 1]
    unannounced = sorted(set(orders) - set(intents))
    executed = collections.Counter(
        row["execId"]
        for row in venue.read("/v5/execution/list", settleCoin="USDT")
        if row["orderLinkId"].startswith("ts-") and row["execType"] == "Trade"
    )
    booked = collections.Counter(
        fill["exec_id"] for fill in payloads(folder, FILL) if fill["link_id"].startswith("ts-")
    )
    lost, extra = executed - booked, booked - executed
    tally.orders, tally.executions = len(orders), len(executed)
    tally.lost = len(lost) + len(unannounced)
    tally.duplicated = len(extra) + len(repeated)
    if tally.lost or tally.duplicated:
        raise CrashError(
            f"orders sent twice {repeated}, sent without an intent {unannounced}; "
            f"executions lost {list(lost)[:5]}, doubled or invented {list(extra)[:5]}"
        )


def keys(folder: Path, kind: int) -> list[str]:
    """Return the keys of one kind of journal rows."""
    return [str(key) for (key,) in select_rows(folder, "SELECT key FROM entries", kind)]


def payloads(folder: Path, kind: int) -> list[dict[str, Any]]:
    """Return the decoded payloads of one kind of journal rows."""
    rows = select_rows(folder, "SELECT payload FROM entries", kind)
    return [json.loads(payload) for (payload,) in rows]


def select_rows(folder: Path, query: str, kind: int) -> list[tuple[Any, ...]]:
    """Return rows of every journal in the data folder, read over read-only connections."""
    found: list[tuple[Any, ...]] = []
    for path in sorted((folder / "data").glob("journal-*.sqlite")):
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            found += connection.execute(f"{query} WHERE kind = ? ORDER BY number", (kind,))
        finally:
            connection.close()
    return found


def unsettled(folder: Path) -> list[str]:
    """Return link ids of intents without a known end."""
    settled = set(keys(folder, SETTLED))
    return [link for link in keys(folder, INTENT) if link not in settled]


def main() -> int:
    """Run the rounds; exit 0 only if every promise held."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--runs", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    tally, rng = Tally(), random.Random(options.seed)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        venue = launch_venue(folder, options.seed)
        try:
            for number in range(options.runs):
                kill_once(folder, venue, rng, tally)
                verify(folder, venue, tally)
                tally.rounds += 1
                print(f"round {number + 1} of {options.runs}: equal", file=sys.stderr)
        except CrashError as e:
            print(f"broken in round {tally.rounds + 1} (seed {options.seed}): {e}", file=sys.stderr)
            return 1
        finally:
            venue.process.kill()
            venue.process.wait(timeout=10)
    slowest = sorted(tally.recovery_s)
    summary = {
        "rounds": tally.rounds,
        "killed_while_starting": tally.killed_starting,
        "killed_while_running": tally.killed_running,
        "orders": tally.orders,
        "executions": tally.executions,
        "intents_concluded_after_a_kill": tally.recovered_intents,
        "lost": tally.lost,
        "duplicated": tally.duplicated,
        "restart_p50_s": round(slowest[len(slowest) // 2], 2),
        "restart_max_s": round(slowest[-1], 2),
    }
    print(json.dumps(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
