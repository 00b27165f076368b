import pytest
from bybit_rig import signer
from pydantic import SecretStr

from trading_system.domain.errors import ConfigurationError
from trading_system.venues.bybit.signing import Signer

_ORDER = (
    '{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit",'
    '"qty":"0.001","price":"50000"}'
)


@pytest.mark.parametrize(
    ("payload", "sign"),
    [
        (
            "category=linear&symbol=BTCUSDT",
            "0821d920f0f1c434af59e348aa8cc1303ba28fb8518710466a624b59b4063722",
        ),
        (_ORDER, "ff782192bda250e86581bb7b3d5f72d253ceda6763102f3e0e1f451f7e2e4a74"),
        ("", "b79a56ea9412d20217161941ba00263777687778e0c0effc8a917ad37e480ad1"),
    ],
)
def test_signatures_equal_the_documented_vectors(payload, sign):
    headers = signer().headers(payload.encode(), timestamp_ms=1_700_000_000_000)
    assert headers["X-BAPI-SIGN"] == sign


def test_the_stream_log_in_equals_the_documented_vector():
    assert signer().stream_auth(expires_ms=1_700_000_001_000) == [
        "demoKey",
        1_700_000_001_000,
        "f7fccdff864e566d5c956a229873f5394a29c29855a9c7fa8914dde94d91a1f6",
    ]


@pytest.mark.parametrize("window_ms", [0, -1, 5_001, 60_000])
def test_a_window_beyond_five_seconds_is_refused(window_ms):
    with pytest.raises(ConfigurationError, match="RECV_WINDOW"):
        Signer("k", SecretStr("s"), recv_window_ms=window_ms)
