"""A journal is read back by run, without a trace, and never while a system holds it."""

import shutil
import sqlite3
from decimal import Decimal
from pathlib import Path

import pytest

from trading_system.domain.errors import ConfigurationError
from trading_system.domain.orders import Fill, OrderIntent, OrderType, Side
from trading_system.execution.journal.reading import JournalInUseError, read_runs
from trading_system.execution.journal.store import Journal
from trading_system.runtime.clock import ManualClock


def fill(number: int, side: Side, *, link_id: str = "foreign", price: int = 100) -> Fill:
    return Fill(
        exec_id=f"e-{number}",
        order_id="o",
        link_id=link_id,
        symbol="BTCUSDT",
        side=side,
        price=Decimal(price),
        quantity=Decimal(1),
        fee=Decimal("0.1"),
        is_maker=False,
        ts_exchange_ns=number,
    )


def intent(link_id: str) -> OrderIntent:
    return OrderIntent(
        symbol="BTCUSDT",
        side=Side.BUY,
        order_type=OrderType.MARKET,
        quantity=Decimal(1),
        link_id=link_id,
    )


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "journal-x.sqlite"


def opened(path: Path) -> Journal:
    return Journal.open(path, clock=ManualClock())


def test_trades_belong_to_the_run_that_opened_and_closed_them(path: Path) -> None:
    with opened(path) as journal:
        journal.begin_run("run-a")
        journal.note_fill(fill(1, Side.BUY))
        journal.note_fill(fill(2, Side.SELL, price=110))
        journal.note_fill(fill(3, Side.BUY))
        journal.begin_run("run-b")
        journal.note_fill(fill(4, Side.SELL))
        journal.note_fill(fill(5, Side.SELL))
    first, second = read_runs(path)
    assert (first.run_id, first.fills, len(first.trades)) == ("run-a", 3, 1)
    assert (first.shared_trades, second.shared_trades, second.trades) == (1, 1, ())
    assert first.started_ms == 1_700_000_000_000


def test_a_fill_found_after_a_crash_belongs_to_the_run_that_sent_the_order(path: Path) -> None:
    with opened(path) as journal:
        journal.begin_run("run-a")
        journal.write_intent(intent("ts-a-1"))
        journal.begin_run("run-b")
        journal.note_fill(fill(1, Side.BUY, link_id="ts-a-1"))
    assert [run.fills for run in read_runs(path)] == [1, 0]


def test_a_fresh_account_begins_flat(path: Path) -> None:
    with opened(path) as journal:
        for number, run_id in enumerate(("run-a", "run-b")):
            journal.begin_run(run_id, is_fresh_account=True)
            journal.note_fill(fill(10 * number, Side.BUY))
            if number:
                journal.note_fill(fill(11, Side.SELL))
    first, second = read_runs(path)
    assert (len(first.trades), len(second.trades), second.shared_trades) == (0, 1, 0)


def test_a_journal_in_use_is_refused_with_the_remedy(path: Path) -> None:
    with opened(path), pytest.raises(JournalInUseError, match="trading-system stop"):
        read_runs(path)
    assert read_runs(path) == []


def test_reading_changes_nothing_and_the_system_opens_it_afterwards(path: Path) -> None:
    with opened(path) as journal:
        journal.begin_run("run-a")
    before = path.read_bytes()
    path.chmod(0o400)
    assert [run.run_id for run in read_runs(path)] == ["run-a"]
    path.chmod(0o600)
    assert path.read_bytes() == before
    with opened(path) as journal:
        assert journal.runs() == ["run-a"]


def test_what_a_killed_system_left_is_read_whole(path: Path, tmp_path: Path) -> None:
    left = tmp_path / "left"
    left.mkdir()
    with opened(path) as journal:
        journal.begin_run("run-a")
        for one in tmp_path.glob(f"{path.name}*"):
            shutil.copy(one, left)
    assert [run.run_id for run in read_runs(left / path.name)] == ["run-a"]
    with opened(left / path.name) as journal:
        assert journal.runs() == ["run-a"]


def test_what_is_no_journal_or_missing_is_named(path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be read"):
        read_runs(path)
    path.write_bytes(b"no journal at all, but long enough to be looked at as one" * 9)
    with pytest.raises(ConfigurationError, match="damaged or no journal"):
        read_runs(path)


def test_a_changed_row_is_named_and_nothing_is_told(path: Path) -> None:
    with opened(path) as journal:
        journal.begin_run("run-a")
        journal.note_fill(fill(1, Side.BUY))
    connection = sqlite3.connect(path)
    connection.execute("UPDATE entries SET payload = x'7b7d' WHERE number = 2")
    connection.commit()
    connection.close()
    with pytest.raises(ConfigurationError, match="damaged at row 2"):
        read_runs(path)
