"""The journal file: exclusive, chained, and closed to new orders when it cannot be written."""

import contextlib
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from decimal import Decimal
from pathlib import Path

import pytest
from engine_rig import fill

from trading_system.domain.errors import ConfigurationError, JournalError, ValidationError
from trading_system.domain.orders import Funding, OrderIntent, OrderType, PriceChange, Side
from trading_system.execution.journal import store
from trading_system.execution.journal.records import (
    Latch,
    Settlement,
    StateChange,
    decode,
)
from trading_system.execution.journal.store import IN_MEMORY, Journal
from trading_system.execution.journal.syncer import LogSyncer
from trading_system.execution.transitions import OrderEvent, TrackedStatus
from trading_system.risk.limits import TradingState
from trading_system.risk.losses import LossState
from trading_system.runtime.clock import ManualClock

CLOCK = ManualClock()
CHANGE = PriceChange(symbol="BTCUSDT", link_id="ts-0badcafe-1", price=Decimal("50000.20"))
END = Settlement(status=TrackedStatus.FILLED, booked_quantity=Decimal("0.1"), reason="")


def intent(link_id: str = "ts-0badcafe-1") -> OrderIntent:
    return OrderIntent(
        symbol="BTCUSDT",
        side=Side.SELL,
        order_type=OrderType.LIMIT,
        quantity=Decimal("0.10"),
        price=Decimal("50000.10"),
        link_id=link_id,
    )


def opened(path: Path | str = IN_MEMORY) -> Journal:
    return Journal.open(path, clock=CLOCK)


def limit_pages(journal: Journal, pages: int) -> None:
    journal._connection.execute(f"PRAGMA max_page_count = {pages}")


def fill_up(journal: Journal) -> None:
    """Leave no room for another page: the disk is full."""
    limit_pages(journal, 1)
    with contextlib.suppress(JournalError):
        for number in range(1_000):
            journal.write_intent(intent(f"x-{number}"))
    assert "full" in (journal.failure or "")


def test_everything_recorded_is_read_back_exactly_after_a_restart(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    first, one = intent(), fill(intent(), Decimal("0.04"), Decimal("50000.1"))
    change = StateChange(
        event=OrderEvent.ACKNOWLEDGED, status=TrackedStatus.OPEN, order_id="v", reason=""
    )
    references = LossState(utc_day=1, day_start_equity=Decimal("1.50"), peak_equity=Decimal(2))
    funding = Funding(symbol="BTCUSDT", amount=Decimal("-0.1"), exec_id="f-1")
    with opened(path) as journal:
        journal.begin_run("0badcafe")
        journal.write_intent(first)
        journal.note_change(first.link_id, change)
        journal.note_fill(one)
        journal.note_funding(funding)
        journal.note_limits(references)
    with opened(path) as journal:
        (found,) = journal.unsettled_intents()
        assert (found.run_id, found.intent, found.utc_ns) == ("0badcafe", first, CLOCK.utc_ns())
        assert journal.changes(first.link_id) == [change]
        assert (journal.fills(), journal.fills(link_id="other")) == ([one], [])
        assert (journal.fundings(), journal.limits()) == ([funding], references)
        assert (journal.runs(), journal.rows, journal.verify()) == (["0badcafe"], 6, None)


def test_a_settled_intent_is_unsettled_no_more() -> None:
    journal = opened()
    for number in (1, 2):
        journal.write_intent(intent(f"ts-{number}"))
    journal.note_settled("ts-1", END)
    assert [found.intent.link_id for found in journal.unsettled_intents()] == ["ts-2"]


def test_a_run_id_is_never_used_twice(tmp_path: Path) -> None:
    with opened(tmp_path / "j") as journal:
        journal.begin_run("0badcafe")
    with opened(tmp_path / "j") as journal, pytest.raises(ValidationError, match="0badcafe"):
        journal.begin_run("0badcafe")


def test_the_newest_word_on_a_latch_counts() -> None:
    journal = opened()
    kill = Latch(state=TradingState.HALTED, reason="kill")
    journal.note_latch("operator", kill)
    journal.note_latch("loss-limit", Latch(state=TradingState.REDUCING, reason="lost"))
    journal.note_latch("loss-limit", Latch(state=TradingState.ACTIVE, reason="reset"))
    assert journal.latches() == {"operator": kill}
    assert opened().limits() is None


def test_a_second_opener_is_refused_by_the_name_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "journal.sqlite3"
    with opened(path), pytest.raises(ConfigurationError, match=f"{path} is in use"):
        opened(path)
    opened(path).close()


def test_only_the_owner_may_read_the_file(tmp_path: Path) -> None:
    with opened(tmp_path / "j"):
        assert stat.S_IMODE((tmp_path / "j").stat().st_mode) == 0o600


def test_a_folder_that_does_not_exist_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="TRADING_DATA_DIR"):
        opened(tmp_path / "no" / "j")


