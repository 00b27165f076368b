"""Deadlines with a name."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from trading_system.domain.errors import DeadlineExceeded


@asynccontextmanager
async def within(seconds: float, what: str) -> AsyncIterator[None]:
    """Give the block ``seconds``; name ``what`` if it takes longer.

    A ``TimeoutError`` that the block raises by itself passes unchanged.

    Raises
    ------
    DeadlineExceeded
        If the block was cancelled because its time was over.
    """
    scope = asyncio.timeout(seconds)
    try:
        async with scope:
            yield
    except TimeoutError as e:
        if not scope.expired():
            raise
        raise DeadlineExceeded(f"{what} took longer than {seconds:g} s") from e
