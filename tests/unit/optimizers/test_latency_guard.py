from __future__ import annotations

import math

import pytest

from optimizers.latency.guard import changes_orders, checked_call, checked_timeout
from trading_system.domain.errors import ValidationError

BASE = "http://127.0.0.1:9"


def call(method="GET", url="/v5/market/time", params=None, headers=None):
    return checked_call(method, url, params=params, headers=headers, base_url=BASE)


@pytest.mark.parametrize(
    "path",
    [
        "/v5/order/create",
        "/v5/order/create/",
        "/v5/order/cancel-all",
        "/v5/order/create-batch",
        "/v5/position/set-leverage",
        "/v5/position/trading-stop",
        "/v5/account/set-margin-mode",
        "/v5/asset/transfer/inter-transfer",
        "/v5/asset/withdraw/create",
        "/v5/user/update-sub-api",
        "/v5/spot-margin-trade/switch-mode",
        "/v5/earn/place-order/../../order/create",
        "/V5/ORDER/Create",
        "//v5//order//create",
        "/v5/order/./create",
        "/v5/market/../order/create",
        "/v5/order/../market/time",
        "/v5/market/%2e%2e/order/create",
        "/v5/%6frder/create",
        "/v5/%256frder/create",
        "/v5%2forder%2fcreate",
        "/v5/order%00/create",
        "/v5/order;a=b/create",
        "/v5/order%3b/create",
        "/v5\\order\\create",
        "/v5%5corder%5ccreate",
        "/v5/order%20/create",
        "/v5/order./create",
        "/v5/order%09/create",
        "/v5/order%3fx/create",
        "/v5/%ef%bd%8frder/create",
        "/proxy/v5/order/create",
        "/unified/v3/private/order/create",
        "/contract/v3/private/position/set-leverage",
        "/v2/private/order/create",
        "/private/linear/order/create",
        "/open-api/order/create",
        "/spot/v1/order",
        "/v5/%2525252525252525252525256frder",
    ],
)
def test_path_that_can_change_orders_is_found(path):
    assert changes_orders("POST", path)
    assert not changes_orders("GET", path)


@pytest.mark.parametrize(
    "path", ["/", "/v5/market/time", "/echo", "/api/order-book", "/v5/market/orderbook", "/user"]
)
def test_other_path_is_let_through(path):
    assert not changes_orders("POST", path)


@pytest.mark.parametrize(
    "url",
    [
        "/v5/order/create",
        f"{BASE}/v5/order/create",
        "http://localhost:9/v5/order/create",
        "http://2130706433:9/v5/order/create?x=1",
        "https://api.bybit.com/v5/order/create",
        "https://example.org/v5/order/create",
    ],
)
def test_order_request_is_denied_whatever_the_host(url):
    assert call("post", url).is_denied


@pytest.mark.parametrize(
    "url",
    [
        "",
        "v5/market/time",
        "//127.0.0.1:9/v5/order/create",
        "/\\host/v5",
        "ftp://host/a",
        "file:///etc/hosts",
        "http://",
        "http:///v5/order/create",
        "http://user:secret@host/",
        "http://host/a#/v5/order/create",
        "http://host:99999/",
        "http://host/\u00e4",
        "http://host/a b",
        "http://host/a\r\nX: y",
        "http://[::1/",
        None,
        7,
    ],
)
def test_unusable_address_is_refused(url):
    with pytest.raises(ValidationError):
        call(url=url)


@pytest.mark.parametrize("method", ["PUT", "DELETE", "", "GET ", None, 3])
def test_other_methods_are_refused(method):
    with pytest.raises(ValidationError):
        call(method)


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil"},
        {"content-length": "3"},
        {"Transfer-Encoding": "chunked"},
        {"X-HTTP-Method-Override": "POST"},
        {"X-Original-URL": "/v5/order/create"},
        {"a": "b\r\nc: d"},
        {"a b": "c"},
        {"": "c"},
        {"a": 1},
        {1: "a"},
    ],
)
def test_header_that_could_change_the_meaning_is_refused(headers):
    with pytest.raises(ValidationError):
        call(headers=headers)


def test_query_of_a_get_is_appended_and_none_left_out():
    built = call(url="/v5/market/tickers?a=1", params={"b": "x y", "c": None, "d": True})
    assert str(built.url) == f"{BASE}/v5/market/tickers?a=1&b=x+y&d=true"
    assert built.payload == b"a=1&b=x+y&d=true"
    assert built.body is None


def test_parameters_of_a_post_become_its_body():
    built = call("POST", "/echo", {"b": 1, "c": None})
    assert (built.body, built.payload) == (b'{"b":1}', b'{"b":1}')
    assert built.headers == {"Content-Type": "application/json"}


def test_content_type_of_the_caller_is_kept():
    assert call("POST", "/echo", {}, {"content-type": "text/x"}).headers == {
        "content-type": "text/x"
    }


def test_parameters_that_are_no_json_are_refused():
    with pytest.raises(ValidationError):
        call("POST", "/echo", {"a": object()})


@pytest.mark.parametrize(
    ("url", "headers", "expected"),
    [
        ("/v5/order/realtime", None, True),
        ("/v5/account/wallet-balance?accountType=UNIFIED", None, True),
        ("/v5/market/time", None, False),
        ("/v5/announcements/index", None, False),
        ("/other", None, False),
        ("http://localhost:9/v5/order/realtime", None, False),
        ("https://127.0.0.1:9/v5/order/realtime", None, False),
        ("/v5/order/realtime", {"X-BAPI-SIGN": "own"}, False),
    ],
)
def test_only_private_paths_of_the_clients_host_are_signed(url, headers, expected):
    assert call(url=url, headers=headers).needs_signature(BASE) is expected


@pytest.mark.parametrize("timeout_s", [0, -1, math.inf, math.nan, True, "5", None])
def test_unusable_deadline_is_refused(timeout_s):
    with pytest.raises(ValidationError):
        checked_timeout(timeout_s)
