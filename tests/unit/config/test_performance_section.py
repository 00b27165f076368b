"""The performance section: the guide's names, the guide's defaults, and nothing senseless."""

from __future__ import annotations

import math
from typing import get_type_hints

import pytest
from pydantic import ValidationError

from optimizers.execution.values import GuideValues
from trading_system.config.sections import PerformanceSettings

GUIDE = {
    "enable_caching": True,
    "price_cache_ttl": 0.1,
    "order_book_cache_ttl": 0.2,
    "volatility_cache_ttl": 60,
    "min_api_interval": 0.05,
    "max_ticker_response_time": 0.5,
    "max_order_response_time": 1.0,
    "max_volatility_calc_time": 0.1,
    "batch_size": 5,
    "batch_timeout": 0.1,
    "performance_log_interval": 300,
}
NUMBERS = [name for name in PerformanceSettings.model_fields if name != "enable_caching"]
MAY_BE_ZERO = {
    "batch_timeout_s",
    "max_refused_calls_pct",
    "max_slow_operations_pct",
    "min_api_interval_s",
    "min_batch_fill_pct",
    "min_cache_hit_rate_pct",
}


def test_the_guides_values_are_the_defaults() -> None:
    defaults = PerformanceSettings().model_dump(by_alias=True)
    assert {name: defaults[name] for name in GUIDE} == GUIDE
    assert PerformanceSettings.model_validate(GUIDE) == PerformanceSettings()


def test_a_name_with_its_unit_is_known_too() -> None:
    assert PerformanceSettings(price_cache_ttl_s=0.3) == PerformanceSettings(price_cache_ttl=0.3)


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -1.0, 1e9])
def test_senseless_numbers_are_refused(name: str, value: float) -> None:
    with pytest.raises(ValidationError):
        PerformanceSettings.model_validate({name: value})


@pytest.mark.parametrize("name", NUMBERS)
def test_only_what_has_a_meaning_at_zero_may_be_zero(name: str) -> None:
    if name in MAY_BE_ZERO:
        assert getattr(PerformanceSettings.model_validate({name: 0}), name) == 0
        return
    with pytest.raises(ValidationError):
        PerformanceSettings.model_validate({name: 0})


def test_a_batch_fits_into_one_request_of_the_venue() -> None:
    assert PerformanceSettings(batch_size=10).batch_size == 10
    with pytest.raises(ValidationError):
        PerformanceSettings(batch_size=11)


def test_the_optimizer_takes_every_value_by_the_guides_name() -> None:
    names = {field.alias or name for name, field in PerformanceSettings.model_fields.items()}
    assert get_type_hints(GuideValues).keys() == names
