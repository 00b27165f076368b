import pytest

from optimizers.microstructure.levels import read_levels
from optimizers.microstructure.source import BookSource
from trading_system.domain.errors import CorruptDataError
from trading_system.domain.orders import Side

GOOD = {"bids": [["99.9", "5"], ["99.8", "10"]], "asks": [["100.1", "3"], ["100.2", "6"]]}


def test_text_numbers_and_the_venues_own_keys_read_alike() -> None:
    numbers = {"b": [(99.9, 5.0), (99.8, 10.0)], "a": [(100.1, 3.0), (100.2, 6.0)]}
    for book in (GOOD, numbers):
        levels = read_levels("X", book)
        assert (levels.mid, levels.bids.prices, levels.asks.quantities) == (
            100.0,
            [99.9, 99.8],
            [3.0, 9.0],
        )
        assert levels.consumed_by(Side.BUY) is levels.asks
        assert levels.consumed_by(Side.SELL) is levels.bids


def test_levels_of_size_zero_are_left_out() -> None:
    levels = read_levels("X", {**GOOD, "asks": [["100.0", "0"], ["100.1", "3"]]})
    assert levels.asks.prices == [100.1]


def test_a_very_deep_book_is_cut() -> None:
    deep = [[str(101 + i), "1"] for i in range(1_200)]
    assert len(read_levels("X", {**GOOD, "asks": deep}).asks.prices) == 1_000


@pytest.mark.parametrize(
    "asks",
    [
        None,
        [],
        "text",
        [["100.1", "0"]],
        [["100.1"]],
        [["nan", "1"]],
        [["100.1", "nan"]],
        [["inf", "1"]],
        [["100.1", "inf"]],
        [["-1", "1"]],
        [["100.1", "-1"]],
        [["100.2", "1"], ["100.1", "1"]],
        [["100.1", "1"], ["100.1", "1"]],
        [["99.9", "1"]],
        [["abc", "1"]],
        [None],
    ],
)
def test_a_book_that_is_not_one_is_refused(asks: object) -> None:
    with pytest.raises(CorruptDataError):
        read_levels("X", {**GOOD, "asks": asks})


class PlainClient:
    def get_order_book_data(self, symbol: str, limit: int = 50) -> object:
        return GOOD if symbol == "X" else None


class WrappingClient:
    def get_order_book_data(self, symbol: str, limit: int = 50) -> object:
        async def later() -> object:
            return GOOD

        return later()


@pytest.mark.parametrize("client", [PlainClient(), WrappingClient()])
async def test_a_users_own_stand_in_may_be_synchronous(client: object) -> None:
    source = BookSource(client)  # type: ignore[arg-type]  # duck-typed on purpose
    await source.ready()
    assert (await source.levels("X", 50)).mid == 100.0


async def test_an_answer_that_is_no_book_is_refused() -> None:
    with pytest.raises(CorruptDataError):
        await BookSource(PlainClient()).levels("Y", 50)  # type: ignore[arg-type]  # duck-typed on purpose