def test_a_path_that_is_a_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be opened"):
        opened(tmp_path)


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "j").write_bytes(b"not a database at all" * 100)
    with pytest.raises(ConfigurationError, match="move it away"):
        opened(tmp_path / "j")


@pytest.mark.parametrize("statement", ["PRAGMA user_version = 9", "CREATE TABLE other (x)"])
def test_another_format_is_refused(tmp_path: Path, statement: str) -> None:
    other = sqlite3.connect(tmp_path / "j")
    other.execute(statement)
    other.close()
    with pytest.raises(ConfigurationError, match="this program writes 3"):
        opened(tmp_path / "j")


def test_a_database_that_may_not_be_written_is_refused() -> None:
    connection = sqlite3.connect("file:unwritable?mode=memory&cache=private", uri=True)
    connection.execute("PRAGMA query_only = 1")
    connection.isolation_level = None
    with pytest.raises(ConfigurationError, match="cannot be written"):
        store._prepare(connection, "unwritable")
    connection.close()


def test_a_changed_row_is_found_at_start_and_named(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with opened(path) as journal:
        journal.begin_run("0badcafe")
        journal.write_intent(intent())
    raw = sqlite3.connect(path, isolation_level=None)
    raw.execute("UPDATE entries SET payload = zeroblob(length(payload)) WHERE number = 2")
    raw.close()
    with pytest.raises(ConfigurationError, match="damaged at row 2"):
        opened(path)


@pytest.mark.parametrize(
    ("change", "bad"),
    [
        ("DELETE FROM entries WHERE number = 2", 2),
        ("UPDATE entries SET number = 9 WHERE number = 3", 3),
        ("UPDATE entries SET kind = 99 WHERE number = 1", 1),
        ("UPDATE entries SET key = 'x' WHERE number = 2", 2),
        ("UPDATE entries SET utc_ns = 1 WHERE number = 3", 3),
    ],
)
def test_a_missing_or_altered_row_breaks_the_chain(change: str, bad: int) -> None:
    journal = opened()
    for number in range(3):
        journal.write_intent(intent(f"ts-{number}"))
    journal._connection.execute(change)
    assert journal.verify() == bad


def test_a_full_disk_refuses_intents_and_keeps_what_happened() -> None:
    journal = opened()
    fill_up(journal)
    rows = journal.rows
    for number in (1, 2):
        journal.note_fill(fill(intent(), Decimal("0.01"), Decimal(50_000), number=number))
    assert journal.failure is not None
    assert (journal.waiting, journal.probe()) == (2, False)
    with pytest.raises(JournalError):
        journal.write_intent(intent("later"))
    limit_pages(journal, 10_000)
    assert journal.probe()
    assert (journal.failure, journal.waiting, journal.rows) == (None, 0, rows + 2)
    assert len(journal.fills()) == 2
    assert journal.verify() is None


def test_a_journal_that_turned_read_only_is_noticed_without_a_row_to_write() -> None:
    journal = opened()
    journal._connection.execute("PRAGMA query_only = 1")
    assert not journal.probe()
    assert "readonly" in (journal.failure or "")


def test_what_waits_is_bounded_and_losses_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_MAX_BACKLOG", 2)
    journal = opened()
    journal._connection.execute("PRAGMA query_only = 1")
    for number in range(3):
        journal.note_settled(f"ts-{number}", END)
    assert (journal.waiting, journal.lost) == (2, 1)


def test_the_log_is_folded_into_the_file_at_the_end_of_an_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "_CHECKPOINT_ROWS", 10)
    with opened(tmp_path / "j") as journal:
        for number in range(9):
            journal.write_intent(intent(f"ts-{number}"))
        before = (tmp_path / "j").stat().st_size
        journal.note_settled("ts-1", END)
        assert (tmp_path / "j").stat().st_size > before
        assert journal.verify() is None


