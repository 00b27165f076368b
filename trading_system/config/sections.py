"""One frozen model per component that trades: every default, bound and unit on one page.

A field is set by ``TRADING_<SECTION>__<FIELD>``; where a field has an alias, the alias is the name.
What watches, tells and shows is in :mod:`trading_system.config.operations`.
"""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator

from trading_system.config.fields import (
    Money,
    PathList,
    RestUrl,
    Seconds,
    Section,
    SignalList,
    WsUrl,
    loopback,
)


class VenueSettings(Section):
    """The embedded venue."""

    market: Literal["synthetic", "replay", "live"] = Field(
        default="synthetic",
        description="synthetic (seeded participants), replay (recordings) or live (a public "
        "stream of Bybit)",
    )
    source: Annotated[
        str, Field(max_length=200, pattern=r"^(testnet|mainnet|https?://[^\s/@?#]+/?)$")
    ] = Field(
        default="testnet",
        description="live only: testnet, mainnet or the address of another embedded venue",
    )
    recording: PathList = Field(
        default=(), description="recordings to replay, separated by the system's path separator"
    )
    seed: Annotated[int, Field(ge=0, lt=2**63)] = Field(default=1, description="seed of the market")
    edge_bps: Annotated[float, Field(ge=-200, le=200)] = Field(
        default=25.0,
        alias="edge",
        description="synthetic only: expected move in bps over 10 s at the signal's p90; 0 = noise",
    )
    activity: Annotated[float, Field(gt=0, le=50)] = Field(
        default=1.0, description="synthetic only: factor on the participants' order rates"
    )
    speed: Annotated[float, Field(gt=0, le=1000)] = Field(
        default=1.0, description="replay only: factor on the pace of time"
    )
    fill_model: Literal["queue", "trade-through"] = Field(
        default="queue", description="replay only: queue (position) or trade-through (pessimistic)"
    )
    limits: Literal["documented", "off"] = Field(
        default="documented", description="request quotas as documented by Bybit, or off"
    )
    ack_delay_ms: Annotated[float, Field(ge=0, le=10_000)] = Field(
        default=2.0, description="delay of subscribe acks, first snapshots and trade acks, ms"
    )
    state: Path | None = Field(
        default=None,
        description="file that keeps the venue's accounts across runs; empty keeps them only "
        "until a clean stop",
    )
    latency: Literal["none", "colocated", "regional", "retail"] = Field(
        default="none", description="simulated request delay: none, colocated, regional or retail"
    )

    @model_validator(mode="after")
    def _recording_and_market_agree(self) -> Self:
        if self.market == "replay" and not self.recording:
            raise ValueError(
                "TRADING_VENUE__MARKET=replay needs a recording; set TRADING_VENUE__RECORDING"
            )
        if self.market != "replay" and self.recording:
            raise ValueError(
                "TRADING_VENUE__RECORDING needs TRADING_VENUE__MARKET=replay; set both or none"
            )
        return self


