"""What the venue's codes mean: accepted, refused for certain, or unknown.

One table for REST and the trade WebSocket. A request whose outcome is unknown can have had its
effect; only a look-up by the client's own id tells, and nothing here sends anything again.
"""

from __future__ import annotations

from trading_system.domain.errors import (
    Outcome,
    VenueAuthError,
    VenueError,
    VenueRateLimited,
    VenueRejected,
    VenueUnavailable,
)

VENUE = "bybit"
"""Name of the venue in every error."""

NO_CHANGE_CODES = frozenset({34040, 110025, 110026, 110043})
"""Errors on the wire that say that the wanted state is there already.

In order: stop, position mode, margin mode and leverage.
"""

LATE_TOLERATED = 3
"""Log-ins in a row that may come too late before the key counts as refused."""

STALE_STAMP_CODE = 10002
"""The request's timestamp was outside the venue's window: not accepted, the clocks differ."""

_BAD_PARAMETER = 10001
_BAD_SIGNATURE = 10004
# An amendment that changes nothing has the code of any bad parameter: only the text tells.
_UNCHANGED_TEXTS = ("not modified", "remains unchanged")
_AUTH_CODES = frozenset(
    {-2015, STALE_STAMP_CODE, 10003, _BAD_SIGNATURE, 10005, 10007, 10010, 33004}
)
_QUOTA_CODES = frozenset({10006, 170222})
_LATE = ("expire", "timestamp", "recv_window")
# Codes after which the venue may have acted all the same: only a look-up tells.
_UNKNOWN_CODES = frozenset(
    {429, 10000, 10016, 10019, 10403, 10429, 20003, 20006, 170001, 170005, 170007, 170032, 500000}
)
_KEY = "TRADING_BYBIT__API_KEY"
_HINTS = {
    -2015: f"the key has expired; make a new one and set {_KEY}",
    STALE_STAMP_CODE: "the clocks differ too much; the offset is measured again",
    10003: f"this host does not know the key: a key belongs to one environment, so "
    f"TRADING_ENVIRONMENT and {_KEY} must fit together",
    _BAD_SIGNATURE: "the signature is wrong; check TRADING_BYBIT__API_SECRET",
    10005: f"the key lacks the permission; allow orders and positions for the key of {_KEY}",
    10007: f"the key was refused; check {_KEY} and TRADING_BYBIT__API_SECRET",
    10010: f"the key of {_KEY} does not allow this machine's address",
    33004: f"the key has expired; make a new one and set {_KEY}",
}


def came_late(message: str) -> bool:
    """Return whether a refused log-in came too late: a word against the clock, not the key."""
    return any(word in message.lower() for word in _LATE)


def is_late(code: int, message: str) -> bool:
    """Return whether a refusal is about the time of its stamp, which can have the code of a key."""
    return code == STALE_STAMP_CODE or (code == _BAD_SIGNATURE and came_late(message))


def is_no_change(code: int, message: str, *, operation: str) -> bool:
    """Return whether a reply says that the wanted state is there already: that is success.

    Parameters
    ----------
    code : int
        The venue's ``retCode``, or that of one item of a batch.
    message : str
        The venue's text; it decides only for the code of any bad parameter.
    operation : str
        Path or stream operation; a new order can never be there already.
    """
    if "create" in operation:
        return False
    if code in NO_CHANGE_CODES:
        return True
    return code == _BAD_PARAMETER and any(text in message.lower() for text in _UNCHANGED_TEXTS)


def refusal(
    code: int, message: str, *, operation: str, retry_after_s: float | None = None
) -> VenueError:
    """Return the error that a reply's code other than 0 stands for.

    Parameters
    ----------
    code : int
        The venue's ``retCode``.
    message : str
        The venue's text, shown; it decides only which remedy goes with a refused signature.
    operation : str
        Path or stream operation that was answered.
    retry_after_s : float or None
        Seconds until the quota is free again; used for quota refusals only.
    """
    text = f"{code} {message}".rstrip()
    if code in _UNKNOWN_CODES:
        return unknown(text, operation=operation, code=code)
    if code in _QUOTA_CODES:
        return VenueRateLimited(
            text,
            venue=VENUE,
            operation=operation,
            outcome=Outcome.REJECTED,
            code=code,
            retry_after_s=retry_after_s,
        )
    if code in _AUTH_CODES:
        return VenueAuthError(
            f"{text} ({_HINTS[STALE_STAMP_CODE if is_late(code, message) else code]})",
            venue=VENUE,
            operation=operation,
            outcome=Outcome.REJECTED,
            code=code,
        )
    return VenueRejected(
        text, venue=VENUE, operation=operation, outcome=Outcome.REJECTED, code=code
    )


def unknown(message: str, *, operation: str, code: int | None = None) -> VenueUnavailable:
    """Return the error of a request that can have had its effect."""
    return VenueUnavailable(
        message, venue=VENUE, operation=operation, outcome=Outcome.UNKNOWN, code=code
    )


def not_sent(message: str, *, operation: str) -> VenueUnavailable:
    """Return the error of a request of which no byte has left."""
    return VenueUnavailable(message, venue=VENUE, operation=operation, outcome=Outcome.NOT_SENT)


def no_key(operation: str) -> VenueAuthError:
    """Return the error of a signed request without a key."""
    return VenueAuthError(
        f"needs an API key; set {_KEY} and TRADING_BYBIT__API_SECRET",
        venue=VENUE,
        operation=operation,
        outcome=Outcome.NOT_SENT,
    )