def test_a_checkpoint_that_fails_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "_CHECKPOINT_ROWS", 0)
    journal = opened()
    journal._connection.close()
    journal._checkpoint()
    assert "closed" in (journal.failure or "")


def test_fills_are_made_durable_by_the_thread(tmp_path: Path) -> None:
    with opened(tmp_path / "j") as journal:
        journal.note_fill(fill(intent(), Decimal("0.01"), Decimal(50_000)))
        assert journal.sync()
        assert journal._syncer is not None
        assert not journal._syncer.is_behind
    assert opened().sync()


def test_a_log_that_cannot_be_made_durable_closes_the_journal(tmp_path: Path) -> None:
    journal = opened(tmp_path / "j")
    assert journal._syncer is not None
    os.close(journal._syncer._descriptor)
    journal._syncer._descriptor, writer = os.pipe()  # nothing that could be made durable
    journal.note_fill(fill(intent(), Decimal("0.01"), Decimal(50_000)))
    assert not journal.sync()
    with pytest.raises(JournalError, match="durable"):
        journal.write_intent(intent())
    journal.close()
    os.close(writer)


def test_stopping_finishes_what_was_asked_for(tmp_path: Path) -> None:
    (tmp_path / "log").touch()
    syncer = LogSyncer(tmp_path / "log")
    syncer.ask()
    syncer.stop()
    assert not syncer.is_behind


def test_closing_twice_is_harmless(tmp_path: Path) -> None:
    journal = opened(tmp_path / "j")
    journal.close()
    journal.close()


def test_a_journal_that_could_not_be_opened_lets_go_of_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_threads(_path: Path) -> LogSyncer:
        raise OSError("no more threads")

    monkeypatch.setattr(store, "LogSyncer", no_threads)
    with pytest.raises(OSError, match="threads"):
        opened(tmp_path / "j")
    monkeypatch.undo()
    opened(tmp_path / "j").close()


def test_a_payload_of_another_kind_is_no_record() -> None:
    with pytest.raises(JournalError, match="no OrderIntent"):
        decode(b'{"symbol": 1}', OrderIntent)


def test_the_time_an_intent_takes_is_measured() -> None:
    journal = opened()
    journal.write_intent(intent())
    assert journal.intent_latency.percentiles().samples == 1


def test_the_fills_of_an_account_begin_with_it() -> None:
    journal = opened()
    first, second, third = (
        fill(intent(), Decimal("0.01"), Decimal(50_000), number=number) for number in range(3)
    )
    journal.begin_run("00000001")
    journal.note_fill(first)
    journal.begin_run("00000002", is_fresh_account=True)
    journal.note_fill(second)
    journal.begin_run("00000003")
    journal.note_fill(third)
    assert journal.account_fills() == [second, third]


def test_a_batch_of_intents_is_one_commit() -> None:
    journal = opened()
    intents = [intent(f"ts-0badcafe-{number}") for number in range(10)]
    commits: list[str] = []
    journal._connection.set_trace_callback(commits.append)
    journal.write_intents(intents)
    assert sum(statement == "COMMIT" for statement in commits) == 1
    assert [found.intent for found in journal.unsettled_intents()] == intents
    assert (journal.verify(), journal.intent_latency.percentiles().samples) == (None, 10)


