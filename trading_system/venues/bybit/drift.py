"""Counts where the venue's private rows differ from what is documented, instead of breaking.

Only what is not needed is read this way: a needed key that is missing is a ``CorruptDataError``.
"""

from __future__ import annotations

from collections import Counter
from decimal import Decimal
from typing import Final

import structlog

from trading_system.domain.errors import ValidationError
from trading_system.domain.instruments import parse_decimal

_LOG = structlog.get_logger(__name__)
_MOST_NAMES: Final = 100
_OTHER: Final = "other"
_MOST_TEXT: Final = 60


class SchemaDrift:
    """Readers of optional values that count what they could not read; each kind is logged once.

    Attributes
    ----------
    counts : Counter of str
        How often each difference was seen, at most a hundred kinds; the rest counts as "other".
    """

    def __init__(self) -> None:
        self.counts: Counter[str] = Counter()

    @property
    def total(self) -> int:
        """Differences seen so far."""
        return self.counts.total()

    def note(self, what: str) -> None:
        """Count one difference."""
        name = what[:_MOST_TEXT]
        if name not in self.counts:
            if len(self.counts) >= _MOST_NAMES:
                name = _OTHER
            else:
                _LOG.warning("the venue's rows differ from its documentation", what=name)
        self.counts[name] += 1

    def text(self, value: object, what: str) -> str:
        """Return an optional text, empty where it is missing or no text."""
        if isinstance(value, str):
            return value
        self.note(f"{what}: {'missing' if value is None else 'not a text'}")
        return ""

    def decimal(self, value: object, what: str) -> Decimal | None:
        """Return an optional number, None where it is unset, missing or no number."""
        text = self.text(value, what)
        if not text:
            return None
        try:
            return parse_decimal(text)
        except ValidationError:
            self.note(f"{what}: not a number")
            return None

    def flag(self, value: object, what: str) -> bool:
        """Return an optional truth value, False where it is missing or none."""
        if isinstance(value, bool):
            return value
        self.note(f"{what}: {'missing' if value is None else 'not a truth value'}")
        return False

    def position_index(self, value: object, what: str) -> int:
        """Return 0 in one-way mode, 1 long, 2 short; 0 where it is missing or unknown."""
        if isinstance(value, int) and not isinstance(value, bool) and value in {0, 1, 2}:
            return value
        self.note(f"{what}: {'missing' if value is None else 'unknown'}")
        return 0