class BybitSettings(Section):
    """Access to a Bybit host."""

    api_key: SecretStr | None = Field(default=None, description="API key; not used when simulated")
    api_secret: SecretStr | None = Field(
        default=None, description="API secret; not used when simulated"
    )
    private_key_file: Path | None = Field(
        default=None,
        description="RSA private key (PEM, mode 600) instead of an API secret",
    )
    rest_url: RestUrl | None = Field(
        default=None, description="base address instead of the environment's REST host"
    )
    ws_url: WsUrl | None = Field(
        default=None, description="base address instead of the environment's WebSocket host"
    )
    recv_window_ms: Annotated[int, Field(ge=100, le=5_000)] = Field(
        default=5000, description="age at which the venue refuses a signed request, ms"
    )
    request_timeout_s: Annotated[float, Field(gt=0, le=60)] = Field(
        default=5.0, description="patience with one request, seconds"
    )
    allow_transfer: bool = Field(
        default=False, description="whether a key that may move funds internally is accepted"
    )
    dcp_window_s: Annotated[int, Field(ge=3, le=300)] | None = Field(
        default=None,
        description="seconds without connection after which the venue cancels all orders, where "
        "the account has this; empty leaves it as it is",
    )

    @field_validator("api_key", "api_secret")
    @classmethod
    def _is_not_empty(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and not value.get_secret_value().strip():
            return None
        return value

    @model_validator(mode="after")
    def _key_and_secret_come_together(self) -> Self:
        if self.private_key_file is not None and self.api_secret is not None:
            raise ValueError(
                "TRADING_BYBIT__API_SECRET and TRADING_BYBIT__PRIVATE_KEY_FILE exclude each "
                "other; set the one that belongs to the key"
            )
        if self.private_key_file is not None and self.api_key is None:
            raise ValueError(
                "TRADING_BYBIT__PRIVATE_KEY_FILE needs TRADING_BYBIT__API_KEY; set both or none"
            )
        has_secret = self.api_secret is not None or self.private_key_file is not None
        if (self.api_key is None) == has_secret:
            raise ValueError(
                "TRADING_BYBIT__API_KEY and TRADING_BYBIT__API_SECRET go together; set both or none"
            )
        return self


class RiskSettings(Section):
    """Hard limits of the gate that every order passes."""

    collar_bps: Annotated[Decimal, Field(gt=0, le=5000)] = Field(
        default=Decimal(50), description="largest distance of an order's price from the mid, bps"
    )
    max_orders_per_second: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=5, description="new orders per rolling second"
    )
    max_amends_per_second: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=10, description="price changes of resting orders per rolling second"
    )
    max_order_notional: Money = Field(
        default=Decimal(10_000), description="largest value of one order, USDT"
    )
    max_gross_notional: Money = Field(
        default=Decimal(50_000), description="largest value of all positions and open orders, USDT"
    )
    max_position_notional: Money = Field(
        default=Decimal(20_000), description="largest value of one symbol's position, USDT"
    )
    stale_book_s: Annotated[float, Field(gt=0, le=60)] = Field(
        default=3.5, description="age of a book that blocks new orders, seconds"
    )
    max_daily_loss_pct: Annotated[Decimal, Field(gt=0, le=100)] = Field(
        default=Decimal(2),
        description="loss since midnight UTC after which positions may only shrink, percent",
    )
    max_drawdown_pct: Annotated[Decimal, Field(gt=0, le=100)] = Field(
        default=Decimal(5),
        description="fall from the equity peak after which positions may only shrink, percent",
    )

    @model_validator(mode="after")
    def _order_fits_into_gross(self) -> Self:
        if self.max_order_notional > self.max_gross_notional:
            raise ValueError(
                "TRADING_RISK__MAX_ORDER_NOTIONAL must not exceed TRADING_RISK__MAX_GROSS_NOTIONAL"
                f" ({self.max_gross_notional}); lower the first or raise the second"
            )
        return self


class StrategySettings(Section):
    """When the strategy trades and how much."""

    name: Literal["signals", "market-maker", "none"] = Field(
        default="signals",
        description="signals (trade on the agents' opinions), market-maker (quote both sides) "
        "or none (watch only)",
    )
    min_edge_bps: Annotated[float, Field(ge=-200, le=200)] = Field(
        default=0.0,
        description="smallest expected move after costs, bps; negative relaxes the cost rule",
    )
    confidence: Annotated[float, Field(ge=0, le=10)] = Field(
        default=0.5,
        description="standard errors subtracted from an expected move before it is judged",
    )
    entry_notional: Money = Field(default=Decimal(1000), description="value of one entry, USDT")
    horizon_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=10.0, description="time over which agents predict the move of the mid, seconds"
    )
    max_hold_s: Seconds = Field(default=60.0, description="longest holding time, seconds")
    stop_loss_bps: Annotated[float, Field(gt=0, le=5000)] = Field(
        default=30.0, description="adverse move since the entry that ends a trade, bps"
    )
    trailing_stop_bps: Annotated[float, Field(gt=0, le=5000)] = Field(
        default=20.0, description="fall from a trade's best that ends it, bps"
    )
    protective_stop_bps: Annotated[float, Field(gt=0, le=5000)] = Field(
        default=100.0, description="distance of the stop that rests at the venue, bps of the mid"
    )
    flatten_on_stop: bool = Field(
        default=False, description="whether own positions are closed when the system stops"
    )
    signal: SignalList = Field(
        default=(), description="further signal agents as module:Class, separated by commas"
    )
    max_slippage_bps: Annotated[float, Field(gt=0, le=1000)] = Field(
        default=10.0, description="cost limit of a parent order against its arrival mid, bps"
    )
    time_limit_s: Seconds = Field(default=10.0, description="time limit of a parent order, seconds")
    decision_interval_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=0.5, description="shortest time between two decisions per symbol, seconds"
    )

    @property
    def is_relaxed(self) -> bool:
        """Whether trades that do not pay their costs are allowed."""
        return self.min_edge_bps < 0

    @model_validator(mode="after")
    def _the_venues_stop_is_the_last(self) -> Self:
        if self.protective_stop_bps <= self.stop_loss_bps:
            raise ValueError(
                "TRADING_STRATEGY__PROTECTIVE_STOP_BPS must exceed TRADING_STRATEGY__STOP_LOSS_BPS"
                f" ({self.stop_loss_bps:g}); raise the first or lower the second"
            )
        return self