def test_a_batch_that_cannot_be_written_leaves_no_part_and_the_chain_goes_on(
    tmp_path: Path,
) -> None:
    with opened(tmp_path / "j") as journal:
        journal.write_intent(intent("ts-0"))
        pages = journal._connection.execute("PRAGMA page_count").fetchone()[0]
        limit_pages(journal, pages)
        with pytest.raises(JournalError):
            journal.write_intents([intent(f"ts-{number}") for number in range(1, 100)])
        assert journal.rows == 1
        limit_pages(journal, 10_000)
        journal.write_intents([intent("ts-1"), intent("ts-2")])
    with opened(tmp_path / "j") as journal:
        assert [found.intent.link_id for found in journal.unsettled_intents()] == (
            ["ts-0", "ts-1", "ts-2"]
        )


def test_no_batch_is_written_while_earlier_rows_wait() -> None:
    journal = opened()
    journal._connection.execute("PRAGMA query_only = 1")
    journal.note_settled("ts-0badcafe-1", END)
    with pytest.raises(JournalError):
        journal.write_price_changes([CHANGE, CHANGE])
    journal._connection.execute("PRAGMA query_only = 0")
    journal.write_price_changes([CHANGE, CHANGE])
    assert [told for _, told in journal.price_story(CHANGE.link_id)] == [CHANGE, CHANGE]
    assert (journal.rows, journal.verify()) == (3, None)


def test_a_journal_of_the_first_format_is_read_on(tmp_path: Path) -> None:
    with opened(tmp_path / "j") as journal:
        journal.write_intent(intent())
        journal._connection.execute("PRAGMA user_version = 1")
    with opened(tmp_path / "j") as journal:
        journal.write_price_changes([CHANGE])
    with opened(tmp_path / "j") as journal:
        assert [found.intent for found in journal.unsettled_intents()] == [intent()]
        assert [told for _, told in journal.price_story(CHANGE.link_id)] == [CHANGE]


_WRITER = """
import sys
from decimal import Decimal
from trading_system.domain.orders import OrderIntent, OrderType, PriceChange, Side
from trading_system.execution.journal.store import Journal
from trading_system.runtime.clock import SystemClock
journal = Journal.open(sys.argv[1], clock=SystemClock())
for number in range(10**9):
    journal.write_intent(OrderIntent(symbol="X", side=Side.BUY, order_type=OrderType.MARKET,
                                     quantity=Decimal(1), link_id=str(number)))
    sys.stdout.write(f"{number}\\n")
    sys.stdout.flush()
"""


def test_no_intent_that_was_written_is_lost_by_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "j"
    with subprocess.Popen(
        [sys.executable, "-c", _WRITER, str(path)], stdout=subprocess.PIPE, text=True
    ) as child:
        assert child.stdout is not None
        while (line := child.stdout.readline()) and int(line) < 200:
            pass
        child.kill()
        last = int((child.stdout.read().split("\n") or [""])[-2:][0] or 200)
    with opened(path) as journal:
        assert {str(number) for number in range(last + 1)} <= {
            found.intent.link_id for found in journal.unsettled_intents()
        }


@pytest.mark.parametrize("cut", [1, 5_000, 40_000])
def test_a_log_that_lost_its_end_is_shorter_but_sound(tmp_path: Path, cut: int) -> None:
    with opened(tmp_path / "j") as journal:
        for number in range(40):
            journal.write_intent(intent(f"ts-{number}"))
        (tmp_path / "lost").mkdir()
        for name in ("j", "j-wal"):
            shutil.copy(tmp_path / name, tmp_path / "lost" / name)
    os.truncate(tmp_path / "lost" / "j-wal", (tmp_path / "lost" / "j-wal").stat().st_size - cut)
    with opened(tmp_path / "lost" / "j") as journal:
        assert journal.verify() is None
        left = [found.intent.link_id for found in journal.unsettled_intents()]
        assert 0 < len(left) < 40
        assert left == [f"ts-{number}" for number in range(len(left))]
