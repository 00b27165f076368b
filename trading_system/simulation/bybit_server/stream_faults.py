"""Faults of one WebSocket connection: what happens to the pushes on their way out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from fnmatch import fnmatchcase

from trading_system.simulation.bybit_server.delay_line import DelayLine
from trading_system.simulation.faults.engine import FaultEngine
from trading_system.simulation.faults.names import Fault
from trading_system.simulation.faults.rules import FaultRule, Moment

_TOPIC = b'"topic":"'
_HEAD = 64
_PATIENCE_MS = 50.0
_MAX_LATE = 10_000


class StreamFaults:
    """Passes frames on, except those a rule strikes.

    Only pushes, frames with a topic, are struck; all frames stay behind a delayed one, as on one
    TCP connection.

    Parameters
    ----------
    path : str
        The connection's path.
    send, tear : callable
        Queue a frame; queue half a frame and the end of the connection.
    freeze, cut : callable
        Go silent for good; drop the connection now.
    """

    def __init__(
        self,
        engine: FaultEngine,
        *,
        path: str,
        send: Callable[[bytes], None],
        tear: Callable[[bytes], None],
        freeze: Callable[[], None],
        cut: Callable[[], None],
    ) -> None:
        self._engine = engine
        self._path = path
        self._send = send
        self._tear = tear
        self._freeze = freeze
        self._cut = cut
        self._late = DelayLine()
        self._held: bytes | None = None
        self._release: asyncio.TimerHandle | None = None
        self._stalled: list[tuple[str, float]] = []

    def pass_on(self, payload: bytes) -> None:
        """Send a frame, or what the schedule makes of it."""
        topic = topic_of(payload) if self._stalled or self._engine.watches(Moment.PUSH) else ""
        if not topic:
            self._forward(payload)
        elif not self._is_stalled(topic):
            rule = self._engine.meet(Moment.PUSH, path=self._path, topic=topic)
            if rule is None:
                self._forward(payload)
            else:
                self._strike(rule, payload)

    def strike_connection(self) -> None:
        """Ask whether a fault strikes the open connection itself, and let it."""
        rule = None
        if not self._is_stalled(""):
            rule = self._engine.meet(Moment.CONNECTION, path=self._path)
        if rule is None:
            return
        if rule.fault is Fault.STALL:
            self._stall(rule)
        elif rule.fault is Fault.HALF_OPEN:
            self._freeze()
        else:
            self._tear(b'{"topic":"')

    def close(self) -> None:
        """Forget everything that waits."""
        self._late.clear()
        self._held = None
        if self._release is not None:
            self._release.cancel()

    def _strike(self, rule: FaultRule, payload: bytes) -> None:
        if rule.fault is Fault.DELAY:
            assert rule.delay_ms is not None, "checked with the rule"
            self._put(payload, rule.delay_ms / 1000)
        elif rule.fault is Fault.DUPLICATE:
            self._forward(payload)
            self._forward(payload)
        elif rule.fault is Fault.REORDER:
            self._hold(payload, rule)
        elif rule.fault is Fault.STALL:
            self._stall(rule)
        elif rule.fault is Fault.HALF_OPEN:
            self._freeze()
        elif rule.fault is Fault.CUT_MID_FRAME:
            self._tear(payload)
        else:
            assert rule.fault is Fault.GAP, "no other fault strikes pushes"

    def _forward(self, payload: bytes) -> None:
        if len(self._late):
            self._put(payload, 0.0)
        else:
            self._send(payload)
        self._let_go()

    def _put(self, payload: bytes, delay_s: float) -> None:
        if len(self._late) >= _MAX_LATE:
            self._cut()
        else:
            self._late.put(lambda: self._send(payload), delay_s=delay_s)

    # At most one frame is held: a second one lets the first go.
    def _hold(self, payload: bytes, rule: FaultRule) -> None:
        self._let_go()
        self._held = payload
        patience_ms = _PATIENCE_MS if rule.delay_ms is None else rule.delay_ms
        loop = asyncio.get_running_loop()
        self._release = loop.call_later(patience_ms / 1000, self._let_go)

    def _let_go(self) -> None:
        held, self._held = self._held, None
        if self._release is not None:
            self._release.cancel()
            self._release = None
        if held is not None:
            self._forward(held)

    def _stall(self, rule: FaultRule) -> None:
        now_s = asyncio.get_running_loop().time()
        until_s = float("inf") if rule.duration_s is None else now_s + rule.duration_s
        self._stalled.append((rule.topic or "*", until_s))

    def _is_stalled(self, topic: str) -> bool:
        if not self._stalled:
            return False
        now_s = asyncio.get_running_loop().time()
        self._stalled = [each for each in self._stalled if now_s < each[1]]
        return any(fnmatchcase(topic, pattern) for pattern, _ in self._stalled)


def topic_of(payload: bytes) -> str:
    """Return the topic of a push, empty for every other frame."""
    start = payload.find(_TOPIC, 0, _HEAD)
    if start < 0:
        return ""
    start += len(_TOPIC)
    return payload[start : payload.index(b'"', start)].decode()