class MarketMakerSettings(Section):
    """How the market maker quotes."""

    quoting: Literal["atr", "avellaneda-stoikov"] = Field(
        default="atr", description="what the spread follows: atr or avellaneda-stoikov"
    )
    update_interval_s: Annotated[float, Field(gt=0, le=3600)] = Field(
        default=2.0,
        alias="update_interval",
        description="base time from one quoting cycle to the next, seconds",
    )
    quote_notional: Money = Field(default=Decimal(500), description="value of one quote, USDT")
    tiers: Annotated[int, Field(ge=1, le=5)] = Field(
        default=3, description="quotes on each side of each symbol"
    )
    tier_spacing_bps: Annotated[float, Field(gt=0, le=500)] = Field(
        default=2.0, description="distance from one tier to the next, bps of the mid"
    )
    atr_multiple: Annotated[float, Field(gt=0, le=10)] = Field(
        default=0.05, description="atr only: half spread as a share of the ATR of one minute"
    )
    atr_period: Annotated[int, Field(ge=2, le=200)] = Field(
        default=14, description="candles of the ATR"
    )
    min_edge_bps: Annotated[float, Field(ge=0, le=500)] = Field(
        default=1.0, description="what bid to ask must be worth beyond both maker fees, bps"
    )
    max_half_spread_bps: Annotated[float, Field(gt=0, le=5000)] = Field(
        default=40.0, description="largest distance of the first tier from the centre, bps"
    )
    max_inventory_notional: Money = Field(
        default=Decimal(3000), description="largest value of one symbol's inventory, USDT"
    )
    inventory_skew: Annotated[float, Field(ge=0, le=5)] = Field(
        default=1.0,
        description="atr only: shift of the centre at full inventory, in half spreads",
    )
    risk_aversion: Annotated[float, Field(gt=0, le=100_000)] = Field(
        default=5.0,
        description="avellaneda-stoikov only: aversion to inventory risk, per 1000 USDT",
    )
    arrival_decay_bps: Annotated[float, Field(gt=0, le=1000)] = Field(
        default=2.0,
        description="avellaneda-stoikov only: distance at which fills are 1/e as frequent, bps",
    )
    horizon_s: Annotated[float, Field(gt=0, le=86_400)] = Field(
        default=60.0, description="avellaneda-stoikov only: rolling horizon, seconds"
    )
    requote_bps: Annotated[float, Field(gt=0, le=500)] = Field(
        default=1.5,
        description="the first tier is moved when it is this far off, bps; tier n at n times that",
    )
    pull_after_s: Annotated[float, Field(gt=0, le=60)] = Field(
        default=2.0, description="age of a book at which all its quotes are pulled, seconds"
    )


