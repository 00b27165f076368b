"""What may be asked of the reading routes: bounded, no unknown parameter."""

from __future__ import annotations

from typing import Annotated, Literal

from fastapi import Path
from pydantic import BaseModel, ConfigDict, Field

SYMBOL_PATTERN = r"^[A-Z0-9]{2,20}(-[A-Z0-9]{1,12}){0,2}$"
Symbol = Annotated[str, Field(pattern=SYMBOL_PATTERN, description="e.g. BTCUSDT")]
PathSymbol = Annotated[str, Path(pattern=SYMBOL_PATTERN, description="e.g. BTCUSDT")]
AlertId = Annotated[str, Path(pattern=r"^[A-Za-z0-9_-]{1,64}$", description="`id` of an alert")]
Interval = Literal["1", "3", "5", "15", "30", "60", "120", "240", "360", "720", "D", "W", "M"]
_MAX_NUMBER = 2**53 - 1


class Query(BaseModel):
    """What all queries share."""

    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class FillsQuery(Query):
    """Parameters of ``GET /fills``."""

    symbol: Symbol | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class SignalsQuery(Query):
    """Parameters of ``GET /signals``."""

    symbol: Symbol | None = None
    limit: Annotated[int, Field(ge=1, le=200, description="newest decisions")] = 50


class ExecutionsQuery(Query):
    """Parameters of ``GET /executions``."""

    limit: Annotated[int, Field(ge=1, le=500)] = 50


class MarketQuery(Query):
    """Parameters of ``GET /market/{symbol}``."""

    depth: Annotated[int, Field(ge=1, le=200, description="levels per side")] = 25


class CandlesQuery(Query):
    """Parameters of ``GET /candles/{symbol}``."""

    interval: Annotated[Interval, Field(description="minutes, or D, W, M")] = "1"
    limit: Annotated[int, Field(ge=1, le=1000)] = 120


class JournalQuery(Query):
    """Parameters of ``GET /journal``."""

    kind: Annotated[str, Field(pattern=r"^[A-Za-z_]{1,40}$")] | None = None
    key: Annotated[str, Field(pattern=r"^[\x21-\x7e]{1,128}$")] | None = None
    before: Annotated[int, Field(ge=1, le=_MAX_NUMBER, description="number of a row")] | None = None
    limit: Annotated[int, Field(ge=1, le=500)] = 100


class LogQuery(Query):
    """Parameters of ``GET /log``."""

    after: Annotated[int, Field(ge=0, le=_MAX_NUMBER, description="number of a line")] = 0
    limit: Annotated[int, Field(ge=1, le=500)] = 200
