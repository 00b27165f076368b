"""The comparison of runs, from journals that a system wrote."""

import json
import random
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import typer

from trading_system.cli.compare import compare
from trading_system.cli.comparing import METRICS, answer, journals, listing, rows, verdict
from trading_system.domain.errors import ConfigurationError
from trading_system.domain.orders import Fill, Side
from trading_system.execution.journal.store import Journal
from trading_system.monitoring.comparison import compare_pairs
from trading_system.runtime.clock import ManualClock

EVERY = 30


def fill(number: int, side: Side, price: float) -> Fill:
    return Fill(
        exec_id=f"e-{number}",
        order_id="o",
        link_id="foreign",
        symbol="BTCUSDT",
        side=side,
        price=Decimal(f"{price:.4f}"),
        quantity=Decimal(1),
        fee=Decimal("0.06"),
        is_maker=False,
        ts_exchange_ns=number * 1_000_000_000,
    )


def write(folder: Path, runs: dict[str, float], *, trades: int = EVERY) -> Path:
    """Write runs whose trades gain the given mean, basis points, with a deviation of 10."""
    path, source, number = folder / "journal-simulated.sqlite", random.Random(1), 0
    with Journal.open(path, clock=ManualClock()) as journal:
        for run_id, mean in runs.items():
            journal.begin_run(run_id, is_fresh_account=True)
            for _ in range(trades):
                gain = source.gauss(mean, 10.0)
                journal.note_fill(fill(number, Side.BUY, 100.0))
                journal.note_fill(fill(number + 1, Side.SELL, 100.0 + gain / 100))
                number += 2
    return path


@pytest.fixture
def two(folder: Path) -> Path:
    write(folder, {"aaaa1111": 0.0, "bbbb2222": 20.0, "cccc3333": 0.5, "dddd4444": 20.0})
    return folder


def asked(folder: Path, a: str, b: str, **changes: Any) -> dict[str, Any]:
    wishes: dict[str, Any] = {"metric": "pnl_bps", "is_paired": False, "worth": None, "seed": 1}
    return answer(journals(folder), a, b, **(wishes | changes))


def test_a_real_difference_is_told_with_its_interval(two: Path) -> None:
    found = asked(two, "aaaa1111", "bbbb2222")
    assert (found["count_a"], found["count_b"], found["is_told"]) == (EVERY, EVERY, True)
    low, high = found["interval"]
    assert low < 20.0 < high
    assert found["verdict"].startswith("b is higher than a by")
    assert asked(two, "bbbb", "aaaa")["verdict"].startswith("b is lower than a by")


def test_no_difference_is_not_told_and_says_how_many_trades_are_needed(two: Path) -> None:
    found = asked(two, "aaaa", "cccc", worth=3.0)
    assert found["verdict"] == (
        f"no difference can be told: at least {found['needed']} trades per arm needed for one of "
        "3 bps"
    )
    assert 120 <= found["needed"] <= 300
    assert "as large as seen" in asked(two, "aaaa", "cccc")["verdict"]
    assert "would likely have been" in asked(two, "aaaa", "cccc", worth=30.0)["verdict"]


def test_profit_is_after_fees_and_gross_before(two: Path) -> None:
    net, gross, fees = (
        asked(two, "aaaa", "bbbb", metric=name)["mean_a"]
        for name in ("pnl_bps", "gross_bps", "fees_bps")
    )
    assert gross - net == pytest.approx(fees)
    assert fees == pytest.approx(12.0)


def test_where_nothing_varies_nothing_is_told(two: Path) -> None:
    found = asked(two, "aaaa", "bbbb", metric="hold_s")
    assert (found["mean_a"], found["interval"]) == (1.0, None)
    assert found["verdict"] == "no difference can be told"


def test_runs_are_compared_in_pairs_when_asked(two: Path) -> None:
    found = asked(two, "aaaa,cccc", "bbbb,dddd", is_paired=True)
    assert (found["count_a"], found["is_paired"], found["p_value"]) == (2, True, 0.5)
    assert ("a", "aaaa1111, cccc3333: 2 pairs of runs") in rows(found)