class PerformanceSettings(Section):
    """Caches, call spacing, batches and thresholds of guide 4; the names are the guide's."""

    enable_caching: bool = Field(default=True, description="false reads everything anew")
    price_cache_ttl_s: Seconds = Field(
        default=0.1, alias="price_cache_ttl", description="life of a cached price, seconds"
    )
    order_book_cache_ttl_s: Seconds = Field(
        default=0.2, alias="order_book_cache_ttl", description="life of a cached book, seconds"
    )
    volatility_cache_ttl_s: Seconds = Field(
        default=60.0, alias="volatility_cache_ttl", description="life of a volatility, seconds"
    )
    ohlcv_cache_ttl_s: Seconds = Field(
        default=30.0, alias="ohlcv_cache_ttl", description="life of cached candles, seconds"
    )
    min_api_interval_s: Annotated[float, Field(ge=0, le=60)] = Field(
        default=0.05,
        alias="min_api_interval",
        description="shortest time between two calls of one operation, seconds",
    )
    max_ticker_response_time_s: Seconds = Field(
        default=0.5,
        alias="max_ticker_response_time",
        description="a price read that takes longer is reported as slow, seconds",
    )
    max_order_response_time_s: Seconds = Field(
        default=1.0,
        alias="max_order_response_time",
        description="an order request that takes longer is reported as slow, seconds",
    )
    max_volatility_calc_time_s: Seconds = Field(
        default=0.1,
        alias="max_volatility_calc_time",
        description="a volatility that takes longer is reported as slow, seconds",
    )
    batch_size: Annotated[int, Field(ge=1, le=10)] = Field(
        default=5, description="orders sent in one request"
    )
    batch_timeout_s: Annotated[float, Field(ge=0, le=10)] = Field(
        default=0.1,
        alias="batch_timeout",
        description="longest wait of an order for others of its batch, seconds",
    )
    performance_log_interval_s: Seconds = Field(
        default=300.0,
        alias="performance_log_interval",
        description="time between two lines of performance figures in the log, seconds",
    )
    min_cache_hit_rate_pct: Annotated[float, Field(ge=0, le=100)] = Field(
        default=50.0, description="below it, a longer life of the cache is recommended, percent"
    )
    max_refused_calls_pct: Annotated[float, Field(ge=0, le=100)] = Field(
        default=20.0, description="above it, calling less often is recommended, percent"
    )
    max_slow_operations_pct: Annotated[float, Field(ge=0, le=100)] = Field(
        default=5.0, description="above it, an operation's slow calls are reported, percent"
    )
    min_batch_fill_pct: Annotated[float, Field(ge=0, le=100)] = Field(
        default=40.0, description="below it, smaller batches are recommended, percent"
    )


class OkxSettings(Section):
    """Access to OKX's public market data; used by the cost simulator."""

    rest_url: RestUrl | None = Field(
        default=None, description="base address instead of the environment's REST host"
    )
    ws_url: WsUrl | None = Field(
        default=None, description="base address instead of the environment's WebSocket host"
    )
    channel: Literal["books", "books5"] = Field(
        default="books", description="books (400 levels, increments) or books5 (5 levels)"
    )


class CostSettings(Section):
    """The cost simulator."""

    horizon_s: Seconds = Field(
        default=60.0, description="time over which a scheduled order is worked, seconds"
    )
    risk_aversion: Annotated[float, Field(ge=0, le=1)] = Field(
        default=1e-6, description="aversion to the variance of the cost, per USDT"
    )
    volatility_window_s: Annotated[float, Field(ge=10, le=86_400)] = Field(
        default=300.0, description="window of the realised volatility, seconds"
    )
    stale_after_s: Annotated[float, Field(gt=0, le=60)] = Field(
        default=5.0, description="age of a book above which no estimate is given, seconds"
    )
    fee_tables: Path | None = Field(
        default=None, description="folder of own fee tables; empty takes the shipped ones"
    )
    host: Annotated[str, Field(min_length=1, max_length=253)] = Field(
        default="127.0.0.1", description="listening address of cost serve, loopback only"
    )
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        default=0, description="listening port of cost serve; 0 takes a free one"
    )

    @field_validator("host")
    @classmethod
    def _isloopback(cls, value: str) -> str:
        return loopback(value)


class OptimizationSettings(Section):
    """Caches, requests and queues of the optimizers."""

    cache_ttl_s: Seconds = Field(
        default=300.0,
        alias="cache_ttl",
        description="longest life of a cached opinion or consensus, seconds",
    )
    max_concurrent_requests: Annotated[int, Field(ge=1, le=1000)] = Field(
        default=5, description="slow signal agents that may work at the same time"
    )
    request_timeout_s: Annotated[float, Field(gt=0, le=600)] = Field(
        default=30.0,
        alias="request_timeout",
        description="patience with one slow signal agent, seconds",
    )
    connection_pool_size: Annotated[int, Field(ge=1, le=100)] = Field(
        default=5, description="connections kept warm to the venue's REST host"
    )
    priority_queue_size: Annotated[int, Field(ge=1, le=10_000)] = Field(
        default=100, description="requests that may wait for a connection before new ones fail"
    )
    context_book: bool = Field(
        default=True,
        description="whether 200 levels of each book are kept beside the 50 that decide, for the "
        "cost of large orders and for pictures",
    )
