"""One frozen model per component that watches, tells and shows: targets, health, alerts, faces.

A field is set by ``TRADING_<SECTION>__<FIELD>``.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, field_validator, model_validator

from trading_system.config.fields import Seconds, SecretList, Section, loopback


class TargetSettings(Section):
    """Performance targets that compliance is judged by."""

    signal_generation_time_ms: Annotated[float, Field(gt=0, le=3_600_000)] = Field(
        default=2000.0, description="longest 95th percentile of signal generation, ms"
    )
    order_execution_time_ms: Annotated[float, Field(gt=0, le=3_600_000)] = Field(
        default=500.0, description="longest 95th percentile of order execution, ms"
    )
    system_latency_ms: Annotated[float, Field(gt=0, le=3_600_000)] = Field(
        default=3000.0,
        description="longest 95th percentile from market data to order, ms; shown, not judged yet",
    )
    success_rate_pct: Annotated[float, Field(ge=0, le=100)] = Field(
        default=60.0,
        description="smallest share of parent orders completed inside their limits, percent",
    )
    system_health_score: Annotated[float, Field(ge=0, le=100)] = Field(
        default=80.0, description="smallest health score, 0 to 100"
    )


class ApiSettings(Section):
    """The control API."""

    host: Annotated[str, Field(min_length=1, max_length=253)] = Field(
        default="127.0.0.1", description="listening address, loopback only"
    )
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        default=0, description="listening port; 0 takes a free one"
    )

    @field_validator("host")
    @classmethod
    def _isloopback(cls, value: str) -> str:
        return loopback(value)


class HealthSettings(Section):
    """What the health score makes the system do; it comes back step by step."""

    throttle_below: Annotated[float, Field(ge=0, le=100)] = Field(
        default=70.0, description="score below which new orders are throttled, 0 to 100"
    )
    reduce_below: Annotated[float, Field(ge=0, le=100)] = Field(
        default=55.0, description="score below which positions may only shrink, 0 to 100"
    )
    halt_below: Annotated[float, Field(ge=0, le=100)] = Field(
        default=30.0, description="score below which no order leaves, 0 to 100"
    )
    recover_margin: Annotated[float, Field(ge=0, le=50)] = Field(
        default=5.0, description="points above a threshold that a recovery needs"
    )
    recover_after_s: Annotated[float, Field(ge=0, le=3600)] = Field(
        default=5.0, description="how long the score must have recovered, seconds"
    )

    @model_validator(mode="after")
    def _thresholds_are_in_order(self) -> Self:
        if not self.halt_below <= self.reduce_below <= self.throttle_below:
            raise ValueError(
                "TRADING_HEALTH__HALT_BELOW, __REDUCE_BELOW and __THROTTLE_BELOW must not fall in"
                f" this order ({self.halt_below:g}, {self.reduce_below:g}, {self.throttle_below:g})"
            )
        return self


class AlertSettings(Section):
    """When somebody is told, and how; apprise sends to mail, Telegram, Slack and many others."""

    urls: SecretList = Field(
        default=(), description="apprise addresses to tell, separated by spaces; empty tells nobody"
    )
    min_severity: Literal["info", "warning", "critical"] = Field(
        default="warning", description="smallest severity that is sent: info, warning or critical"
    )
    repeat_s: Seconds = Field(
        default=3600.0,
        description="time after which an unacknowledged alert is sent again, seconds",
    )
    max_per_minute: Annotated[int, Field(ge=1, le=600)] = Field(
        default=6, description="messages per rolling minute; more are summed up in one"
    )
    health_below: Annotated[float, Field(ge=0, le=100)] = Field(
        default=70.0, description="health score below which performance has degraded, 0 to 100"
    )
    latency_factor: Annotated[float, Field(ge=1, le=100)] = Field(
        default=2.0, description="times a latency target above which latency is high"
    )
    success_below_pct: Annotated[float, Field(ge=0, le=100)] = Field(
        default=40.0, description="success rate below which it is low, percent"
    )
    queue_above_pct: Annotated[float, Field(gt=0, le=100)] = Field(
        default=50.0, description="fill of the request queue above which it builds up, percent"
    )
    heartbeat_url: SecretStr | None = Field(
        default=None,
        description="address read at every heartbeat, so that silence raises an alarm there",
    )
    heartbeat_s: Annotated[float, Field(ge=5, le=86_400)] = Field(
        default=60.0, description="time between two heartbeats, seconds"
    )

    @field_validator("heartbeat_url")
    @classmethod
    def _is_web_address(cls, value: SecretStr | None) -> SecretStr | None:
        if value is None or not value.get_secret_value().strip():
            return None
        parts = urlsplit(value.get_secret_value().strip())
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise ValueError("must start with http:// or https:// and a host")
        _ = parts.port  # a port out of range raises here
        return value


class DashboardSettings(Section):
    """The dashboard, a process of its own."""

    enabled: bool = Field(default=True, description="whether start also starts the dashboard")
    host: Annotated[str, Field(min_length=1, max_length=253)] = Field(
        default="127.0.0.1", description="listening address, loopback only"
    )
    port: Annotated[int, Field(ge=0, le=65_535)] = Field(
        default=0, description="listening port; 0 takes a free one"
    )
    public_host: Annotated[str, Field(pattern=r"^([A-Za-z0-9.-]{1,253}(:[0-9]{1,5})?)?$")] = Field(
        default="",
        description="name under which a TLS reverse proxy shows it; empty: this machine only",
    )
    updates_per_second: Annotated[int, Field(ge=1, le=20)] = Field(
        default=10, description="page updates per second; older ones are dropped"
    )
    session_s: Seconds = Field(default=43_200.0, description="life of a login, seconds")
    control_s: Annotated[float, Field(gt=0, le=86_400)] = Field(
        default=900.0, description="time after which the control token must be typed again, seconds"
    )

    @field_validator("host")
    @classmethod
    def _isloopback(cls, value: str) -> str:
        return loopback(value)


class LogSettings(Section):
    """Logs, written to standard error."""

    level: Literal["debug", "info", "warning", "error"] = Field(
        default="info", description="smallest level written: debug, info, warning or error"
    )
    format: Literal["console", "json"] = Field(
        default="console", description="console (for people) or json (for machines)"
    )
