"""Ids that look like the venue's and repeat with the seed."""

from __future__ import annotations

import random


class Identifiers:
    """Seeded source of version 4 UUID texts.

    Parameters
    ----------
    seed : int
        Same seed, same ids in the same order.
    """

    def __init__(self, seed: int) -> None:
        self._bits = random.Random(seed).getrandbits

    def uuid(self) -> str:
        """Return the next id."""
        text = f"{self._bits(128):032x}"
        return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"
