import pytest

from trading_system.venues.bybit.quotas import Quota, QuotaTable, reset_in_s

_HEADERS = {
    "X-Bapi-Limit": "10",
    "X-Bapi-Limit-Status": "9",
    "X-Bapi-Limit-Reset-Timestamp": "1700000000700",
}


def test_the_newest_quota_of_an_endpoint_is_kept():
    table = QuotaTable()
    table.note("/v5/order/create", _HEADERS)
    assert table["/v5/order/create"] == Quota(limit=10, remaining=9, reset_ms=1_700_000_000_700)
    table.note("/v5/order/create", {name.lower(): text for name, text in _HEADERS.items()})
    assert "/v5/order/create" in table


@pytest.mark.parametrize("name", list(_HEADERS))
@pytest.mark.parametrize("text", ["", "-1", "1e3", "٣", "9" * 16])
def test_headers_that_are_no_numbers_are_ignored(name, text):
    table = QuotaTable()
    table.note("x", _HEADERS | {name: text})
    assert "x" not in table


def test_the_table_is_bounded():
    table = QuotaTable()
    for number in range(200):
        table.note(str(number), _HEADERS)
    assert sum(str(number) in table for number in range(200)) == 100


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [(_HEADERS, 0.7), ({}, 1.0), ({"X-Bapi-Limit-Reset-Timestamp": "1"}, 0.0)],
)
def test_the_wait_ends_with_the_window(headers, seconds):
    assert reset_in_s(headers, now_ms=1_700_000_000_000) == pytest.approx(seconds)
