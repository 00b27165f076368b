"""Vectors of the protocol reference: key demoKey, secret demoSecret, window 5000."""

import pytest

from trading_system.simulation.bybit_server.signing import (
    is_signed,
    request_text,
    sign,
    stream_text,
)

_ORDER = (
    b'{"category":"linear","symbol":"BTCUSDT","side":"Buy","orderType":"Limit",'
    b'"qty":"0.001","price":"50000"}'
)


@pytest.mark.parametrize(
    ("payload", "signature"),
    [
        (
            b"category=linear&symbol=BTCUSDT",
            "0821d920f0f1c434af59e348aa8cc1303ba28fb8518710466a624b59b4063722",
        ),
        (_ORDER, "ff782192bda250e86581bb7b3d5f72d253ceda6763102f3e0e1f451f7e2e4a74"),
        (b"", "b79a56ea9412d20217161941ba00263777687778e0c0effc8a917ad37e480ad1"),
    ],
)
def test_rest_signature_matches_the_reference_vector(payload, signature):
    text = request_text(
        timestamp="1700000000000", api_key="demoKey", window="5000", payload=payload
    )
    assert sign("demoSecret", text) == signature
    assert is_signed("demoSecret", text, signature)


def test_stream_signature_matches_the_reference_vector():
    expected = "f7fccdff864e566d5c956a229873f5394a29c29855a9c7fa8914dde94d91a1f6"
    assert sign("demoSecret", stream_text("1700000001000")) == expected


@pytest.mark.parametrize("signature", ["", "00", "é", "\udcff", "F" * 64])
def test_wrong_signature_is_refused_without_an_error(signature):
    assert not is_signed("demoSecret", b"text", signature)
