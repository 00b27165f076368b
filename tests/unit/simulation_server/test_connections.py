from contextlib import nullcontext

import pytest

from trading_system.simulation.bybit_server.connections import (
    authenticate,
    idle_limit_s,
    operation_of,
    read_request,
    request_id,
    topic_list,
)
from trading_system.simulation.bybit_server.credentials import check_time
from trading_system.simulation.records import AccountSpec, VenueReject

ACCOUNT = AccountSpec(account_id=1, uid=1, api_key="demoKey", api_secret="demoSecret")
ACCOUNTS = {"demoKey": ACCOUNT}
SIGNATURE = "f7fccdff864e566d5c956a229873f5394a29c29855a9c7fa8914dde94d91a1f6"
EXPIRES = 1_700_000_001_000


@pytest.mark.parametrize("expires", [EXPIRES, str(EXPIRES)])
def test_expires_may_be_number_or_text(expires):
    request = {"args": ["demoKey", expires, SIGNATURE]}
    assert authenticate(request, ACCOUNTS, now_ms=EXPIRES - 1, address="127.0.0.1") is ACCOUNT


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (None, 10001),
        ([], 10001),
        (["demoKey", EXPIRES], 10001),
        (["demoKey", True, SIGNATURE], 10001),
        (["demoKey", -5, SIGNATURE], 10001),
        (["demoKey", 10**400, SIGNATURE], 10001),
        (["demoKey", "٣", SIGNATURE], 10001),
        ([{}, EXPIRES, SIGNATURE], 10001),
        (["other", EXPIRES, SIGNATURE], 10003),
        (["demoKey", EXPIRES, "bad"], 10004),
        (["demoKey", EXPIRES - 5_000, SIGNATURE], 10004),
    ],
)
def test_bad_authentication_gets_its_code(args, code):
    with pytest.raises(VenueReject) as caught:
        authenticate({"args": args}, ACCOUNTS, now_ms=EXPIRES - 1, address="127.0.0.1")
    assert caught.value.code == code


def test_request_id_keeps_its_json_type():
    assert [request_id({"req_id": value}, "req_id") for value in (7, "7", None, [], "x" * 999)] == [
        7,
        "7",
        None,
        None,
        None,
    ]


@pytest.mark.parametrize("args", [None, "x", [], [1], ["x" * 21_001], ["x"] * 2_001])
def test_malformed_or_too_many_topics_are_refused(args):
    assert topic_list({"args": args}) is None


def test_hostile_frames_are_no_request():
    texts = ("", "[", "[]", "1", "{" * 9_999, '{"a":NaN}', "\ud800")
    assert [read_request(text) for text in texts] == [None] * len(texts)
    assert [operation_of({"op": value}) for value in ([], None, "ping")] == ["", "", "ping"]


@pytest.mark.parametrize(
    ("age_ms", "window", "is_accepted"),
    [
        (5000, "", True),
        (5001, "", False),
        (-999, "", True),
        (-1000, "", False),
        (9000, "9000", True),
    ],
)
def test_time_window_is_open_at_its_far_end(age_ms, window, is_accepted):
    now_ms = 1_700_000_000_000
    allowed = nullcontext() if is_accepted else pytest.raises(VenueReject, match="10002")
    with allowed:
        check_time(str(now_ms - age_ms), window, now_ms=now_ms)


@pytest.mark.parametrize(
    ("query", "limit_s"),
    [
        ("", 7.0),
        ("max_active_time=30s", 30.0),
        ("a=1&max_active_time=1m", 60.0),
        ("max_active_time=9m&b=2", 540.0),
        ("max_active_time=5s", 30.0),
        ("max_active_time=99m", 600.0),
        ("max_active_time=60", 7.0),
        ("max_active_time=-1m", 7.0),
        ("xmax_active_time=30s", 7.0),
    ],
)
def test_client_chooses_how_long_its_connection_may_be_silent(query, limit_s):
    assert idle_limit_s(query, default_s=7.0) == limit_s
