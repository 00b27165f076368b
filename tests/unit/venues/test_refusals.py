"""The decision table of a create request: what each code says about its effect."""

import pytest

from trading_system.domain.errors import (
    Outcome,
    VenueAuthError,
    VenueRateLimited,
    VenueRejected,
    VenueUnavailable,
)
from trading_system.venues.bybit.refusals import is_no_change, no_key, not_sent, refusal, unknown


@pytest.mark.parametrize(
    ("codes", "kind", "outcome"),
    [
        (
            (429, 10000, 10016, 10019, 10403, 10429, 20003, 20006),
            VenueUnavailable,
            Outcome.UNKNOWN,
        ),
        ((170001, 170005, 170007, 170032, 500000), VenueUnavailable, Outcome.UNKNOWN),
        ((10006, 170222), VenueRateLimited, Outcome.REJECTED),
        ((10002, 10003, 10004, 10005, 10007, 10010, 33004), VenueAuthError, Outcome.REJECTED),
        ((10001, 110007, 110017, 110094, 110020), VenueRejected, Outcome.REJECTED),
        ((110072, 170141, 10014), VenueRejected, Outcome.REJECTED),
        ((110001, 34040, 10404), VenueRejected, Outcome.REJECTED),
    ],
)
def test_every_code_says_whether_the_request_can_have_had_an_effect(codes, kind, outcome):
    for code in codes:
        error = refusal(code, "text", operation="order.create", retry_after_s=0.5)
        assert type(error) is kind
        assert (error.outcome, error.code) == (outcome, code)


def test_a_full_quota_says_when_to_come_back():
    assert refusal(10006, "", operation="x", retry_after_s=0.7).retry_after_s == 0.7
    assert refusal(110007, "", operation="x", retry_after_s=0.7).retry_after_s is None


def test_a_key_of_another_environment_is_named_with_its_remedy():
    text = str(refusal(10003, "API key is invalid.", operation="x"))
    assert "one environment" in text
    assert "TRADING_BYBIT__API_KEY" in text


def test_what_never_left_and_what_may_have_are_told_apart():
    assert not_sent("a", operation="x").outcome is Outcome.NOT_SENT
    assert unknown("a", operation="x").outcome is Outcome.UNKNOWN
    assert no_key("x").outcome is Outcome.NOT_SENT


@pytest.mark.parametrize("code", [34040, 110025, 110026, 110043])
def test_a_state_that_is_there_already_is_success_whatever_the_text(code):
    assert is_no_change(code, "any text", operation="/v5/position/set-leverage")
    assert is_no_change(code, "", operation="order.amend")
    assert not is_no_change(code, "", operation="/v5/order/create")


@pytest.mark.parametrize(
    ("text", "operation", "expected"),
    [
        ("The order remains unchanged as the parameters entered match", "order.amend", True),
        ("order not modified", "/v5/order/amend", True),
        ("Order NOT MODIFIED", "order.amend-batch", True),
        ("Qty invalid", "order.amend", False),
        ("order not modified", "order.create", False),
        ("order not modified", "order.create-batch", False),
    ],
)
def test_the_code_of_bad_parameters_needs_the_text_of_no_change(text, operation, expected):
    assert is_no_change(10001, text, operation=operation) is expected
    assert not is_no_change(110001, text, operation=operation)
