"""Bodies of the control API's commands: strict types, no unknown keys, bounded texts."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from trading_system.monitoring.redaction import REDACTOR

_REASON = "requested by operator"


def _positive(quantity: str) -> str:
    if not quantity.strip("0."):
        raise ValueError("must be positive")
    return quantity


# A reason goes into the journal, where nothing is taken back.
Reason = Annotated[str, Field(min_length=1, max_length=200), AfterValidator(REDACTOR)]


class Body(BaseModel):
    """What all bodies share."""

    model_config = ConfigDict(extra="forbid", strict=True, hide_input_in_errors=True)


class ReasonRequest(Body):
    """Body of ``POST /stop``, ``/pause`` and ``/reduce-only``."""

    reason: Reason = _REASON


class ResumeRequest(Body):
    """Body of ``POST /resume``."""

    reset_limits: bool = False


class KillRequest(Body):
    """Body of ``POST /kill``; ``confirm`` makes a kill by mistake impossible."""

    confirm: Literal["KILL"]
    reason: Reason = _REASON
    flatten: bool = False


class ExecuteRequest(Body):
    """Body of ``POST /execute``; the quantity is text in base currency, as venues write it."""

    symbol: Annotated[str, Field(pattern=r"^[A-Z0-9]{2,20}(-[A-Z0-9]{1,12})?$")]
    side: Literal["Buy", "Sell"]
    quantity: Annotated[
        str, Field(pattern=r"^[0-9]{1,12}(\.[0-9]{1,12})?$"), AfterValidator(_positive)
    ]
    algorithm: Literal["auto", "market", "limit", "twap"] = "auto"
    urgency: Literal["LOW", "NORMAL", "HIGH"] = "NORMAL"


class AcknowledgeRequest(Body):
    """Body of ``POST /alerts/{id}/acknowledge``; the note is shown beside the alert."""

    note: Annotated[str, Field(max_length=500)] = ""
