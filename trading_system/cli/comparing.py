"""What ``trading-system compare`` reads, computes and says."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import numpy as np

from trading_system.domain.errors import ConfigurationError
from trading_system.execution.journal.reading import RecordedRun, read_runs
from trading_system.execution.journal.trips import ClosedTrade
from trading_system.monitoring.comparison import Comparison, compare, compare_pairs

METRICS: Final[Mapping[str, tuple[str, Callable[[ClosedTrade], float]]]] = {
    "pnl_bps": ("bps", lambda trade: trade.pnl_bps),
    "gross_bps": ("bps", lambda trade: trade.gross_bps),
    "fees_bps": ("bps", lambda trade: trade.fees_bps),
    "hold_s": ("s", lambda trade: trade.hold_s),
}
"""Unit and figure per closed trade of every metric a journal can answer."""

LIST_COLUMNS: Final = ("run", "started (UTC)", "journal", "closed trades", "shared", "fills")

_MS_PER_S = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Journals:
    """What a data directory holds: runs with their journal's name, and what could not be read."""

    runs: tuple[tuple[str, RecordedRun], ...]
    problems: tuple[str, ...]


def journals(data_dir: Path) -> Journals:
    """Read every journal of ``data_dir``.

    Raises
    ------
    ConfigurationError
        If there is none, or none can be read.
    """
    paths = sorted(data_dir.glob("journal-*.sqlite"))
    if not paths:
        raise ConfigurationError(
            f"there is no journal in {data_dir}; `trading-system start` writes one, or set "
            "TRADING_DATA_DIR to where one is"
        )
    runs: list[tuple[str, RecordedRun]] = []
    problems: list[str] = []
    for path in paths:
        try:
            runs += [(path.stem, run) for run in read_runs(path)]
        except ConfigurationError as e:
            problems.append(str(e))
    if len(problems) == len(paths):
        raise ConfigurationError("; ".join(problems))
    return Journals(runs=tuple(runs), problems=tuple(problems))


def listing(found: Journals) -> dict[str, Any]:
    """Return the runs, oldest first in each journal."""
    return {
        "runs": [
            {
                "run_id": run.run_id,
                "journal": journal,
                "started_ms": run.started_ms,
                "trades": len(run.trades),
                "shared_trades": run.shared_trades,
                "fills": run.fills,
            }
            for journal, run in found.runs
        ]
    }


def list_rows(answer: dict[str, Any]) -> list[tuple[str, ...]]:
    """Return the rows of :data:`LIST_COLUMNS`."""
    return [
        (
            run["run_id"],
            f"{datetime.fromtimestamp(run['started_ms'] / _MS_PER_S, tz=UTC):%Y-%m-%d %H:%M:%S}",
            run["journal"],
            str(run["trades"]),
            str(run["shared_trades"]),
            str(run["fills"]),
        )
        for run in answer["runs"]
    ]


def answer(
    found: Journals,
    a: str,
    b: str,
    *,
    metric: str,
    is_paired: bool,
    worth: float | None,
    seed: int,
) -> dict[str, Any]:
    """Return the comparison of two arms with its verdict, JSON-safe.

    Raises
    ------
    ConfigurationError
        If the metric or a run is unknown, a run is in both arms, pairs do not match, or an arm
        has no closed trade.
    """
    unit, figure = _metric(metric)
    arms = [_arm(found, "--a", a), _arm(found, "--b", b)]
    twice = {run.run_id for run in arms[0]} & {run.run_id for run in arms[1]}
    if twice:
        raise ConfigurationError(f"run {min(twice)} is in both arms; name it once")
    if worth is not None and not 0.0 < worth < 1e9:
        raise ConfigurationError(f"--worth must be positive and below 1e9, was {worth}")
    values = [[[figure(trade) for trade in run.trades] for run in arm] for arm in arms]
    result = _compared(values, is_paired=is_paired, worth=worth, seed=seed)
    left_out = sum(run.shared_trades for arm in arms for run in arm)
    return {
        "metric": metric,
        "unit": unit,
        "a": [run.run_id for run in arms[0]],
        "b": [run.run_id for run in arms[1]],
        **asdict(result),
        "worth": worth,
        "left_out": left_out,
        "is_told": result.is_told,
        "verdict": verdict(result, unit=unit, worth=worth),
    }


