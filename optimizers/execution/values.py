"""The values of the market maker's guide, by the guide's names."""

from __future__ import annotations

from typing import TypedDict

import pydantic

from optimizers.execution.operations import Kind
from trading_system.config.sections import PerformanceSettings
from trading_system.domain.errors import ValidationError


class GuideValues(TypedDict, total=False):
    """Keyword arguments that change single values of ``PerformanceSettings``, seconds or counts."""

    enable_caching: bool
    price_cache_ttl: float
    order_book_cache_ttl: float
    volatility_cache_ttl: float
    ohlcv_cache_ttl: float
    min_api_interval: float
    max_ticker_response_time: float
    max_order_response_time: float
    max_volatility_calc_time: float
    batch_size: int
    batch_timeout: float
    performance_log_interval: float
    min_cache_hit_rate_pct: float
    max_refused_calls_pct: float
    max_slow_operations_pct: float
    min_batch_fill_pct: float


def performance_settings(
    base: PerformanceSettings | None, values: GuideValues
) -> PerformanceSettings:
    """Return ``base`` (or the defaults) with ``values`` instead of its own.

    Raises
    ------
    ValidationError
        If a value is out of its range or has no such name.
    """
    base = base or PerformanceSettings()
    if not values:
        return base
    try:
        return PerformanceSettings.model_validate({**base.model_dump(by_alias=True), **values})
    except pydantic.ValidationError as e:
        wrong = "; ".join(f"{'.'.join(map(str, d['loc']))}: {d['msg']}" for d in e.errors())
        raise ValidationError(f"performance settings: {wrong}") from e


def response_limits(performance: PerformanceSettings) -> dict[Kind, float]:
    """Return the longest time of an operation by its kind, seconds; ``other`` has none."""
    return {
        "ticker": performance.max_ticker_response_time_s,
        "order": performance.max_order_response_time_s,
        "volatility": performance.max_volatility_calc_time_s,
    }
