"""``trading-system train``: fit the agents' or the cost models and write them with a manifest."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any, Literal, Self

from rich.console import Console
from rich.progress import Progress, TaskID

from trading_system.cli.output import emit_json, emit_table, note
from trading_system.config.sections import CostSettings
from trading_system.evaluation.cost_training import CostTrainingPlan, train_costs
from trading_system.evaluation.training import TrainingPlan, train
from trading_system.market.volatility import RealisedVolatility


def run(
    *,
    source: Literal["synthetic", "recordings"],
    recordings: list[Path],
    seeds: int,
    minutes: float,
    out: Path,
    as_json: bool,
) -> None:
    """Train as told and print the walk-forward scores; progress goes to standard error.

    Raises
    ------
    ConfigurationError
        If there is too little data, a recording is unusable or ``out`` cannot be written.
    """
    plan = TrainingPlan(
        out=out, source=source, recordings=tuple(recordings), seeds=seeds, minutes=minutes
    )
    with ProgressBar(Console(file=sys.stderr)) as bar:
        manifest = train(plan, progress=bar.show)
    report(manifest, out=out, as_json=as_json)


def report(manifest: dict[str, Any], *, out: Path, as_json: bool) -> None:
    """Print what a training run has written to ``out``."""
    if as_json:
        emit_json(manifest)
        return
    emit_table(
        "Walk-forward scores over 10 s, out of sample",
        ("model", "Brier skill", "log loss", "calibration", "correlation", "skill", "horizons"),
        [_row(name, each) for name, each in manifest["walk_forward"]["scores"].items()],
    )
    note(f"models and manifest written to {out}")


def run_costs(*, seeds: int, minutes: float, out: Path, as_json: bool) -> None:
    """Train the cost models and print their scores on unseen seeds.

    Raises
    ------
    ConfigurationError
        If there is too little data or ``out`` cannot be used.
    """
    plan = CostTrainingPlan(out=out, seeds=seeds, minutes=minutes)
    meter = partial(RealisedVolatility, CostSettings().volatility_window_s)
    with ProgressBar(Console(file=sys.stderr)) as bar:
        manifest = train_costs(plan, meter=meter, progress=bar.show)
    report_costs(manifest, out=out, as_json=as_json)


def report_costs(manifest: dict[str, Any], *, out: Path, as_json: bool) -> None:
    """Print what a training run of the cost models has written to ``out``."""
    if as_json:
        emit_json(manifest)
        return
    models = manifest["models"]
    fills, intervals = models["maker_taker"]["unseen"], models["slippage"]["unseen"]
    emit_table(
        "Maker fills within the horizon, unseen seeds",
        ("probability", "Brier", "Brier skill", "log loss", "calibration", "orders"),
        [_fill_row(name, fills[name]) for name in ("model", "touch_probability")],
    )
    emit_table(
        "80 % interval of slippage, unseen seeds",
        ("interval", "coverage", "below", "above", "width bps", "loss bps", "orders"),
        [_interval_row(name, intervals[name]) for name in ("model", "volatility_interval")],
    )
    note(f"models and manifest written to {out}")


def _fill_row(name: str, scores: dict[str, Any]) -> tuple[str, ...]:
    keys = ("brier", "brier_skill", "log_loss", "calibration_error")
    return (name, *(f"{scores[key]:.3f}" for key in keys), str(scores["samples"]))


def _interval_row(name: str, scores: dict[str, Any]) -> tuple[str, ...]:
    keys = ("coverage", "below", "above", "mean_width_bps", "pinball_bps")
    return (name, *(f"{scores[key]:.3f}" for key in keys), str(scores["samples"]))


def _row(name: str, scores: dict[str, Any]) -> tuple[str, ...]:
    keys = ("brier_skill", "log_loss", "calibration_error", "correlation", "skill")
    return (name, *(f"{scores[key]:.3f}" for key in keys), str(scores["independent"]))


class ProgressBar:
    """A progress bar on a terminal; silent elsewhere.

    Parameters
    ----------
    console : Console
        Where to draw.
    """

    def __init__(self, console: Console) -> None:
        self._stack = ExitStack()
        self._progress = Progress(console=console) if console.is_terminal else None
        self._tasks: dict[str, TaskID] = {}

    def __enter__(self) -> Self:
        """Begin to draw."""
        if self._progress is not None:
            self._stack.enter_context(self._progress)
        return self

    def __exit__(self, *_: object) -> None:
        """Leave the terminal as it was found."""
        self._stack.close()

    def show(self, what: str, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` steps of ``what`` are over."""
        if self._progress is None:
            return
        if what not in self._tasks:
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=done)
