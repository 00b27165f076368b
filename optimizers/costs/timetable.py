"""A working plan as rows to read: at most a hundred, in whole lots where the lot is known."""

from __future__ import annotations

import numpy as np

from optimizers.costs.almgren_chriss import rounded
from optimizers.costs.calibration import REFILL_S, concession
from optimizers.costs.figures import CostInputs, ScheduleStep
from optimizers.costs.working import LONGEST_STEPS, WorkingPlan
from trading_system.domain.errors import ValidationError

MOST_ROWS = 100
"""Most rows of a timetable; a longer plan is summed up."""


def timetable(plan: WorkingPlan, inputs: CostInputs) -> tuple[tuple[ScheduleStep, ...], str]:
    """Return the rows of a plan and one line on how they came about."""
    steps = len(plan.trades)
    rows = min(steps, MOST_ROWS)
    first = [row * steps // rows for row in range(rows)]
    sizes = [float(size) for size in np.add.reduceat(plan.trades, first)]
    notes = [_kind(plan, inputs)]
    if rows < steps:
        notes.append(f"{rows} rows sum them up")
    if plan.is_cut:
        notes.append(f"no more than {LONGEST_STEPS} steps are planned")
    if inputs.lot is not None:
        try:
            lots = rounded(
                sizes, lot=inputs.lot, min_notional=inputs.min_notional, price=inputs.levels.mid
            )
            sizes = [count * inputs.lot for count in lots]
        except ValidationError as e:
            notes.append(f"not in whole lots: {e}")
    left = [0.0]
    for size in sizes[:0:-1]:
        left.append(left[-1] + size)
    made = (
        ScheduleStep(start_s=start * REFILL_S, quantity=size, remaining=remaining)
        for start, size, remaining in zip(first, sizes, reversed(left), strict=True)
        if size > 0.0
    )
    return tuple(made), "; ".join(notes)


def _kind(plan: WorkingPlan, inputs: CostInputs) -> str:
    steps, parameters = len(plan.trades), plan.parameters
    if parameters is not None:
        return f"{steps} steps of {REFILL_S:g} s, half-life {parameters.half_life:.3g} s"
    depth = inputs.levels.consumed_by(inputs.side)
    is_free = concession(depth, inputs.levels.mid, inputs.quantity / steps) <= 0.0
    if steps > 1:
        why = "each fits into the best level" if is_free else "no urgency"
        return f"{steps} equal steps of {REFILL_S:g} s: {why}"
    if is_free:
        return "one step now: the order fits into the best level"
    if inputs.horizon_s < 2.0 * REFILL_S:
        return f"one step now: the horizon has no second step of {REFILL_S:g} s"
    return "one step now: waiting costs more than it saves"
