"""Fee rates of linear contracts by VIP level.

Source: Bybit help centre, perpetual and futures table for VIP 0-5 and Supreme (2025).
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
    if not 0 <= vip_level < len(_RATES):
        raise ConfigurationError(f"VIP level must be 0 to {len(_RATES) - 1}, was {vip_level}")
    return _RATES[vip_level]
