"""Why there is no estimate: every error names its remedy, none carries an old number.

::

    TradingSystemError
    ├── BookUnavailableError        no book, or one that is too old: wait for the feed
    ├── VolatilityUnknownError      not measured yet: wait, or give a figure
    └── ValidationError
        └── UnknownInstrumentError  no such exchange or instrument: take one that exists
"""

from __future__ import annotations

from trading_system.domain.errors import TradingSystemError, ValidationError


class BookUnavailableError(TradingSystemError):
    """The book is missing or too old to be believed. Consequence: no estimate; try again."""


class VolatilityUnknownError(TradingSystemError):
    """Realised volatility was not measured yet. Consequence: no estimate; wait or give one."""


class UnknownInstrumentError(ValidationError):
    """The exchange or instrument is not served here. Consequence: no estimate."""


def code(error: TradingSystemError) -> str:
    """Return the short name of ``error`` that programs may compare."""
    for kind, name in _CODES:
        if isinstance(error, kind):
            return name
    return "unavailable"


def described(error: TradingSystemError) -> dict[str, str]:
    """Return ``error`` (its code), ``message`` and ``remedy``, empty where the text has none."""
    text = " ".join(str(error).split())
    message, separator, remedy = text.partition("; ")
    return {
        "error": code(error),
        "message": message if separator else text,
        "remedy": remedy,
    }


_CODES: tuple[tuple[type[TradingSystemError], str], ...] = (
    (UnknownInstrumentError, "unknown_instrument"),
    (ValidationError, "invalid_request"),
    (BookUnavailableError, "book_unavailable"),
    (VolatilityUnknownError, "volatility_unknown"),
)
