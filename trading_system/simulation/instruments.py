"""The contracts and currency pairs that the embedded venue lists by default.

Grids follow Bybit's; limits are plausible and change there without notice.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

from trading_system.domain.instruments import Category, Instrument

INSTRUMENTS: Mapping[str, Instrument] = MappingProxyType(
    {
        "BTCUSDT": Instrument(
            symbol="BTCUSDT",
            base_coin="BTC",
            quote_coin="USDT",
            tick_size=Decimal("0.10"),
            qty_step=Decimal("0.001"),
            min_price=Decimal("0.10"),
            max_price=Decimal("1999999.80"),
            min_qty=Decimal("0.001"),
            max_qty=Decimal("1190.000"),
            max_market_qty=Decimal("500.000"),
            min_notional=Decimal(5),
            max_leverage=Decimal(100),
        ),
        "ETHUSDT": Instrument(
            symbol="ETHUSDT",
            base_coin="ETH",
            quote_coin="USDT",
            tick_size=Decimal("0.01"),
            qty_step=Decimal("0.01"),
            min_price=Decimal("0.01"),
            max_price=Decimal("199999.98"),
            min_qty=Decimal("0.01"),
            max_qty=Decimal("7240.00"),
            max_market_qty=Decimal("3500.00"),
            min_notional=Decimal(5),
            max_leverage=Decimal(100),
        ),
        "SOLUSDT": Instrument(
            symbol="SOLUSDT",
            base_coin="SOL",
            quote_coin="USDT",
            tick_size=Decimal("0.010"),
            qty_step=Decimal("0.1"),
            min_price=Decimal("0.010"),
            max_price=Decimal("19999.980"),
            min_qty=Decimal("0.1"),
            max_qty=Decimal("79770.0"),
            max_market_qty=Decimal("16000.0"),
            min_notional=Decimal(5),
            max_leverage=Decimal(100),
        ),
    }
)
"""Linear perpetuals by symbol."""

SPOT_INSTRUMENTS: Mapping[str, Instrument] = MappingProxyType(
    {
        "BTCUSDT": Instrument(
            symbol="BTCUSDT",
            base_coin="BTC",
            quote_coin="USDT",
            tick_size=Decimal("0.01"),
            qty_step=Decimal("0.000001"),
            min_price=Decimal("0.01"),
            max_price=Decimal("1999999.99"),
            min_qty=Decimal("0.000011"),
            max_qty=Decimal(83),
            max_market_qty=Decimal("41.5"),
            min_notional=Decimal(5),
            max_leverage=Decimal(1),
            category=Category.SPOT,
        ),
        "ETHUSDT": Instrument(
            symbol="ETHUSDT",
            base_coin="ETH",
            quote_coin="USDT",
            tick_size=Decimal("0.01"),
            qty_step=Decimal("0.00001"),
            min_price=Decimal("0.01"),
            max_price=Decimal("199999.99"),
            min_qty=Decimal("0.0003"),
            max_qty=Decimal(2200),
            max_market_qty=Decimal(1100),
            min_notional=Decimal(5),
            max_leverage=Decimal(1),
            category=Category.SPOT,
        ),
    }
)
"""Spot pairs by symbol."""

START_PRICES: Mapping[str, Decimal] = MappingProxyType(
    {"BTCUSDT": Decimal(65_000), "ETHUSDT": Decimal(3_400), "SOLUSDT": Decimal(150)}
)
"""Where the synthetic market starts, USDT."""
