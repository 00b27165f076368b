from __future__ import annotations

import math
import os
from decimal import Decimal
from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from trading_system.config.fields import Section
from trading_system.config.operations import ApiSettings, LogSettings, TargetSettings
from trading_system.config.sections import (
    BybitSettings,
    RiskSettings,
    StrategySettings,
    VenueSettings,
)

SECTIONS = [
    ApiSettings,
    BybitSettings,
    LogSettings,
    RiskSettings,
    StrategySettings,
    TargetSettings,
    VenueSettings,
]
NUMBERS = [
    (section, name)
    for section in SECTIONS
    for name, value in section()
    if isinstance(value, int | float | Decimal)
]


def build(section: type[Section], name: str, value: object) -> Section:
    return section.model_validate({name: value})


@pytest.mark.parametrize("section", SECTIONS)
def test_sections_are_frozen_and_know_only_their_fields(section):
    built = section()
    with pytest.raises(ValidationError, match="frozen"):
        setattr(built, next(iter(section.model_fields)), 1)
    with pytest.raises(ValidationError, match="Extra inputs"):
        build(section, "no_such_field", 1)


@pytest.mark.parametrize(("section", "name"), NUMBERS)
@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "NaN", "Infinity", -1e9, 1e19])
def test_numbers_are_finite_and_bounded(section, name, value):
    with pytest.raises(ValidationError):
        build(section, name, value)


@pytest.mark.parametrize("section", SECTIONS)
def test_every_field_says_what_it_means_in_one_line(section):
    for name, field in section.model_fields.items():
        assert field.description, name
        assert "\n" not in field.description


def test_documented_defaults_hold():
    risk, venue = RiskSettings(), VenueSettings()
    assert (risk.collar_bps, risk.max_orders_per_second) == (50, 5)
    assert (risk.max_order_notional, risk.max_gross_notional) == (10_000, 50_000)
    assert (risk.max_position_notional, risk.stale_book_s) == (20_000, 3.5)
    assert (venue.market, venue.edge_bps, venue.seed, venue.ack_delay_ms) == (
        "synthetic",
        25.0,
        1,
        2.0,
    )
    assert StrategySettings().min_edge_bps == 0.0
    assert (ApiSettings().host, ApiSettings().port) == ("127.0.0.1", 0)
    assert BybitSettings().recv_window_ms == 5000


def test_targets_are_the_documented_ones():
    assert TargetSettings().model_dump() == {
        "signal_generation_time_ms": 2000,
        "order_execution_time_ms": 500,
        "system_latency_ms": 3000,
        "success_rate_pct": 60,
        "system_health_score": 80,
    }


def test_money_is_exact():
    assert build(RiskSettings, "max_order_notional", "0.1").max_order_notional == Decimal("0.1")
    assert build(RiskSettings, "max_order_notional", 0.1).max_order_notional == Decimal("0.1")


def test_recordings_are_split_at_the_path_separator():
    venue = VenueSettings(market="replay", recording=f"a.gz{os.pathsep}dir/b.gz{os.pathsep}")
    assert venue.recording == (Path("a.gz"), Path("dir/b.gz"))


def test_replay_needs_a_recording_and_a_recording_needs_replay():
    with pytest.raises(ValidationError, match="set TRADING_VENUE__RECORDING"):
        VenueSettings(market="replay")
    with pytest.raises(ValidationError, match="needs TRADING_VENUE__MARKET=replay"):
        VenueSettings(recording="a.gz")


def test_limits_that_contradict_each_other_are_refused():
    with pytest.raises(ValidationError, match="must not exceed TRADING_RISK__MAX_GROSS_NOTIONAL"):
        RiskSettings(max_order_notional=60_000)


def test_secrets_are_hidden_and_come_in_pairs():
    bybit = BybitSettings(api_key="visible-key", api_secret="visible-secret")
    assert "visible" not in f"{bybit!r} {bybit} {bybit.model_dump_json()}"
    assert bybit.api_secret == SecretStr("visible-secret")
    with pytest.raises(ValidationError, match="go together") as e:
        BybitSettings(api_key="visible-key")
    assert "visible" not in str(e.value)


def test_blank_secrets_mean_none():
    blank = BybitSettings(api_key="  ", api_secret="")
    assert (blank.api_key, blank.api_secret) == (None, None)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://x",
        "x.com",
        "http://",
        "http://x:99999",
        "http://u:p@x",
        "http://x/path",
        "http://x?q=1",
        "ws://x",
    ],
)
def test_rest_address_must_be_a_base_address(url):
    with pytest.raises(ValidationError):
        BybitSettings(rest_url=url)


def test_addresses_lose_their_trailing_slash():
    bybit = BybitSettings(rest_url="http://127.0.0.1:80/", ws_url="wss://x.com/")
    assert (bybit.rest_url, bybit.ws_url) == ("http://127.0.0.1:80", "wss://x.com")
    with pytest.raises(ValidationError, match=r"starts with ws:// or wss://"):
        BybitSettings(ws_url="http://x.com")


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.1", "", "example.com"])
def test_api_listens_on_loopback_only(host):
    with pytest.raises(ValidationError):
        ApiSettings(host=host)


@pytest.mark.parametrize("window_ms", [99, 5_001, 60_000])
def test_the_receive_window_is_never_wider_than_five_seconds(window_ms):
    with pytest.raises(ValidationError):
        build(BybitSettings, "recv_window_ms", window_ms)
    assert build(BybitSettings, "recv_window_ms", 5_000).recv_window_ms == 5_000


@pytest.mark.parametrize(
    ("given", "says"),
    [
        ({"private_key_file": "k.pem"}, "needs TRADING_BYBIT__API_KEY"),
        ({"api_key": "k", "api_secret": "s", "private_key_file": "k.pem"}, "exclude each other"),
        ({"api_key": "k"}, "go together"),
        ({"api_secret": "s"}, "go together"),
    ],
)
def test_a_key_comes_with_exactly_one_secret(given, says):
    with pytest.raises(ValidationError, match=says):
        BybitSettings(**given)


def test_an_rsa_key_needs_no_secret():
    assert BybitSettings(api_key="k", private_key_file="k.pem").private_key_file == Path("k.pem")


@pytest.mark.parametrize(
    ("window_s", "is_fine"), [(2, False), (3, True), (300, True), (301, False)]
)
def test_the_disconnect_window_is_what_the_venue_allows(window_s, *, is_fine):
    if is_fine:
        assert build(BybitSettings, "dcp_window_s", window_s).dcp_window_s == window_s
    else:
        with pytest.raises(ValidationError):
            build(BybitSettings, "dcp_window_s", window_s)
