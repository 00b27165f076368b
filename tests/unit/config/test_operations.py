import pytest
from pydantic import ValidationError

from trading_system.config.operations import AlertSettings, DashboardSettings, HealthSettings


@pytest.mark.parametrize(
    "thresholds",
    [
        {"reduce_below": 80.0},
        {"halt_below": 60.0},
        {"throttle_below": 20.0},
        {"halt_below": 90.0, "reduce_below": 80.0, "throttle_below": 70.0},
    ],
)
def test_a_stricter_level_never_begins_at_a_better_score(thresholds):
    with pytest.raises(ValidationError, match="TRADING_HEALTH__HALT_BELOW"):
        HealthSettings(**thresholds)
    assert HealthSettings(halt_below=50.0, reduce_below=50.0, throttle_below=50.0)


@pytest.mark.parametrize("url", ["ftp://canary", "canary", "http://", "http://canary:99999/ping"])
def test_a_heartbeat_that_could_never_beat_is_refused_without_showing_it(url):
    with pytest.raises(ValidationError) as e:
        AlertSettings(heartbeat_url=url)
    assert "canary" not in str(e.value)


def test_a_blank_heartbeat_is_none_and_a_good_one_stays_hidden():
    assert AlertSettings(heartbeat_url=" ").heartbeat_url is None
    settings = AlertSettings(heartbeat_url="https://hc.example.org:8443/canary")
    assert "canary" not in f"{settings!r} {settings.model_dump_json()}"


def test_addresses_to_tell_are_split_at_spaces_and_stay_hidden():
    settings = AlertSettings(urls="json://canary-a  mailto://canary-b")
    assert [url.get_secret_value() for url in settings.urls] == [
        "json://canary-a",
        "mailto://canary-b",
    ]
    assert "canary" not in f"{settings!r} {settings.model_dump_json()}"


@pytest.mark.parametrize("host", ["0.0.0.0", "192.168.0.1", "", "example.com"])
def test_the_dashboard_listens_on_loopback_only(host):
    with pytest.raises(ValidationError):
        DashboardSettings(host=host)


@pytest.mark.parametrize("name", ["https://x.org", "x.org/path", "x y", "x.org:123456"])
def test_a_public_name_is_a_name_and_no_address(name):
    with pytest.raises(ValidationError):
        DashboardSettings(public_host=name)
    assert DashboardSettings(public_host="trading.example.org:8443")
