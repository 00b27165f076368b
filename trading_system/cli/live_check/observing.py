"""What one run of the script saw, and how two runs differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from trading_system.cli.live_check.shapes import Difference, Grade, Shape, differences


@dataclass(slots=True)
class Observations:
    """Shapes, codes, headers and life cycles by the name of their step.

    Attributes
    ----------
    shapes : dict of str to Shape
        Answers and pushed messages.
    codes : dict of str to str
        HTTP status and return code of each answer.
    headers : dict of str to frozenset of str
        Quota headers of each signed answer, lower case.
    lives : dict of str to list of str
        States an order was pushed in, without repetition in a row.
    books : dict of str to object
        Figures of the watched books by topic.
    problems : list of str
        What kept a step from its end, or must be looked at by a person.
    """

    shapes: dict[str, Shape] = field(default_factory=dict)
    codes: dict[str, str] = field(default_factory=dict)
    headers: dict[str, frozenset[str]] = field(default_factory=dict)
    lives: dict[str, list[str]] = field(default_factory=dict)
    books: dict[str, Any] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)

    def note(self, step: str, value: object) -> None:
        """Merge the shape of one answer or message of ``step``."""
        self.shapes.setdefault(step, Shape()).add(value)

    def live(self, order: str, state: str) -> None:
        """Note that ``order`` was pushed in ``state``."""
        states = self.lives.setdefault(order, [])
        if not states or states[-1] != state:
            states.append(state)


def compare(host: Observations, reference: Observations) -> list[Difference]:
    """Return all differences of the steps that both runs took, the required ones first."""
    found = [*_in_shapes(host, reference), *_in_replies(host, reference)]
    found += _in_lives(host, reference)
    return sorted(found, key=lambda each: (each.grade is not Grade.REQUIRED, each.step, each.where))


def _in_shapes(host: Observations, reference: Observations) -> Iterator[Difference]:
    for step, shape in host.shapes.items():
        if step in reference.shapes:
            yield from differences(shape, reference.shapes[step], step=step)


def _in_replies(host: Observations, reference: Observations) -> Iterator[Difference]:
    for step, code in host.codes.items():
        known = reference.codes.get(step, code)
        if code != known:
            yield Difference(
                step=step, where="code", host=code, reference=known, grade=Grade.REQUIRED
            )
    for step, names in host.headers.items():
        for name in sorted(reference.headers.get(step, frozenset()) - names):
            yield Difference(
                step=step, where=name, host="missing", reference="header", grade=Grade.REQUIRED
            )


def _in_lives(host: Observations, reference: Observations) -> Iterator[Difference]:
    for order, states in host.lives.items():
        known = reference.lives.get(order, states)
        if states != known:
            yield Difference(
                step=f"order {order}",
                where="life cycle",
                host=" > ".join(states) or "nothing pushed",
                reference=" > ".join(known) or "nothing pushed",
                grade=Grade.REQUIRED,
            )
