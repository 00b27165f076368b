"""How much of its points one component earned, and why not more."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Grade:
    """A share of points in [0, 1]; ``reason`` is empty exactly when nothing was lost."""

    share: float
    reason: str


def full() -> Grade:
    """Return a grade without loss."""
    return Grade(1.0, "")


def lost(reason: str) -> Grade:
    """Return a grade that earned nothing."""
    return Grade(0.0, reason)


def share_below(badness: float, reason: str) -> Grade:
    """Return what ``badness`` leaves: everything at 0 or less, nothing from 1 on."""
    return full() if badness <= 0.0 else Grade(max(0.0, 1.0 - badness), reason)


def within(measured: float | None, target: float, *, what: str, unit: str) -> Grade:
    """Return everything up to ``target``, falling linearly to nothing at twice the target.

    Parameters
    ----------
    measured : float or None
        A figure of which less is better; None earns nothing.
    target : float
        In the same unit, positive.
    """
    if measured is None:
        return lost(f"{what} not measured yet")
    text = f"{what} {measured:.3g} {unit}, target {target:.3g} {unit}"
    return share_below(measured / target - 1.0, text)
