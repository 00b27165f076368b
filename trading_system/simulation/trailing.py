"""How a trailing stop follows the price, as pure functions."""

from __future__ import annotations

from dataclasses import replace

from trading_system.simulation.conditions import Trail, Trigger


def trailing_level(trail: Trail, *, on_rise: bool) -> int:
    """Return the trigger price of an active trail in ticks, at least 1."""
    offset = trail.distance_ticks if on_rise else -trail.distance_ticks
    return max(1, trail.best_ticks + offset)


def followed(trigger: Trigger, price_ticks: int) -> Trigger:
    """Return the condition of a trailing stop after the price was ``price_ticks``.

    The same object comes back when nothing has changed. A stop that fires on the fall guards a
    long position: it follows the highest price, and becomes active on the rise.
    """
    trail = trigger.trail
    assert trail is not None
    sign = -1 if trigger.on_rise else 1
    if not trail.best_ticks:
        if trail.active_ticks and (price_ticks - trail.active_ticks) * sign < 0:
            return trigger
    elif (price_ticks - trail.best_ticks) * sign <= 0:
        return trigger
    moved = replace(trail, best_ticks=price_ticks)
    return replace(trigger, trail=moved, price_ticks=trailing_level(moved, on_rise=trigger.on_rise))
