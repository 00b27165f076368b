"""Child process of ``test_order_book``: hostile arrays into kernels compiled with bounds checks.

``python kernel_fuzz.py ROUNDS`` ends with an IndexError when a kernel reads or writes outside its
arrays, with an AssertionError when a refused update left a trace.
"""

import random
import sys

import numba
import numpy as np

from trading_system.market import kernels

SPECIAL = [float("nan"), float("inf"), -float("inf"), -1.0, 0.0, 1e300, 0.25, 2.0**44, 5e-324]


def fill(rng, update, room):
    sizes = [rng.choice((0, 1, room, rng.randint(0, room))) for _ in range(2)]
    if rng.random() < 0.05:
        sizes[rng.randrange(2)] = rng.choice((room + 1, -1, float("nan"), 1e300, -0.5))
    mode = rng.choice((0, 0, 0, 1, 2, -1, 3, 0.5))
    update[: kernels.HEADER] = (0.5, 0.5, mode, *sizes)
    levels = update[kernels.HEADER :].reshape(-1, 2)
    bids = int(sizes[0]) if 0 <= sizes[0] <= room else 0
    prices = rng.sample(range(1, 4 * room + 2), room)
    for i, row in enumerate(levels):
        price = prices[i % room] + (4 * room + 2 if i >= bids else 0)
        row[:] = (price / 2, rng.randrange(4) / 2)
    if rng.random() < 0.3:
        levels[rng.randrange(len(levels)), rng.randrange(2)] = rng.choice(SPECIAL)


def main(rounds):
    assert numba.config.BOUNDSCHECK, "bounds checks are off"
    rng = random.Random(7)
    books = [kernels.allocate(depth) for depth in (1, 2, 3, 17, 50)]
    done = accepted = 0
    while done < rounds:
        book, meta, update = rng.choice(books)
        fill(rng, update, book.shape[1])
        before = (book[meta[0] : meta[0] + 4].copy(), meta.copy())
        result = kernels.apply_levels(book, meta, update)
        if result[0] != kernels.OK:
            assert np.array_equal(before[0], book[meta[0] : meta[0] + 4])
            assert np.array_equal(before[1], meta)
        accepted += result[0] == kernels.OK
        for levels in (-1, 0, 1, 10_000):
            kernels.imbalance(book, meta, levels)
            kernels.depth_lots(book, meta, rng.randrange(2), levels)
        kernels.microprice(book, meta)
        kernels.walk(book, meta, rng.randrange(2), rng.choice((0.0, 0.5, 1e18, float("nan"))))
        done += 1
    assert accepted > rounds // 10, accepted
    print(f"{done} rounds")


if __name__ == "__main__":
    main(int(sys.argv[1]))
