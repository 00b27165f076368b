from decimal import Decimal

import pytest

from trading_system.simulation.bybit_server.parameters import (
    Fields,
    decode_json,
    decode_object,
    parse_query,
)
from trading_system.simulation.records import VenueReject


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"[]",
        b"1",
        b"null",
        b'{"a":NaN}',
        b'{"a":Infinity}',
        b'{"a":-Infinity}',
        b'{"a":1',
        b'{"a":"\xff"}',
        b'{"a":"\\ud800"}',
        b"[" * 100_000,
        b'{"a":' * 200 + b"1" + b"}" * 200 + b"{" * 100,
        b"\x00\x01\x02",
        b'{"a":' + b"9" * 5_000 + b"}",
    ],
)
def test_hostile_body_is_refused_as_a_bad_parameter(raw):
    with pytest.raises(VenueReject) as caught:
        Fields(decode_object(raw)).text("a")
    assert caught.value.code == 10001


def test_lone_surrogate_in_a_frame_is_refused():
    with pytest.raises(VenueReject):
        decode_json('{"a":"\ud800"}')


def test_duplicate_keys_take_the_last_value():
    assert decode_object(b'{"a":"1","a":"2"}') == {"a": "2"}


@pytest.mark.parametrize(
    ("raw", "expected"),
    [
        (b'{"q":"0.010"}', Decimal("0.010")),
        (b'{"q":0.010}', Decimal("0.010")),
        (b'{"q":5}', Decimal(5)),
        (b'{"q":1e-3}', Decimal("0.001")),
        (b'{"q":-2.5}', Decimal("-2.5")),
        (b'{"q":null}', None),
        (b'{"q":""}', None),
        (b"{}", None),
    ],
)
def test_amount_is_read_exactly_from_text_or_number(raw, expected):
    assert Fields(decode_object(raw)).amount("q") == expected


@pytest.mark.parametrize(
    "value",
    [
        b'"abc"',
        b'"1e5"',
        b'"NaN"',
        b'"Infinity"',
        b"true",
        b"[1]",
        b"{}",
        b'"1_0"',
        b"1e300",
        b'"\xd9\xa1"',
        b'" 1"',
        b'"+1"',
        b'"0x10"',
    ],
)
def test_what_is_no_plain_number_is_refused_as_amount(value):
    with pytest.raises(VenueReject) as caught:
        Fields(decode_object(b'{"q":' + value + b"}")).amount("q")
    assert caught.value.code == 10001


@pytest.mark.parametrize("value", ["1.5", "x", [1], True, 10**20, "9" * 16])
def test_what_is_no_integer_is_refused(value):
    with pytest.raises(VenueReject):
        Fields({"n": value}).integer("n")


def test_flags_are_booleans_or_their_words():
    fields = Fields({"a": True, "b": "false", "c": None})
    assert [fields.flag(name) for name in "abcd"] == [True, False, False, False]
    with pytest.raises(VenueReject):
        Fields({"a": 2}).flag("a")


def test_query_with_too_many_fields_is_refused():
    assert parse_query("a=1&b=&a=2") == {"a": "2", "b": ""}
    with pytest.raises(VenueReject):
        parse_query("a=1&" * 200)


@pytest.mark.parametrize(("text", "expected"), [("", 20), ("7", 7), ("999", 50)])
def test_limit_is_cut_to_the_highest(text, expected):
    assert Fields({"limit": text}).limit(default=20, highest=50) == expected


@pytest.mark.parametrize("value", [None, [], ["x"], [{}] * 21, "x"])
def test_batch_must_be_a_short_list_of_objects(value):
    with pytest.raises(VenueReject):
        Fields({"request": value}).items("request", highest=20)