def test_one_pair_tells_nothing(two: Path) -> None:
    found = asked(two, "aaaa", "bbbb", is_paired=True)
    assert found["verdict"] == "nothing can be told: at least 2 pairs of runs are needed"
    assert ("p-value", "-") in rows(found)


@pytest.mark.parametrize(
    ("a", "b", "changes", "says"),
    [
        ("zzzz", "bbbb", {}, "--a zzzz is not in the journals"),
        ("", "bbbb", {}, "--a names no run"),
        ("aaaa", "aaaa1111", {}, "in both arms"),
        ("aaaa,aaaa1111", "bbbb", {}, "twice"),
        ("aaaa", "bbbb", {"metric": "slippage_bps"}, "cannot be told from a journal"),
        ("aaaa", "bbbb", {"metric": "luck"}, "--metric must be pnl_bps"),
        ("aaaa", "bbbb", {"worth": -1.0}, "--worth"),
        ("aaaa,cccc", "bbbb", {"is_paired": True}, "as many runs"),
    ],
)
def test_a_wrong_question_is_refused_with_its_reason(
    two: Path, a: str, b: str, changes: dict[str, Any], says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says):
        asked(two, a, b, **changes)


def test_a_start_that_fits_several_runs_is_refused(folder: Path) -> None:
    write(folder, {"ab01": 0.0, "ab02": 0.0})
    with pytest.raises(ConfigurationError, match="fits several"):
        asked(folder, "ab", "ab01")


def test_runs_without_a_closed_trade_are_refused_by_option(folder: Path) -> None:
    write(folder, {"ab01": 0.0, "cd02": 0.0}, trades=0)
    with pytest.raises(ConfigurationError, match="--a closed no trade"):
        asked(folder, "ab", "cd")


def test_an_empty_folder_names_the_remedy(folder: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"no journal in .*TRADING_DATA_DIR"):
        journals(folder)


def test_a_running_system_is_named_with_the_remedy(two: Path) -> None:
    path = two / "journal-simulated.sqlite"
    with (
        Journal.open(path, clock=ManualClock()),
        pytest.raises(ConfigurationError, match="trading-system stop"),
    ):
        journals(two)


def test_one_journal_that_cannot_be_read_does_not_hide_the_others(two: Path) -> None:
    (two / "journal-other.sqlite").write_bytes(b"broken" * 200)
    found = journals(two)
    assert len(found.runs) == 4
    assert "journal-other" in found.problems[0]


def test_the_command_lists_runs_with_their_trades(
    two: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert compare(list_runs=True) == 0
    shown = capsys.readouterr().out
    assert "aaaa1111" in shown
    assert "2023-11-14 22:13:20" in shown
    assert compare(list_runs=True, as_json=True) == 0
    document = json.loads(capsys.readouterr().out)
    assert document == listing(journals(two))
    assert document["runs"][0]["trades"] == EVERY


def test_the_command_prints_a_table_or_json(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (two / "journal-other.sqlite").write_bytes(b"broken" * 200)
    assert compare(a="aaaa", b="bbbb") == 0
    outcome = capsys.readouterr()
    assert "verdict" in outcome.out
    assert "journal-other" in outcome.err
    assert compare(a="aaaa", b="bbbb", as_json=True) == 0
    assert json.loads(capsys.readouterr().out)["metric"] == "pnl_bps"


@pytest.mark.usefixtures("folder")
def test_without_two_arms_the_command_says_how_to_find_runs() -> None:
    with pytest.raises(ConfigurationError, match="compare --list"):
        compare(a="aaaa")


def test_the_options_are_those_that_are_documented(two: Path) -> None:
    app = typer.Typer()
    app.command()(compare)
    arguments = ["--a", "aaaa", "--b", "bbbb", "--metric", "fees_bps", "--worth", "1", "--json"]
    assert app(args=arguments, standalone_mode=False) == 0
    text = (Path(__file__).parents[3] / "docs" / "experiments.md").read_text()
    assert all(f"`{name}`" in text for name in [*METRICS, "--paired", "--worth", "--list"])


def test_a_verdict_without_samples_is_no_verdict() -> None:
    nothing = compare_pairs([], rng=np.random.default_rng(1))
    assert "at least 2 pairs" in verdict(nothing, unit="bps")
