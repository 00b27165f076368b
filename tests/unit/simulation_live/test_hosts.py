import pytest

from trading_system.domain.errors import ConfigurationError
from trading_system.simulation.live_market.hosts import public_host


@pytest.mark.parametrize(
    ("source", "ws"),
    [
        ("testnet", "wss://stream-testnet.bybit.com"),
        ("mainnet", "wss://stream.bybit.com"),
        ("http://127.0.0.1:8080", "ws://127.0.0.1:8080"),
        ("http://localhost:8080/", "ws://localhost:8080"),
        ("https://[::1]:8443", "wss://[::1]:8443"),
    ],
)
def test_sources_have_a_stream(source, ws):
    assert public_host(source).ws == ws


@pytest.mark.parametrize(
    "source",
    ["", "demo", "127.0.0.1:80", "ftp://host", "http://", "http://u:p@host", "http://h:99999",
     "http://h/path", "http://h:0", "http://h?x=1"],
)  # fmt: skip
def test_other_sources_are_refused(source):
    with pytest.raises(ConfigurationError, match="source of a live market"):
        public_host(source)
