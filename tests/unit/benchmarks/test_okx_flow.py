import importlib.util
import json
import sys
from pathlib import Path

import pytest

PEERS = Path(__file__).parents[3] / "benchmarks" / "peers"
SPEC = importlib.util.spec_from_file_location("bench_okx_flow", PEERS / "okx_flow.py")
okx_flow = importlib.util.module_from_spec(SPEC)
sys.modules[SPEC.name] = okx_flow
SPEC.loader.exec_module(okx_flow)


def applied(book, frame):
    row = frame["data"][0]
    for side in ("bids", "asks"):
        for price, size, _, _ in row[side]:
            book[side][float(price)] = float(size)
            if float(size) == 0:
                del book[side][float(price)]
    return row


@pytest.mark.parametrize("changes", [3, 10])
def test_the_messages_lead_to_the_plain_book_without_a_gap(changes):
    flow = okx_flow.Flow(40)
    book = {"bids": {}, "asks": {}}
    last = applied(book, json.loads(flow.snapshot()))["seqId"]
    fewest = 40
    for _ in range(500):
        row = applied(book, json.loads(flow.update(changes)))
        assert len(row["bids"]) + len(row["asks"]) == changes
        assert row["prevSeqId"] == last
        last = row["seqId"]
        assert max(book["bids"]) < min(book["asks"])
        fewest = min(fewest, *map(len, book.values()))
        assert max(map(len, book.values())) <= 40
    plain = flow.book(40)
    assert dict(plain["bids"]) == book["bids"]
    assert dict(plain["asks"]) == book["asks"]
    assert [price for price, _ in plain["bids"]] == sorted(book["bids"], reverse=True)
    assert fewest < 40


def test_whole_books_are_repeated_and_changes_follow_one_another():
    first, messages, flow = okx_flow.cases("message50", 3)
    assert messages == [first] * 3
    assert len(flow.sides["asks"]) == 50
    first, messages, _ = okx_flow.cases("delta3", 2)
    assert json.loads(first)["action"] == "snapshot"
    assert [json.loads(message)["action"] for message in messages] == ["update", "update"]


def test_two_sides_of_a_comparison_get_the_same_bytes():
    assert okx_flow.cases("update10", 20)[1] == okx_flow.cases("update10", 20)[1]
