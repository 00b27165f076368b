"""Decides whether a fault strikes an event: by schedule, seed and an injected clock."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from trading_system.domain.errors import ConfigurationError
from trading_system.domain.ports import Clock
from trading_system.simulation.faults.names import Fault
from trading_system.simulation.faults.rules import FaultRule, Moment
from trading_system.simulation.faults.schedule import MAX_RULES

_NS_PER_S = 1_000_000_000


class ArmedRule:
    """A rule with its own randomness and counters.

    Parameters
    ----------
    number : int
        Names the rule; with the seed it decides the randomness.
    armed_ns : int
        Monotonic time from which the rule counts seconds.
    """

    def __init__(self, rule: FaultRule, *, number: int, seed: int, armed_ns: int) -> None:
        self.rule = rule
        self.number = number
        self.met = 0
        self.struck = 0
        self._armed_ns = armed_ns
        self._rng = random.Random(f"{seed}/fault/{number}")

    @property
    def is_spent(self) -> bool:
        """Whether the rule has struck as often as it may."""
        rule = self.rule
        return not rule.is_window and rule.count is not None and self.struck >= rule.count

    def is_current(self, now_ns: int) -> bool:
        """Return whether ``now_ns`` lies in the rule's time."""
        elapsed_s = (now_ns - self._armed_ns) / _NS_PER_S
        return self.rule.at_s <= elapsed_s and (
            self.rule.until_s is None or elapsed_s < self.rule.until_s
        )

    def matches(self, path: str, topic: str, link_ids: Sequence[str]) -> bool:
        """Return whether every pattern fits an event."""
        rule = self.rule
        return (
            (not rule.path or fnmatchcase(path, rule.path))
            and (not rule.topic or fnmatchcase(topic, rule.topic))
            and (not rule.link_id or any(fnmatchcase(each, rule.link_id) for each in link_ids))
        )

    def note(self) -> bool:
        """Count a matching event; return whether the rule would strike it."""
        self.met += 1
        is_chosen = self.rule.probability >= 1 or self._rng.random() < self.rule.probability
        return is_chosen and self.met > self.rule.after


class FaultEngine:
    """All faults of one venue.

    Every rule counts every event it matches and draws its own randomness; of those ready to
    strike an event the first armed does. The same events in the same order get the same faults.

    Parameters
    ----------
    seed : int
        Decides rules with a probability.
    clock : Clock
        Its monotonic time is that of ``at_s`` and ``until_s``.
    rules : iterable of FaultRule
        Armed at once.
    """

    def __init__(self, *, seed: int, clock: Clock, rules: Iterable[FaultRule] = ()) -> None:
        self._seed = seed
        self._clock = clock
        self._next_number = 1
        self._armed: dict[int, ArmedRule] = {}
        self._waiting: dict[Moment, list[ArmedRule]] = {moment: [] for moment in Moment}
        self._counts: Counter[Fault] = Counter()
        self.arm(rules)

    def arm(self, rules: Iterable[FaultRule]) -> list[int]:
        """Add rules and return their numbers; their time begins now.

        Raises
        ------
        ConfigurationError
            If there would be more than ``MAX_RULES``; then none is added.
        """
        fresh = list(rules)
        if len(self._armed) + len(fresh) > MAX_RULES:
            raise ConfigurationError(f"at most {MAX_RULES} rules: clear those that are spent")
        now_ns = self._clock.monotonic_ns()
        numbers = []
        for rule in fresh:
            number = self._next_number
            self._next_number += 1
            armed = ArmedRule(rule, number=number, seed=self._seed, armed_ns=now_ns)
            self._armed[number] = armed
            for moment in rule.moments:
                self._waiting[moment].append(armed)
            numbers.append(number)
        return numbers

    def clear(self, number: int | None = None) -> int:
        """Remove one rule, or all; return how many there were."""
        chosen = list(self._armed) if number is None else [number]
        removed = [self._armed.pop(each) for each in chosen if each in self._armed]
        for armed in removed:
            self._retire(armed)
        return len(removed)

    def armed(self) -> list[ArmedRule]:
        """Return every rule that was not cleared, spent ones too, in their order."""
        return list(self._armed.values())

    def counts(self) -> dict[str, int]:
        """Return how often each fault has struck; those that never did are missing."""
        return {fault.value: count for fault, count in sorted(self._counts.items())}

    def watches(self, moment: Moment) -> bool:
        """Return whether any rule waits for events of this kind."""
        return bool(self._waiting[moment])

    def meet(
        self, moment: Moment, *, path: str = "", topic: str = "", link_ids: Sequence[str] = ()
    ) -> FaultRule | None:
        """Return the rule that strikes this event, None if it passes."""
        waiting = self._waiting[moment]
        if not waiting:
            return None
        now_ns = self._clock.monotonic_ns()
        striking: ArmedRule | None = None
        for armed in waiting:
            if armed.rule.is_window or not armed.is_current(now_ns):
                continue
            if armed.matches(path, topic, link_ids) and armed.note() and striking is None:
                striking = armed
        if striking is None:
            return None
        self._strike(striking)
        if striking.is_spent:
            self._retire(striking)
        return striking.rule

    def lasting(self, fault: Fault) -> FaultRule | None:
        """Return the rule that holds the venue in a lasting fault now, None if none does."""
        waiting = self._waiting[Moment.VENUE]
        if not waiting:
            return None
        now_ns = self._clock.monotonic_ns()
        for armed in waiting:
            if armed.rule.fault is fault and armed.is_current(now_ns):
                if not armed.struck:
                    self._strike(armed)
                return armed.rule
        return None

    def _strike(self, armed: ArmedRule) -> None:
        armed.struck += 1
        self._counts[armed.rule.fault] += 1

    def _retire(self, armed: ArmedRule) -> None:
        for moment in armed.rule.moments:
            waiting = self._waiting[moment]
            if armed in waiting:
                waiting.remove(armed)
