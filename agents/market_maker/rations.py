"""What of the plans goes out now, the most urgent first, and what is owed until later.

Nothing is queued: of what is owed only its place and the time since when are remembered, and the
next plan, made from the newest view, says what that place needs then.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from agents.market_maker.budget import Budget, Kind
from agents.market_maker.plan import Plan, Step
from trading_system.domain.orders import Side
from trading_system.domain.ports import Clock

_NS_PER_S: Final = 1_000_000_000
_TIERS_PER_S: Final = 1.0


class Slot(NamedTuple):
    """One request by its place: a side and tier, or for a cancellation the order."""

    kind: Kind
    symbol: str
    name: str


class _Ask(NamedTuple):
    # In the sequence of urgency.
    is_ordinary: bool
    rank: float
    turn: int
    slot: Slot


class Rations:
    """Cuts steps to the budget.

    Cancellations of a symbol that is to have no quotes come first, then orders at or through the
    opposite touch or under the fee floor, then the nearest tiers. Each second of waiting counts
    like one tier, so that outer tiers and other symbols get their turn too. What goes out is any
    part of a step, which is as safe as any part of it failing.

    Parameters
    ----------
    budget : Budget
        What may go out.
    clock : Clock
        Monotonic time.

    Attributes
    ----------
    waits : int
        Places that had to wait for the budget up to now.
    """

    def __init__(self, budget: Budget, *, clock: Clock) -> None:
        self._budget = budget
        self._clock = clock
        self._since: dict[Slot, int] = {}
        self._owed: dict[str, tuple[Slot, ...]] = {}
        self.waits = 0

    @property
    def owed(self) -> int:
        """Places that wait for the budget now."""
        return sum(len(slots) for slots in self._owed.values())

    def is_complete(self, symbol: str) -> bool:
        """Return whether nothing of the newest step of ``symbol`` was left out."""
        return not self._owed.get(symbol)

    def begin(self, plans: Mapping[str, Plan]) -> None:
        """Forget what the newest plans of these symbols no longer want."""
        wanted = {
            ask.slot
            for symbol, plan in plans.items()
            for step in (plan.first, plan.second)
            for ask in self._asks(symbol, step, is_pulled=False)
        }
        self._since = {
            slot: since
            for slot, since in self._since.items()
            if slot.symbol not in plans or slot in wanted
        }
        for symbol in plans:
            self._owed.pop(symbol, None)

    def cut(
        self, steps: Mapping[str, Step], *, pulled: Collection[str] = frozenset()
    ) -> dict[str, Step]:
        """Return what of the step of each symbol may go out now; the rest is owed.

        Parameters
        ----------
        steps : Mapping of str to Step
            By symbol.
        pulled : Collection of str
            Symbols that are to have no quotes: their cancellations come first and may use all of
            the venue's quota.
        """
        found = [
            ask
            for symbol, step in steps.items()
            for ask in self._asks(symbol, step, is_pulled=symbol in pulled)
        ]
        asks = sorted(found, key=lambda ask: ask[:3])
        taken: set[Slot] = set()
        left: list[Slot] = []
        used = dict.fromkeys(Kind, 0)
        for ask in asks:
            kind = ask.slot.kind
            is_emergency = kind is Kind.CANCEL and not ask.is_ordinary
            if used[kind] < self._budget.free(kind, is_emergency=is_emergency):
                used[kind] += 1
                taken.add(ask.slot)
                self._since.pop(ask.slot, None)
            else:
                left.append(ask.slot)
        self._remember(left)
        parts = {symbol: _part(symbol, step, taken) for symbol, step in steps.items()}
        room = self._budget.free(Kind.CANCEL) - used[Kind.CANCEL]
        return _with_unsafe(parts, steps, taken, room=room)

    def due(self) -> frozenset[str]:
        """Return the symbols of which something owed can go out now, all of one kind at once."""
        kinds = {kind for kind, count in self._counts().items() if not self._wait_s(kind, count)}
        return frozenset(
            symbol
            for symbol, slots in self._owed.items()
            if any(slot.kind in kinds for slot in slots)
        )

    def wait_s(self) -> float | None:
        """Return the seconds until something is due, None where nothing is owed."""
        return min((self._wait_s(kind, n) for kind, n in self._counts().items()), default=None)

    def _wait_s(self, kind: Kind, count: int) -> float:
        return self._budget.wait_s(kind, count)

    def _counts(self) -> dict[Kind, int]:
        counts: dict[Kind, int] = {}
        for slots in self._owed.values():
            for slot in slots:
                counts[slot.kind] = counts.get(slot.kind, 0) + 1
        return counts

    def _remember(self, left: list[Slot]) -> None:
        now_ns = self._clock.monotonic_ns()
        for slot in left:
            if slot not in self._since:
                self._since[slot] = now_ns
                self.waits += 1
            self._owed[slot.symbol] = (*self._owed.get(slot.symbol, ()), slot)

    def _asks(self, symbol: str, step: Step, *, is_pulled: bool) -> Iterator[_Ask]:
        for index, link_id in enumerate(step.cancels):
            slot = Slot(Kind.CANCEL, symbol, link_id)
            yield _Ask(not is_pulled, self._rank(0, slot), index, slot)
        for index, move in enumerate(step.amends):
            slot = _place(Kind.AMEND, symbol, move.side, move.tier)
            yield _Ask(not move.is_forced, self._rank(move.tier, slot), index, slot)
        for index, quote in enumerate(step.creates):
            slot = _place(Kind.CREATE, symbol, quote.side, quote.tier)
            yield _Ask(is_ordinary=True, rank=self._rank(quote.tier, slot), turn=index, slot=slot)

    def _rank(self, tier: int, slot: Slot) -> float:
        now_ns = self._clock.monotonic_ns()
        return tier - _TIERS_PER_S * (now_ns - self._since.get(slot, now_ns)) / _NS_PER_S


def _place(kind: Kind, symbol: str, side: Side, tier: int) -> Slot:
    return Slot(kind, symbol, f"{side.name}{tier}")


def _part(symbol: str, step: Step, taken: set[Slot]) -> Step:
    return Step(
        tuple(c for c in step.cancels if Slot(Kind.CANCEL, symbol, c) in taken),
        tuple(m for m in step.amends if _place(Kind.AMEND, symbol, m.side, m.tier) in taken),
        tuple(q for q in step.creates if _place(Kind.CREATE, symbol, q.side, q.tier) in taken),
    )


def _with_unsafe(
    parts: dict[str, Step], steps: Mapping[str, Step], taken: set[Slot], *, room: int
) -> dict[str, Step]:
    # What stands wrong and cannot be moved in time is better not in the book.
    for symbol, step in steps.items():
        unsafe = [
            move.link_id
            for move in step.amends
            if move.is_forced and _place(Kind.AMEND, symbol, move.side, move.tier) not in taken
        ][: max(0, room)]
        if unsafe:
            room -= len(unsafe)
            cancels = (*parts[symbol].cancels, *unsafe)
            parts[symbol] = replace(parts[symbol], cancels=cancels)
    return parts
