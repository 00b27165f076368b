"""An event loop on which no time is spent waiting."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Callable, Coroutine
from typing import Any

SECOND = 1_000_000_000


class _Jump(selectors.SelectSelector):
    # Instead of waiting, time moves on; without anything to wait for it really waits.
    loop: VirtualLoop

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if not ready and timeout:
            self.loop.elapsed_s += timeout
        if not ready and timeout is None:
            return super().select(1.0)
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """A loop whose time jumps to the next timer; also a clock."""

    def __init__(self) -> None:
        self.elapsed_s = 0.0
        selector = _Jump()
        selector.loop = self
        super().__init__(selector)

    def time(self) -> float:
        return self.elapsed_s

    def monotonic_ns(self) -> int:
        return round(self.elapsed_s * SECOND)

    def utc_ns(self) -> int:
        return self.monotonic_ns()


def in_virtual_time(work: Callable[[VirtualLoop], Coroutine[Any, Any, Any]]) -> Any:
    """Run ``work`` on a virtual loop that it gets as its clock, and return its result."""
    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        loop = runner.get_loop()
        assert isinstance(loop, VirtualLoop)
        return runner.run(work(loop))
