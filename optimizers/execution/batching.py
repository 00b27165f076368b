"""Collects what comes within a short time and hands it on together."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Generic, TypeVar

from trading_system.domain.errors import DeadlineExceeded, TradingSystemError, ValidationError

T = TypeVar("T")
R = TypeVar("R")


class _Batch(Generic[T, R]):
    def __init__(self) -> None:
        self.items: list[T] = []
        self.full = asyncio.Event()
        self.done = asyncio.Event()
        self.results: Sequence[R] = ()
        self.error: BaseException | None = None


class Batcher(Generic[T, R]):
    """Groups items until there are enough of them or the first has waited long enough.

    Parameters
    ----------
    flush : callable
        Handles one group; returns one result for each item, in order.
    size : int
        Items of a full group, at least 1.
    timeout_s : float
        Longest wait of the first item of a group, seconds, not negative.
    """

    def __init__(
        self, flush: Callable[[list[T]], Awaitable[Sequence[R]]], *, size: int, timeout_s: float
    ) -> None:
        if size < 1 or timeout_s < 0:
            raise ValidationError(f"a batch needs size >= 1 and time >= 0: {size}, {timeout_s}")
        self._flush = flush
        self._size = size
        self._timeout_s = timeout_s
        self._open: _Batch[T, R] | None = None
        self.sizes: list[int] = [0] * (size + 1)

    async def add(self, item: T) -> R:
        """Hand ``item`` on with its group and return its result.

        The caller that opened the group carries it out; if it is cancelled, or the group fails, all
        of the group learn of it.
        """
        batch = self._open
        is_leader = batch is None
        if batch is None:
            batch = self._open = _Batch()
        index = len(batch.items)
        batch.items.append(item)
        if len(batch.items) == self._size:
            self._open = None
            batch.full.set()
        if is_leader:
            await self._lead(batch)
        else:
            await batch.done.wait()
        if batch.error is not None:
            raise batch.error
        return batch.results[index]

    async def _lead(self, batch: _Batch[T, R]) -> None:
        try:
            try:
                async with asyncio.timeout(self._timeout_s):
                    await batch.full.wait()
            except TimeoutError:
                pass  # the group goes as it is
            finally:
                if self._open is batch:
                    self._open = None
            self.sizes[len(batch.items)] += 1
            batch.results = await self._flush(batch.items)
        except asyncio.CancelledError:
            batch.error = DeadlineExceeded("the batch was cut off: its outcome is unknown")
            raise
        except Exception as e:  # every caller of the group learns of it in add()
            batch.error = e
        finally:
            batch.done.set()


def each_apart(
    work: Callable[[T], Awaitable[R]],
) -> Callable[[list[T]], Awaitable[Sequence[R | TradingSystemError]]]:
    """Return a flush that works all items of a group at the same time.

    An item's ``TradingSystemError`` becomes its result, so that it cannot cancel the others.
    """

    async def apart(item: T) -> R | TradingSystemError:
        try:
            return await work(item)
        except TradingSystemError as e:
            return e

    async def flush(items: list[T]) -> list[R | TradingSystemError]:
        async with asyncio.TaskGroup() as group:
            tasks = [group.create_task(apart(item)) for item in items]
        return [task.result() for task in tasks]

    return flush
