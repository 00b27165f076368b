"""Which agents a request asks, by its priority."""

from __future__ import annotations

from collections.abc import Sequence

from optimizers.signals.member import Member

STRATEGIES = {1: "compiled_only", 2: "best_two", 3: "all"}
"""Selection by priority, 1 the most urgent."""
_BEST = 2
_ANSWERS = 0.5


def selected(
    seats: Sequence[Member], weights: Sequence[float], *, priority: int, ts_ns: int
) -> list[bool]:
    """Return for each seat whether a request of ``priority`` asks it.

    Priority 1 asks the agents that need no more than 200 us; 2 the best two, of different
    families where possible; 3 all. Agents that are left alone are never asked.
    """
    working = [seat.circuit.allows(ts_ns) for seat in seats]
    if priority == 1:
        return [works and seat.is_fast for seat, works in zip(seats, working, strict=True)]
    if priority == 3:
        return working
    ranked = sorted(
        (i for i, works in enumerate(working) if works),
        key=lambda i: _rank(seats[i], weights[i]),
    )
    chosen = ranked[:1]
    for i in ranked[1:]:
        if len(chosen) < _BEST and seats[i].family != seats[chosen[0]].family:
            chosen.append(i)
    chosen += [i for i in ranked if i not in chosen][: _BEST - len(chosen)]
    return [i in chosen for i in range(len(seats))]


def _rank(seat: Member, weight: float) -> tuple[bool, float, float, str]:
    """Adequate first (answers at least half the time), then heavy, then quick, then by name."""
    is_adequate = seat.calls == 0 or seat.votes >= _ANSWERS * seat.calls
    return not is_adequate, -round(weight, 2), seat.avg_us or 0.0, seat.name
