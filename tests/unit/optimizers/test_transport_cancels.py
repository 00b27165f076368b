from __future__ import annotations

import json

import pytest

from optimizers.transport.cancels import cancel_key
from trading_system.domain.ports import HttpRequest

CANCEL = "/v5/order/cancel"


def key(path: str = CANCEL, *, method: str = "POST", account: str = "a", **fields: str):
    return raw_key(json.dumps(fields).encode(), path, method=method, account=account)


def raw_key(body: bytes, path: str = CANCEL, *, method: str = "POST", account: str = "a"):
    headers = {"X-BAPI-API-KEY": account}
    request = HttpRequest(method=method, url=f"http://h{path}", headers=headers, body=body)
    return cancel_key(request, path)


def test_same_order_has_the_same_key_whatever_the_order_of_fields():
    assert key(symbol="B", orderLinkId="1") == key(orderLinkId="1", symbol="B") is not None


@pytest.mark.parametrize(
    "other",
    [
        {"orderLinkId": "2"},
        {"orderId": "1"},
        {"symbol": "C"},
        {"category": "spot"},
        {"account": "b"},
    ],
)
def test_other_orders_have_other_keys(other):
    same = {"symbol": "B", "orderLinkId": "1"}
    changed = {name: value for name, value in same.items() if name != "orderLinkId"}
    assert key(**same) != key(**{**(changed if "orderId" in other else same), **other})


@pytest.mark.parametrize("path", ["/v5/order/cancel-all", "/v5/order/cancel-batch"])
def test_cancellations_of_several_orders_are_equal_by_their_bytes(path):
    assert key(path, symbol="B") == key(path, symbol="B") is not None
    assert key(path, symbol="B") != key(path, symbol="C")


@pytest.mark.parametrize("body", [b"", b"not json", b'{"orderId": 1}', b"{}"])
def test_body_that_names_no_order_is_equal_by_its_bytes(body):
    assert raw_key(body) == raw_key(body) is not None
    assert raw_key(body) != raw_key(body + b" ")


@pytest.mark.parametrize(
    ("path", "method"), [("/v5/order/create", "POST"), ("/v5/order/amend", "POST"), (CANCEL, "GET")]
)
def test_other_requests_have_no_key(path, method):
    assert key(path, method=method, orderId="1") is None
