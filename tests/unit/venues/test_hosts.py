import pytest

from trading_system.domain.errors import ConfigurationError
from trading_system.venues.bybit.hosts import endpoints


def known(environment):
    return endpoints(environment, rest_url=None, ws_url=None)


def test_the_simulated_environment_needs_both_addresses():
    with pytest.raises(ConfigurationError, match="TRADING_BYBIT__REST_URL"):
        known("simulated")
    local = endpoints("simulated", rest_url="http://127.0.0.1:1/", ws_url="ws://127.0.0.1:1")
    assert (local.rest, local.trade) == ("http://127.0.0.1:1", "ws://127.0.0.1:1/v5/trade")
    assert local.private == "ws://127.0.0.1:1/v5/private"
    assert local.public_linear == "ws://127.0.0.1:1/v5/public/linear"


@pytest.mark.parametrize("environment", ["testnet", "demo", "mainnet"])
def test_known_environments_are_encrypted_and_overridable(environment):
    assert known(environment).rest.startswith("https://")
    assert known(environment).private_ws.startswith("wss://")
    changed = endpoints(environment, rest_url="https://x.test", ws_url="wss://y.test/")
    assert (changed.rest, changed.public_ws) == ("https://x.test", "wss://y.test")


def test_demo_has_no_trade_stream_and_takes_its_market_data_from_mainnet():
    assert known("demo").trade is None
    assert endpoints("demo", rest_url=None, ws_url="wss://y.test").trade is None
    assert known("demo").public_ws == known("mainnet").public_ws
    assert known("demo").private_ws != known("mainnet").private_ws
    assert known("testnet").trade == "wss://stream-testnet.bybit.com/v5/trade"


def test_an_unknown_environment_is_refused_by_name():
    with pytest.raises(ConfigurationError, match="'paper'"):
        endpoints("paper", rest_url="http://a", ws_url="ws://a")


@pytest.mark.parametrize(
    ("environment", "rest_url", "ws_url"),
    [
        ("testnet", "https://api.bybit.com", None),
        ("mainnet", "https://api-testnet.bybit.com/", None),
        ("simulated", "https://api.bybit.com", "wss://stream.bybit.com"),
        ("testnet", None, "wss://stream.bybit.com"),
    ],
)
def test_a_host_of_another_environment_is_refused(environment, rest_url, ws_url):
    with pytest.raises(ConfigurationError, match="TRADING_ENVIRONMENT"):
        endpoints(environment, rest_url=rest_url, ws_url=ws_url)


def test_an_environments_own_hosts_may_be_spelled_out():
    spelled = endpoints(
        "demo", rest_url="https://api-demo.bybit.com", ws_url="wss://stream.bybit.com"
    )
    assert spelled.rest == "https://api-demo.bybit.com"
