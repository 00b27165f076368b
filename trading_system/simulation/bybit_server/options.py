"""How the protocol server is run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from trading_system.domain.errors import ConfigurationError
from trading_system.simulation.latency import PROFILES

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class ServerOptions:
    """Options of :class:`trading_system.simulation.bybit_server.server.BybitServer`.

    Parameters
    ----------
    host, port : str, int
        Listening address; port 0 takes a free one.
    limits : {"documented", "off"}
        Whether request quotas are enforced; their headers are always sent.
    ack_delay_ms : float
        Delay of subscribe acks, first snapshots and trade acks. Real clients register their
        callbacks after sending, so an immediate ack loses a race now and then.
    latency : {"none", "colocated", "regional", "retail"}
        Simulated way of requests and frames; its randomness follows from ``seed``.
    profile : {"full", "demo"}
        ``demo`` leaves out what Bybit's demo environment does not have: the trade and public
        WebSockets, fee rates, disconnect protection, batches of other categories than linear.
    compression : bool
        Whether ``permessage-deflate`` is agreed to with WebSocket clients that offer it.
    okx_checksums : {"zero", "real"}
        Whether OKX's ``books`` stream carries checksums, or the constant 0 that OKX sends now.
    history_lag_ms : int
        How long a closed order is missing in ``order/history``.
    pump_interval_ms : float
        Pause between two advances of the market.
    max_connections : int
        Open connections, HTTP and WebSocket together; further ones are dropped.
    max_outbox_bytes : int
        Unsent bytes after which a WebSocket client is disconnected.
    max_body_bytes, max_message_bytes : int
        Largest HTTP body (413 above) and WebSocket message (close above).
    header_timeout_s, body_timeout_s, keepalive_timeout_s, idle_timeout_s : float
        Patience with a first request's headers, with a request's body, between requests, and
        with a silent WebSocket.
    """

    host: str = "127.0.0.1"
    port: int = 0
    limits: Literal["documented", "off"] = "documented"
    ack_delay_ms: float = 2.0
    latency: Literal["none", "colocated", "regional", "retail"] = "none"
    profile: Literal["full", "demo"] = "full"
    compression: bool = True
    okx_checksums: Literal["zero", "real"] = "zero"
    seed: int = 0
    history_lag_ms: int = 0
    pump_interval_ms: float = 5.0
    max_connections: int = 1000
    max_outbox_bytes: int = 4 * MIB
    max_body_bytes: int = MIB
    max_message_bytes: int = MIB
    header_timeout_s: float = 10.0
    body_timeout_s: float = 10.0
    keepalive_timeout_s: float = 75.0
    idle_timeout_s: float = 600.0

    def __post_init__(self) -> None:
        if not 0 <= self.port <= 65_535:
            raise ConfigurationError(f"port must be 0..65535, was {self.port}")
        if self.limits not in {"documented", "off"}:
            raise ConfigurationError(f"limits must be documented or off, was {self.limits!r}")
        if not 0 <= self.ack_delay_ms <= 10_000:
            raise ConfigurationError(f"ack_delay_ms must be 0..10000, was {self.ack_delay_ms}")
        if self.latency not in {"none", *PROFILES}:
            known = ", ".join(("none", *PROFILES))
            raise ConfigurationError(f"latency must be one of {known}, was {self.latency!r}")
        if self.profile not in {"full", "demo"}:
            raise ConfigurationError(f"profile must be full or demo, was {self.profile!r}")
        if self.okx_checksums not in {"zero", "real"}:
            raise ConfigurationError(f"okx_checksums must be zero or real: {self.okx_checksums!r}")
        if not 0 < self.pump_interval_ms <= 1000:
            raise ConfigurationError(f"pump_interval_ms must be 0..1000: {self.pump_interval_ms}")
