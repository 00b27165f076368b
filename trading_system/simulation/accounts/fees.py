"""Fee rates of linear contracts and spot pairs by VIP level.

Source: Bybit help centre, tables of perpetuals and of spot for VIP 0-5 and Supreme (2025).
Regional sites differ; the rates are those an order is charged with, never rounded.
"""

from __future__ import annotations

from decimal import Decimal

from trading_system.domain.errors import ConfigurationError

_RATES: tuple[tuple[Decimal, Decimal], ...] = (
    (Decimal("0.00055"), Decimal("0.0002")),
    (Decimal("0.0004"), Decimal("0.00018")),
    (Decimal("0.000375"), Decimal("0.00016")),
    (Decimal("0.00035"), Decimal("0.00014")),
    (Decimal("0.00032"), Decimal("0.00012")),
    (Decimal("0.00032"), Decimal("0.0001")),
    (Decimal("0.0003"), Decimal(0)),
)
_SPOT_RATES: tuple[tuple[Decimal, Decimal], ...] = (
    (Decimal("0.001"), Decimal("0.001")),
    (Decimal("0.0008"), Decimal("0.000675")),
    (Decimal("0.000775"), Decimal("0.00065")),
    (Decimal("0.00075"), Decimal("0.000625")),
    (Decimal("0.0006"), Decimal("0.0005")),
    (Decimal("0.0005"), Decimal("0.0004")),
    (Decimal("0.00045"), Decimal("0.0003")),
)


def linear_rates(vip_level: int) -> tuple[Decimal, Decimal]:
    """Return (taker, maker) rates as shares of the traded value.

    Parameters
    ----------
    vip_level : int
        0 to 5, or 6 for Supreme.

    Raises
    ------
    ConfigurationError
        If there is no such level.
    """
    return _of_level(_RATES, vip_level)


def spot_rates(vip_level: int) -> tuple[Decimal, Decimal]:
    """Return (taker, maker) rates of spot pairs; levels as in :func:`linear_rates`."""
    return _of_level(_SPOT_RATES, vip_level)


def _of_level(
    rates: tuple[tuple[Decimal, Decimal], ...], vip_level: int
) -> tuple[Decimal, Decimal]:
    if not 0 <= vip_level < len(rates):
        raise ConfigurationError(f"VIP level must be 0 to {len(rates) - 1}, was {vip_level}")
    return rates[vip_level]
