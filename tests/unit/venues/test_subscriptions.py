"""The ledger of topics: one request at a time, refusals by name, repeats, renewals."""

import json

import pytest

from trading_system.domain.errors import CorruptDataError, ValidationError
from trading_system.venues.bybit.subscriptions import Subscriptions

S = 1_000_000_000


def ledger(*topics, max_args=None):
    found = Subscriptions(topics or ("a", "b"), max_args=max_args)
    found.forget()
    return found


def asked(text):
    request = json.loads(text)
    return request["op"], request["req_id"], request["args"]


def test_one_request_asks_for_all_and_its_answer_confirms_all():
    book = ledger()
    assert asked(book.begin(5)) == ("subscribe", "s:1", ["a", "b"])
    assert (book.missing, book.is_complete, book.due_ns) == (["a", "b"], False, 5 + 4 * S)
    assert book.subscribed("s:1", None, 6) is None
    assert (book.missing, book.is_complete) == ([], True)
    assert book.due_ns > 10**18


def test_a_refused_request_is_asked_topic_by_topic_so_that_the_bad_one_is_named():
    book = ledger("a", "bad", "c")
    book.begin(0)
    assert asked(book.subscribed("s:1", "Invalid topic", 1)) == ("subscribe", "s:2", ["a"])
    assert asked(book.subscribed("s:2", None, 1)) == ("subscribe", "s:3", ["bad"])
    assert asked(book.subscribed("s:3", "Invalid topic", 1)) == ("subscribe", "s:4", ["c"])
    assert book.subscribed("s:4", "already subscribed", 1) is None
    assert book.is_complete
    assert (book.refused, book.missing) == ({"bad": "Invalid topic"}, ["bad"])


def test_requests_are_cut_to_what_one_may_carry():
    book = ledger("a", "b", "c", max_args=2)
    assert asked(book.begin(0))[2] == ["a", "b"]
    assert asked(book.subscribed("s:1", None, 0))[2] == ["c"]
    assert not book.is_complete


def test_an_answer_without_a_name_belongs_to_the_request_that_waits():
    book = ledger()
    book.begin(0)
    assert book.subscribed("", None, 1) is None
    assert book.is_complete
    assert book.subscribed("", None, 2) is None


def test_an_overdue_request_is_repeated_once_and_then_named():
    book = ledger()
    first = book.begin(0)
    assert book.retry(4 * S - 1) is None
    assert book.retry(4 * S) == first
    assert book.due_ns == 8 * S
    with pytest.raises(CorruptDataError, match="subscribe of a, b"):
        book.retry(8 * S)
    assert book.unanswered == 2


def test_the_second_answer_to_a_repeated_request_says_nothing_new():
    book = ledger()
    book.begin(0)
    book.retry(4 * S)
    assert book.subscribed("s:1", None, 5 * S) is None
    assert book.subscribed("s:1", None, 5 * S) is None
    assert book.is_complete


def test_a_topic_is_renewed_in_two_steps_and_each_is_repeated_if_need_be():
    book = ledger()
    book.begin(0)
    book.subscribed("s:1", None, 0)
    assert asked(book.renew("a", 0)) == ("unsubscribe", "u:a", ["a"])
    assert book.is_renewing("a")
    assert asked(book.retry(4 * S)) == ("unsubscribe", "u:a", ["a"])
    assert asked(book.dropped("u:a", 5 * S)) == ("subscribe", "s:again:a", ["a"])
    assert book.dropped("u:a", 5 * S) is None
    assert book.is_renewing("a")
    assert book.subscribed("s:again:a", None, 6 * S) is None
    assert not book.is_renewing("a")


def test_a_refused_renewal_is_an_error():
    book = ledger()
    book.begin(0)
    book.subscribed("s:1", None, 0)
    book.renew("a", 0)
    book.dropped("u:a", 0)
    with pytest.raises(CorruptDataError, match="renewal of a refused: no"):
        book.subscribed("s:again:a", "no", 0)


def test_a_new_connection_starts_with_an_empty_ledger():
    book = ledger()
    book.begin(0)
    book.renew("a", 0)
    book.forget()
    assert not book.is_renewing("a")
    assert book.retry(99 * S) is None
    assert asked(book.begin(0))[2] == ["a", "b"]


def test_more_topics_than_a_connection_may_carry_are_refused():
    with pytest.raises(ValidationError, match="21000"):
        ledger(*["x" * 100] * 211)