def verdict(result: Comparison, *, unit: str, worth: float | None = None) -> str:
    """Return what may be concluded, in words."""
    what = "pairs of runs" if result.is_paired else "trades per arm"
    if result.p_value is None or result.difference is None:
        return f"nothing can be told: at least 2 {what} are needed"
    if result.is_told:
        more = "higher" if result.difference > 0 else "lower"
        return f"b is {more} than a by {abs(result.difference):.4g} {unit} (mean)"
    if result.needed is None:
        return "no difference can be told"
    size = abs(result.difference) if worth is None else worth
    if min(result.count_a, result.count_b) >= result.needed:
        return f"no difference can be told, though one of {size:.4g} {unit} would likely have been"
    aim = "one as large as seen" if worth is None else f"one of {size:.4g} {unit}"
    return f"no difference can be told: at least {result.needed} {what} needed for {aim}"


def rows(found: dict[str, Any]) -> list[tuple[str, str]]:
    """Return an answer as rows for people."""
    unit, interval = found["unit"], found["interval"]
    method = "all arrangements" if found["is_exact"] else "drawn permutations"
    p_value = "-" if found["p_value"] is None else f"{found['p_value']:.4f} ({method})"
    sides = "-" if interval is None else f"{interval[0]:+.4g} to {interval[1]:+.4g} {unit}"
    kind = "pairs of runs" if found["is_paired"] else "closed trades"
    return [
        (
            "metric",
            f"{found['metric']}, {'mean of each run' if found['is_paired'] else 'per trade'}",
        ),
        ("a", f"{', '.join(found['a'])}: {found['count_a']} {kind}"),
        ("b", f"{', '.join(found['b'])}: {found['count_b']} {kind}"),
        ("mean a", _figure(found["mean_a"], unit)),
        ("mean b", _figure(found["mean_b"], unit)),
        ("difference, b less a", _figure(found["difference"], unit)),
        ("95 % interval", sides),
        ("p-value", p_value),
        ("effect size", _figure(found["effect_size"], "standard deviations")),
        ("smallest visible difference", _figure(found["detectable"], f"{unit} at 80 % power")),
        ("trades left out (open across runs)", str(found["left_out"])),
        ("verdict", found["verdict"]),
    ]


def _figure(value: float | None, unit: str) -> str:
    return "-" if value is None else f"{value:.4g} {unit}"


def _metric(name: str) -> tuple[str, Callable[[ClosedTrade], float]]:
    if name == "slippage_bps":
        raise ConfigurationError(
            "--metric slippage_bps cannot be told from a journal: it does not record the mid at "
            f"the decision; choose {', '.join(METRICS)}"
        )
    if name not in METRICS:
        raise ConfigurationError(f"--metric must be {' or '.join(METRICS)}, was {name!r}")
    return METRICS[name]


def _arm(found: Journals, option: str, text: str) -> list[RecordedRun]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise ConfigurationError(f"{option} names no run")
    arm = [_run(found, option, name) for name in names]
    if len({run.run_id for run in arm}) < len(arm):
        raise ConfigurationError(f"{option} names a run twice")
    if not any(run.trades for run in arm):
        raise ConfigurationError(
            f"the runs of {option} closed no trade; let them trade longer, or choose others from "
            "`trading-system compare --list`"
        )
    return arm


def _run(found: Journals, option: str, name: str) -> RecordedRun:
    matching = [run for _, run in found.runs if run.run_id.startswith(name)]
    exact = [run for run in matching if run.run_id == name]
    fitting = exact or matching
    if len(fitting) == 1:
        return fitting[0]
    trouble = "fits several runs" if fitting else "is not in the journals that can be read"
    raise ConfigurationError(
        f"{option} {name} {trouble}; `trading-system compare --list` shows the runs"
    )


def _compared(
    values: list[list[list[float]]], *, is_paired: bool, worth: float | None, seed: int
) -> Comparison:
    rng = np.random.default_rng(seed)
    first, second = values
    if not is_paired:
        flat = [[value for run in arm for value in run] for arm in values]
        return compare(flat[0], flat[1], rng=rng, worth=worth)
    if len(first) != len(second) or not all(run for arm in values for run in arm):
        raise ConfigurationError(
            "--paired needs as many runs in --a as in --b, each with a closed trade"
        )
    pairs = [
        (float(np.mean(one)), float(np.mean(other)))
        for one, other in zip(first, second, strict=True)
    ]
    return compare_pairs(pairs, rng=rng, worth=worth)
