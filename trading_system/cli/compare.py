"""The command that compares the closed trades of finished runs."""

from __future__ import annotations

from typing import Annotated

import typer

from trading_system.cli import output
from trading_system.cli.options import Json, part, settings_with
from trading_system.cli.output import ExitCode
from trading_system.domain.errors import ConfigurationError

Runs = Annotated[
    str | None,
    typer.Option(help="Run ids of this arm, separated by commas; a clear start is enough."),
]


def compare(
    *,
    a: Runs = None,
    b: Runs = None,
    metric: Annotated[
        str, typer.Option(help="pnl_bps (after fees), gross_bps, fees_bps or hold_s, per trade.")
    ] = "pnl_bps",
    paired: Annotated[
        bool,
        typer.Option("--paired", help="Compare run means in pairs: first with first, and so on."),
    ] = False,
    worth: Annotated[
        float | None, typer.Option(help="Smallest difference worth knowing, in the metric's unit.")
    ] = None,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the drawn permutations.")] = 1,
    list_runs: Annotated[
        bool, typer.Option("--list", help="Show the runs of the data directory instead.")
    ] = False,
    as_json: Json = False,
) -> int:
    """Tell whether the runs of two settings differ. See docs/experiments.md."""
    if not list_runs and (a is None or b is None):
        raise ConfigurationError(
            "--a RUN[,RUN] and --b RUN[,RUN] are needed; `trading-system compare --list` shows "
            "the runs"
        )
    room = part("cli.comparing")
    journals = room.journals(settings_with({}, only_reads=True).data_dir)
    for problem in journals.problems:
        output.note(f"note: {problem}")
    if list_runs:
        answer = room.listing(journals)
        if as_json:
            output.emit_json(answer)
        else:
            output.emit_table("Runs", room.LIST_COLUMNS, room.list_rows(answer))
        return int(ExitCode.OK)
    answer = room.answer(journals, a, b, metric=metric, is_paired=paired, worth=worth, seed=seed)
    if as_json:
        output.emit_json(answer)
    else:
        output.emit_table("Comparison", ("what", "figure"), room.rows(answer))
    return int(ExitCode.OK)
