"""Asks the selected agents of a panel side by side, each in the way that suits its speed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from optimizers.signals.member import Answer, Member
from optimizers.signals.panel import AgentPanel
from optimizers.signals.pooling import ABSTAINED
from optimizers.signals.reading import Reading
from trading_system.domain.signals import MarketFeatures, Opinion
from trading_system.runtime.cache import TtlCache

_NS_PER_S = 1_000_000_000

OpinionKey = tuple[str, str, Any]


@dataclass(slots=True, kw_only=True)
class OpinionCache:
    """Cached opinions by symbol, agent and quantised features, with look-ups per agent."""

    values: TtlCache[OpinionKey, Opinion]
    ceiling_s: float
    lookups: dict[str, tuple[int, int]] = field(default_factory=dict)

    def find(self, key: OpinionKey) -> Opinion | None:
        """Return the cached opinion and count the look-up."""
        found = self.values.get(key)
        hits, misses = self.lookups.get(key[1], (0, 0))
        self.lookups[key[1]] = (hits, misses + 1) if found is None else (hits + 1, misses)
        return found

    def keep(self, key: OpinionKey, opinion: Opinion, *, validity_s: float) -> None:
        """Keep ``opinion`` for its validity, at most for the ceiling."""
        ttl_s = min(validity_s, self.ceiling_s)
        if ttl_s > 0.0:
            self.values.put(key, opinion, ttl_s=ttl_s)


@dataclass(frozen=True, slots=True, kw_only=True)
class Round:
    """One request to a panel.

    Parameters
    ----------
    chosen : sequence of bool
        For each seat whether it is asked.
    key : object
        Quantised features, None to bypass the cache.
    timeout_s : float
        Patience with each agent, seconds.
    observes : bool
        Whether the features are newer than all the panel has seen.
    """

    reading: Reading
    features: MarketFeatures
    chosen: Sequence[bool]
    key: object
    timeout_s: float
    gate: asyncio.Semaphore
    executor: Executor
    observes: bool


async def ask_all(
    panel: AgentPanel, request: Round, cache: OpinionCache
) -> tuple[list[Answer | None], int]:
    """Return one answer per seat (None where not asked) and the number of cached ones.

    Quick synchronous agents are called here; heavy ones work in the executor and asynchronous
    ones as tasks, all at the same time and each under its own deadline.
    """
    answers: list[Answer | None] = [None] * len(panel.seats)
    waiting: list[int] = []
    hits = 0
    for i, (seat, is_chosen) in enumerate(zip(panel.seats, request.chosen, strict=True)):
        if not is_chosen:
            _let_observe(seat, request)
            continue
        lacking = [name for name in seat.requires if name in request.reading.missing]
        if lacking:
            answers[i] = Answer(None, f"{ABSTAINED}: needs {', '.join(lacking[:3])}")
            continue
        answer = _known(seat, panel.symbol, request, cache)
        if answer is not None:
            hits += 1
            _let_observe(seat, request)
            answers[i] = answer
        elif seat.is_async or seat.is_heavy:
            waiting.append(i)
        else:
            answers[i] = panel.ask_inline(seat, request.features, observes=request.observes)
    if waiting:
        await _ask_side_by_side(panel, request, waiting, answers)
    _keep(panel, request, answers, cache)
    return answers, hits


async def _ask_side_by_side(
    panel: AgentPanel, request: Round, waiting: Sequence[int], answers: list[Answer | None]
) -> None:
    async def ask(i: int) -> None:
        seat = panel.seats[i]
        work = None
        if seat.is_async:
            _let_observe(seat, request)
        else:
            work = partial(seat.ask_in, request.executor, observes=request.observes)
        answers[i] = await panel.ask(
            seat, request.features, gate=request.gate, timeout_s=request.timeout_s, work=work
        )

    async with asyncio.TaskGroup() as group:
        for i in waiting:
            group.create_task(ask(i), name=f"agent {panel.seats[i].name}")


def _let_observe(seat: Member, request: Round) -> None:
    # Heavy agents learn when they are asked; the loop does not wait for them here.
    is_light = seat.is_async or (seat.calls > 0 and not seat.is_heavy)
    knows = request.reading.missing.isdisjoint(seat.requires)
    if request.observes and is_light and knows and seat.circuit.allows(request.features.ts_ns):
        seat.observe(request.features)


def _known(seat: Member, symbol: str, request: Round, cache: OpinionCache) -> Answer | None:
    if request.key is None:
        return None
    opinion = cache.find((symbol, seat.name, request.key))
    return None if opinion is None else Answer(opinion)


def _keep(
    panel: AgentPanel, request: Round, answers: Sequence[Answer | None], cache: OpinionCache
) -> None:
    if request.key is None:
        return
    for seat, answer in zip(panel.seats, answers, strict=True):
        if answer is not None and answer.opinion is not None:
            key = (panel.symbol, seat.name, request.key)
            age_s = max(0, request.features.ts_ns - answer.opinion.ts_ns) / _NS_PER_S
            cache.keep(key, answer.opinion, validity_s=seat.validity_s(answer.opinion) - age_s)
