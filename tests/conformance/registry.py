"""The numbered cases: what is checked, through which client, and which code must be seen."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

PHASES = (
    "pybit",
    "ccxt",
    "close",
    "clients venue",
    "nautilus",
    "modes",
    "ccxt modes",
    "modes venue",
    "demo",
    "demo venue",
    "own",
)


class CaseError(AssertionError):
    """A client saw something that the protocol does not allow."""


@dataclass(frozen=True, slots=True)
class Case:
    """One claim about the venue, checked through one real client."""

    number: int
    name: str
    client: str
    code: str
    phase: str
    run: Callable[[Any], Any]


CASES: list[Case] = []


def case(
    name: str, client: str, *, code: int | str = 0, phase: str = "pybit"
) -> Callable[[Any], Any]:
    """Register the decorated function; it returns the code it saw (None means 0)."""

    def register(function: Callable[[Any], Any]) -> Callable[[Any], Any]:
        assert phase in PHASES, phase
        assert all((known.name, known.client) != (name, client) for known in CASES), (name, client)
        CASES.append(Case(len(CASES) + 1, name, client, str(code), phase, function))
        return function

    return register


def check(condition: object, *detail: object) -> None:
    """Fail the running case with ``detail`` unless ``condition`` holds."""
    if not condition:
        raise CaseError(" ".join(str(part) for part in detail) or "condition does not hold")


def check_equal(found: object, wanted: object, what: str) -> None:
    """Fail the running case unless both values are equal."""
    check(found == wanted, f"{what} is {found!r}, expected {wanted!r}")


def check_keys(row: dict[str, Any], keys: Iterable[str], what: str) -> None:
    """Fail the running case unless ``row`` has every key."""
    missing = sorted(set(keys) - set(row))
    check(not missing, f"{what} lacks {', '.join(missing)}")
