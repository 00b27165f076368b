"""The shape of JSON answers: which keys they have and of which types, and how two shapes differ."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum
from typing import Final

OPTIONAL: Final = frozenset(
    {
        "brokerOrderPrice",
        "colRes",
        "curPreListingPhase",
        "extraFees",
        "free",
        "kycLevel",
        "kycRegion",
        "mmrSysUpdatedTime",
        "preOpenPrice",
        "preQty",
        "retExtInfo",
        "rpiMatchedQty",
        "rpiTakerAccess",
        "singleOpenInterest",
        "singleOpenInterestValue",
        "spotBorrow",
        "time",
    }
)
"""Keys that Bybit's documentation leaves out of some answers; no client may need them."""

_OPAQUE: Final = frozenset({"cumFeeDetail"})  # its keys are coins
_DEEPEST: Final = 20
_KINDS: Final = {bool: "bool", int: "number", float: "number", str: "string", type(None): "null"}


class Grade(Enum):
    """What a difference means; only REQUIRED makes the check fail."""

    REQUIRED = "required"
    NOTE = "note"


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that the checked host does differently.

    Parameters
    ----------
    step : str
        Request, stream or order it was seen in.
    where : str
        Path of the key, for example ``result.list[].price``.
    host, reference : str
        What the host has and what the embedded venue has.
    """

    step: str
    where: str
    host: str
    reference: str
    grade: Grade

    def as_row(self) -> dict[str, str]:
        """Return the difference as plain text by key."""
        return {
            "step": self.step,
            "where": self.where,
            "host": self.host,
            "reference": self.reference,
            "grade": self.grade.value,
        }


@dataclass(slots=True)
class Shape:
    """Types and keys of every value that was added.

    Attributes
    ----------
    seen, objects : int
        Values added, and how many of them were objects.
    """

    seen: int = 0
    objects: int = 0
    kinds: set[str] = field(default_factory=set)
    keys: dict[str, Shape] = field(default_factory=dict)
    items: Shape | None = None

    def add(self, value: object, *, depth: int = 0) -> None:
        """Merge one decoded JSON value, at most twenty levels deep."""
        self.seen += 1
        if isinstance(value, dict):
            self.kinds.add("object")
            self.objects += 1
            self._add_keys(value, depth)
        elif isinstance(value, list):
            self.kinds.add("array")
            if value and depth < _DEEPEST:
                self.items = self.items or Shape()
                for item in value:
                    self.items.add(item, depth=depth + 1)
        else:
            self.kinds.add(_KINDS[type(value)])

    def _add_keys(self, value: dict[str, object], depth: int) -> None:
        if depth >= _DEEPEST:
            return
        for key, inner in value.items():
            shape = self.keys.setdefault(key, Shape())
            if key in _OPAQUE:
                shape.seen += 1
                shape.kinds.add("object" if isinstance(inner, dict) else _KINDS[type(inner)])
            else:
                shape.add(inner, depth=depth + 1)

    def describe(self) -> str:
        """Return the types, for example ``number or string``."""
        return " or ".join(sorted(self.kinds)) or "nothing"


def differences(host: Shape, reference: Shape, *, step: str) -> list[Difference]:
    """Return where the ``host`` does not have the keys and types that ``reference`` has.

    Keys that the host has beyond the reference are notes: Bybit adds some from time to time, and
    clients ignore them. Of a value that is null on one side only, nothing is known.
    """
    return list(_differ(host, reference, step=step, path=""))


def _differ(host: Shape, reference: Shape, *, step: str, path: str) -> Iterator[Difference]:
    strange = host.kinds - reference.kinds
    if strange:
        known = host.kinds - {"null"} and reference.kinds - {"null"}
        is_type = bool(known) and bool(strange - {"null"})
        yield Difference(
            step=step,
            where=path or "(whole answer)",
            host=host.describe(),
            reference=reference.describe(),
            grade=Grade.REQUIRED if is_type else Grade.NOTE,
        )
    if host.objects and reference.objects:
        yield from _differ_in_keys(host, reference, step=step, path=path)
    if host.items is not None and reference.items is not None:
        yield from _differ(host.items, reference.items, step=step, path=f"{path}[]")


def _differ_in_keys(host: Shape, reference: Shape, *, step: str, path: str) -> Iterator[Difference]:
    for key, known in reference.keys.items():
        where = f"{path}.{key}" if path else key
        found = host.keys.get(key)
        is_always = known.seen == reference.objects
        if is_always and (found is None or found.seen < host.objects):
            missing = "missing" if found is None else f"in {found.seen} of {host.objects}"
            grade = Grade.NOTE if key in OPTIONAL else Grade.REQUIRED
            yield Difference(
                step=step, where=where, host=missing, reference=known.describe(), grade=grade
            )
        if found is not None:
            yield from _differ(found, known, step=step, path=where)
    for key in host.keys.keys() - reference.keys.keys():
        where = f"{path}.{key}" if path else key
        text = host.keys[key].describe()
        yield Difference(step=step, where=where, host=text, reference="missing", grade=Grade.NOTE)
