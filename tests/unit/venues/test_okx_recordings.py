"""Every OKX recording: the book equals a slow oracle after each message, all checksums match."""

import json
import os
import zlib
from collections import defaultdict
from decimal import Decimal
from pathlib import Path

import pytest

from trading_system.domain.orders import Side
from trading_system.venues.okx.book import DEPTHS, OkxBook

FOLDER = os.environ.get("TRADING_TEST_DATA")
FILES = ("okx_v5_20220513_btc_uni.txt.zst", "okx_v5_20220227_tbt_10inst.txt.zst")
# Book messages of each file; all of them carry a checksum.
EXPECTED = {FILES[0]: (290, 3), FILES[1]: (3679, 10)}
pytestmark = [
    pytest.mark.no_cover,  # heavy, on code that its unit tests cover
    pytest.mark.data,
    pytest.mark.skipif(not FOLDER, reason="TRADING_TEST_DATA names no folder of recordings"),
]


class Oracle:
    """Two dictionaries of decimals, sorted from scratch whenever asked."""

    def __init__(self):
        self.sides = {"bids": {}, "asks": {}}

    def apply(self, row, *, is_snapshot):
        for name, side in self.sides.items():
            if is_snapshot:
                side.clear()
            for price, size, *_ in row[name]:
                if Decimal(size) == 0:
                    side.pop(Decimal(price), None)
                else:
                    side[Decimal(price)] = (price, size)

    def texts(self, name):
        side = self.sides[name]
        return [side[price] for price in sorted(side, reverse=name == "bids")]

    def checksum(self):
        bids, asks = self.texts("bids")[:25], self.texts("asks")[:25]
        parts = []
        for n in range(25):
            for side in (bids, asks):
                if n < len(side):
                    parts += side[n]
        return int.from_bytes(
            zlib.crc32(":".join(parts).encode()).to_bytes(4, "big"), "big", signed=True
        )


def book_frames(name):
    zstandard = pytest.importorskip("zstandard")
    with zstandard.open(Path(FOLDER, "raw_ws", name), "rt", encoding="utf-8") as file:
        for line in file:
            stamp, _, frame = line.rstrip("\n").partition(": ")
            if stamp[0].isdigit() and '"data"' in frame and '"channel":"book' in frame:
                yield frame


@pytest.mark.parametrize("name", FILES)
def test_the_book_equals_the_oracle_after_every_message(name):
    books, oracles = {}, defaultdict(Oracle)
    for number, frame in enumerate(book_frames(name)):
        message = json.loads(frame)
        channel, inst_id = message["arg"]["channel"], message["arg"]["instId"]
        book = books.setdefault(inst_id, OkxBook(inst_id, channel=channel))
        oracle = oracles[inst_id]
        is_quiet = not any(row["asks"] or row["bids"] for row in message["data"])
        assert book.apply_frame(frame.encode(), number) is not is_quiet
        for row in message["data"]:
            oracle.apply(row, is_snapshot=message["action"] == "snapshot")
        assert book.checksum() == oracle.checksum() == message["data"][-1]["checksum"]
        for side, key in ((Side.BUY, "bids"), (Side.SELL, "asks")):
            expected = oracle.texts(key)
            assert len(expected) <= DEPTHS[channel]
            assert book.texts(side, 999) == expected
            assert book.levels(side, 999) == [(float(p), float(s)) for p, s in expected]
    total = [sum(getattr(book, what) for book in books.values()) for what in ("messages", "gaps")]
    assert (total, len(books)) == ([EXPECTED[name][0], 0], EXPECTED[name][1])
    assert sum(book.checksums for book in books.values()) == EXPECTED[name][0]
    assert not any(book.checksum_failures or book.crossed for book in books.values())
