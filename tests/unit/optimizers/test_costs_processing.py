import math

import numpy as np
import pytest

from optimizers import BookProcessor
from trading_system.domain.errors import CorruptDataError, ValidationError


def message(symbol: str = "BTCUSDT", bid: str = "95445.4") -> dict[str, object]:
    return {
        "symbol": symbol,
        "bids": [[bid, "2"], ["95445.3", "4"]],
        "asks": [["95445.5", "1"], ["95445.6", "2"], ["95445.7", "3"]],
    }


def test_a_book_becomes_float64_arrays_and_figures() -> None:
    found = BookProcessor().process_orderbook(message())
    assert found["asks"].dtype == found["bids"].dtype == np.float64
    assert found["asks"].shape == (3, 2)
    assert found["spreads"] == pytest.approx([0.1, 0.3])
    assert found["volumes"].tolist() == [3.0, 6.0]
    assert found["imbalance"] == 0.0
    assert found["spread_bps"] == pytest.approx(0.1 / 95445.45 * 1e4)


def test_a_price_is_exactly_its_text() -> None:
    found = BookProcessor().process_orderbook(message())
    assert repr(float(found["bids"][0, 0])) == "95445.4"
    assert {95445.4: "level"}[float(found["bids"][0, 0])] == "level"


def test_features_are_measured_from_the_book() -> None:
    found = BookProcessor().calculate_features({**message(), "quantity": "3"})
    assert found["depth"] == 12.0
    assert found["quantity_ratio"] == 0.25
    assert found["spread"] == pytest.approx(0.1 / 95445.45)
    assert found["imbalance"] == 0.0


@pytest.mark.parametrize("quantity", [None, 0, -1.0, math.nan, math.inf, "x", 1e308 * 10])
def test_hostile_quantities_are_refused(quantity) -> None:
    with pytest.raises(ValidationError):
        BookProcessor().calculate_features({**message(), "quantity": quantity})


def test_a_quantity_that_overflows_the_book_is_refused() -> None:
    tiny = {"bids": [(1, 1e-10)], "asks": [(2, 1e-10)], "quantity": 1e308}
    with pytest.raises(ValidationError, match="too large"):
        BookProcessor().calculate_features(tiny)


@pytest.mark.parametrize(
    "data",
    [{}, None, [], {"bids": [], "asks": []}, {**message(), "bids": [["nan", "1"]]},
     {**message(), "bids": [["95446", "1"]]}, {**message(), "asks": [["95445.5", "-1"]]}],
)  # fmt: skip
def test_what_is_no_book_is_refused(data) -> None:
    with pytest.raises(CorruptDataError):
        BookProcessor().process_orderbook(data)


async def test_messages_are_processed_in_whole_batches() -> None:
    processor = BookProcessor(batch_size=2)
    await processor.process_message(message("A"))
    assert (processor.processed, len(processor.buffer)) == (0, 1)
    await processor.process_message(message("B"))
    assert (processor.processed, list(processor.books), len(processor.buffer)) == (2, ["A", "B"], 0)
    await processor.process_message({"s": "C", "b": [[1, 1]], "a": [[2, 1]]})
    await processor.flush()
    await processor.flush()
    assert processor.books["C"]["mid"] == 1.5


async def test_a_newer_book_of_a_symbol_replaces_the_waiting_one() -> None:
    processor = BookProcessor(batch_size=2)
    await processor.process_message(message("A", bid="95445.4"))
    await processor.process_message(message("A", bid="95445.35"))
    assert (processor.conflated, len(processor.buffer)) == (1, 1)
    await processor.flush()
    assert processor.books["A"]["bids"][0, 0] == 95445.35


async def test_a_full_buffer_drops_the_oldest_and_counts_it() -> None:
    processor = BookProcessor(batch_size=2, capacity=2)
    processor.batch_size = 9
    for symbol in "ABC":
        await processor.process_message(message(symbol))
    assert (list(processor.buffer), processor.dropped) == (["B", "C"], 1)


async def test_processed_books_are_bounded() -> None:
    processor = BookProcessor(capacity=2)
    for symbol in "ABCC":
        await processor.process_message(message(symbol))
    assert list(processor.books) == ["B", "C"]


async def test_a_bad_message_hinders_no_other_and_leaves_no_old_book() -> None:
    processor = BookProcessor()
    await processor.process_message(message("A"))
    await processor.process_batch([{"symbol": "A"}, {"bids": 1}, message("B")])
    assert (list(processor.books), processor.refused, processor.processed) == (["B"], 2, 2)
    for bad in ({}, None, {"symbol": ""}):
        with pytest.raises(CorruptDataError, match="names its symbol"):
            await processor.process_message(bad)


async def test_a_handler_takes_the_batches() -> None:
    seen: list[list[str]] = []

    async def handler(batch) -> None:
        seen.append([each["symbol"] for each in batch])

    processor = BookProcessor(batch_size=2, handler=handler)
    for symbol in "ABCD":
        await processor.process_message(message(symbol))
    assert seen == [["A", "B"], ["C", "D"]]
    assert (processor.processed, processor.books) == (4, {})


@pytest.mark.parametrize("size", [0, 257])
def test_a_batch_size_out_of_range_is_refused(size) -> None:
    with pytest.raises(ValidationError, match="batch_size"):
        BookProcessor(batch_size=size)
