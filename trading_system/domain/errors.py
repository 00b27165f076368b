"""The error tree.

::

    TradingSystemError
    ├── ConfigurationError          refuse to start
    ├── InvariantViolated           stop trading, a bug or a venue fault threatens money
    ├── LifecycleError              the caller's trigger is illegal in the present state
    ├── ValidationError             (ValueError) the value is refused, nothing is sent
    │   └── OffGridError            not on the instrument's tick or lot grid
    ├── CorruptDataError            (ValueError) drop the message, resynchronise the stream
    │   ├── SequenceGapError        resynchronise the stream
    │   └── ModelFileError          (in agents.artifacts) the model is not used, its agent abstains
    ├── QueueFullError              nothing was queued, the caller must back off
    ├── JournalError                new orders are refused, cancels still pass
    ├── OrderDenied                 the risk gate refused, nothing was sent
    ├── AlertDeliveryError          the message is tried again later, trading goes on
    ├── DeadlineExceeded            (TimeoutError) the outcome is unknown to the caller
    └── VenueError                  (ConnectionError) see ``outcome``
        ├── VenueRejected           definite: do not retry unchanged
        ├── VenueRateLimited        not accepted: retry after ``retry_after_s``
        ├── VenueAuthError          halt: keys, clock or permissions are wrong
        └── VenueUnavailable        not sent, or unknown: look up before any resend
"""

from __future__ import annotations

from enum import Enum


class TradingSystemError(Exception):
    """Root of every error this project raises on purpose."""


class ConfigurationError(TradingSystemError):
    """A setting is missing, unknown or out of range. Consequence: refuse to start."""


class InvariantViolated(TradingSystemError):
    """A money-safety check failed. Consequence: stop trading and reconcile."""


class LifecycleError(TradingSystemError):
    """A trigger is illegal in the present state. Consequence: nothing changed."""


class ValidationError(TradingSystemError, ValueError):
    """A value breaks a documented rule. Consequence: it is refused and nothing is sent."""


class OffGridError(ValidationError):
    """A price or quantity is not on the instrument's grid. Consequence: nothing is sent."""


class CorruptDataError(TradingSystemError, ValueError):
    """A venue message is malformed or impossible. Consequence: drop it, resynchronise."""


class SequenceGapError(CorruptDataError):
    """Messages of a stream were lost. Consequence: resynchronise the stream."""


class QueueFullError(TradingSystemError):
    """A bounded queue is full. Consequence: nothing was queued; back off."""


class JournalError(TradingSystemError):
    """The journal cannot be written. Consequence: new orders are refused, cancels still pass."""


class OrderDenied(TradingSystemError):
    """The risk gate refused an order. Consequence: nothing was sent.

    Parameters
    ----------
    reason : str
        Enumerated reason, a value of ``risk.limits.DenyReason``.
    detail : str
        One sentence with the figures that led to the refusal.
    """

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class AlertDeliveryError(TradingSystemError):
    """A message to somebody was not delivered. Consequence: it is tried again, trading goes on."""


class DeadlineExceeded(TradingSystemError, TimeoutError):
    """An operation outlived its deadline. Consequence: its outcome is unknown."""


class Outcome(Enum):
    """What is known about a request that failed."""

    NOT_SENT = "not_sent"
    REJECTED = "rejected"
    UNKNOWN = "unknown"


class VenueError(TradingSystemError, ConnectionError):
    """A venue operation failed.

    Parameters
    ----------
    message : str
        What happened, in one sentence.
    venue : str
        Name of the venue, for example ``bybit``.
    operation : str
        Name of the operation, for example ``order.create``.
    outcome : Outcome
        Whether the request can have had an effect.
    code : int or None
        The venue's own code, if it gave one.
    retry_after_s : float or None
        Seconds after which a retry is allowed, if the venue said so.
    """

    def __init__(
        self,
        message: str,
        *,
        venue: str,
        operation: str,
        outcome: Outcome,
        code: int | None = None,
        retry_after_s: float | None = None,
    ) -> None:
        super().__init__(f"{venue} {operation}: {message}")
        self.venue = venue
        self.operation = operation
        self.outcome = outcome
        self.code = code
        self.retry_after_s = retry_after_s


class VenueRejected(VenueError):
    """The venue refused the request. Consequence: definite; do not retry unchanged."""


class VenueRateLimited(VenueError):
    """The venue refused because of a rate limit. Consequence: retry after the given time."""


class VenueAuthError(VenueError):
    """Key, signature, clock or permission is wrong. Consequence: halt."""


class VenueUnavailable(VenueError):
    """The venue did not answer usefully. Consequence: look up before any resend."""
