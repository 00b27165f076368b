"""How many requests of each kind may be sent now: the documented quotas, corrected by the venue.

The venue counts per account, operation and category over a rolling second, whichever way a request
came: REST and the trade WebSocket share one :class:`Budgets`. It starts from the documented table,
follows the limit headers of every answer (also down, when somebody else uses the same account), and
after a refusal for too many requests works with half of it, recovering step by step.

A request that finds no room waits for it, first come, first served, as far as its deadline allows.
Cancellations and orders that only shrink a position come first: a part of the quota they share with
opening orders is kept for them, and while the venue refuses they wait for one window at most.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Mapping
from typing import Any

from trading_system.domain.errors import Outcome, VenueError, VenueRateLimited
from trading_system.domain.ports import Clock
from trading_system.venues.bybit.quotas import quota_of
from trading_system.venues.bybit.refusals import VENUE

LINEAR = "linear"
_SPOT = "spot"
# Requests per second without a special tier: linear, spot (documentation of July 2026).
_DOCUMENTED: dict[str, tuple[int, int]] = {
    "order/create": (10, 20),
    "order/amend": (10, 10),
    "order/cancel": (10, 20),
    "order/cancel-all": (10, 20),
    "order/create-batch": (10, 20),
    "order/amend-batch": (10, 20),
    "order/cancel-batch": (10, 20),
    "order/pre-check": (10, 20),
    "order/disconnected-cancel-all": (5, 5),
    "order/realtime": (50, 50),
    "order/history": (50, 50),
    "execution/list": (50, 50),
    "position/list": (50, 50),
    "position/closed-pnl": (50, 50),
    "position/set-leverage": (10, 10),
    "position/switch-mode": (10, 10),
    "position/trading-stop": (10, 10),
    "account/wallet-balance": (50, 50),
    "account/info": (50, 50),
    "account/fee-rate": (5, 5),
    "account/query-dcp-info": (5, 5),
    "account/transaction-log": (25, 25),
    "account/instruments-info": (10, 10),
    "user/query-api": (10, 10),
}
_ADDRESS = "address"
_ADDRESS_PERMITS, _ADDRESS_WINDOW_S = 600, 5.0
_WINDOW_S = 1.0
_MARGIN_S = 0.02  # requests sent a full window apart may arrive this much closer together
_NS_PER_S = 1_000_000_000
# Operations in which exits are sent beside opening orders, and what opening orders may use of them.
_SHARED = frozenset({"order/create", "order/create-batch", _ADDRESS})
_OPENING_SHARE = 0.8
_OPENINGS = frozenset({"order/create", "order/create-batch", "order/amend", "order/amend-batch"})
_ALWAYS_EXITS = ("order/cancel", "order/disconnected-cancel-all", "position/trading-stop")
_RECOVER_S = 2.0
_RECOVER_STEPS = 10
_MAX_WAITING = 100
_MAX_LIMIT = 100_000
_MAX_PAUSE_S = 5.0  # windows last a second: a stamp that asks for more is a wrong clock


def operation_of(name: str) -> str:
    """Return one name for a REST path and the stream operation of the same quota."""
    return name.removeprefix("/v5/").replace(".", "/")


def is_exit(operation: str, body: Mapping[str, Any]) -> bool:
    """Return whether a request can only make the account safer."""
    if operation.startswith(_ALWAYS_EXITS):
        return True
    if operation not in _SHARED:
        return False
    if "request" not in body:
        return body.get("reduceOnly") is True
    return all(row.get("reduceOnly") is True for row in body["request"])


def is_over_quota(error: VenueError) -> bool:
    """Return whether the venue refused for too many requests: it answered, and with this code."""
    return isinstance(error, VenueRateLimited) and error.code is not None


class Budget:
    """One rolling window of permits.

    Parameters
    ----------
    limit : int
        Permits per window until the venue says otherwise.
    window_s : float
        Length of the window, seconds.
    opening_share : float
        Part of the permits that requests other than exits may use.
    """

    def __init__(
        self, limit: int, *, window_s: float = _WINDOW_S, opening_share: float = 1.0
    ) -> None:
        self.limit = limit
        self.refusals = 0
        self._window_ns = round((window_s + _MARGIN_S) * _NS_PER_S)
        self._opening_share = opening_share
        self._taken: deque[int] = deque()
        self._reduced_to = limit
        self._reduced_ns = 0
        self._closed_until_ns = 0
        self.openings = asyncio.Lock()
        self.exits = asyncio.Lock()
        self.waiting = 0

    def permits(self, now_ns: int) -> int:
        """Return the permits per window now: the limit, or less for a while after a refusal."""
        if self._reduced_to >= self.limit:
            return self.limit
        steps = (now_ns - self._reduced_ns) // round(_RECOVER_S * _NS_PER_S)
        regained = steps * max(1, self.limit // _RECOVER_STEPS)
        return min(self.limit, self._reduced_to + regained)

    def used(self, now_ns: int) -> int:
        """Return the permits in use."""
        while self._taken and now_ns - self._taken[0] >= self._window_ns:
            self._taken.popleft()
        return len(self._taken)

    def take(self, cost: int, *, is_exit: bool, now_ns: int) -> int:
        """Take ``cost`` permits and return 0, or return the nanoseconds until they are there.

        A request that costs more than all permits needs an empty window: the venue then serves a
        part of it.
        """
        closed_until_ns = self._closed_until_ns
        if is_exit:
            closed_until_ns = min(closed_until_ns, self._reduced_ns + self._window_ns)
        if now_ns < closed_until_ns:
            return closed_until_ns - now_ns
        most = self.permits(now_ns)
        if not is_exit:
            most = max(1, int(most * self._opening_share))
        excess = self.used(now_ns) + min(cost, most) - most
        if excess > 0:
            return self._taken[excess - 1] + self._window_ns - now_ns
        self._taken.extend([now_ns] * cost)
        return 0

    def follow(self, limit: int, remaining: int, *, now_ns: int) -> None:
        """Take over the venue's limit, and count what others have used of it."""
        if not 0 < limit <= _MAX_LIMIT:
            return
        if self._reduced_to >= self.limit:
            self._reduced_to = limit
        self.limit = limit
        unseen = limit - remaining - self.used(now_ns)
        self._taken.extend([now_ns] * min(unseen, limit))

    def trip(self, pause_s: float, *, now_ns: int) -> None:
        """Halve the permits and pause: the venue refused.

        Refusals of requests that were under way together count once.
        """
        self.refusals += 1
        if now_ns >= self._closed_until_ns:
            self._reduced_to = max(1, self.permits(now_ns) // 2)
        self._reduced_ns = now_ns
        until_ns = now_ns + round(pause_s * _NS_PER_S)
        self._closed_until_ns = max(self._closed_until_ns, until_ns)


class Budgets:
    """The budgets of one account and this machine's address.

    Parameters
    ----------
    clock : Clock
        Monotonic time.
    address_permits : int
        Requests that this address may send in five seconds.
    """

    def __init__(self, *, clock: Clock, address_permits: int = _ADDRESS_PERMITS) -> None:
        self._clock = clock
        self._budgets: dict[tuple[str, str], Budget] = {}
        self._address = Budget(
            address_permits, window_s=_ADDRESS_WINDOW_S, opening_share=_OPENING_SHARE
        )
        self._openings_after_ns = 0
        self.waited = 0
        self.refused = 0

    async def admit(
        self,
        name: str,
        body: Mapping[str, Any],
        *,
        deadline_s: float,
        is_http: bool,
    ) -> None:
        """Return when the request may be sent.

        Parameters
        ----------
        name : str
            REST path or stream operation.
        body : Mapping[str, Any]
            Its parameters: category, and the rows of a batch, each of which costs one permit.
        deadline_s : float
            Longest wait, seconds.
        is_http : bool
            Whether it also counts for the limit of this address.

        Raises
        ------
        VenueRateLimited
            If there is no room within the deadline, or 100 others wait; nothing was sent.
        """
        operation = operation_of(name)
        leaves = is_exit(operation, body)
        if is_http and not self._takes(self._address, _ADDRESS, 1, leaves=leaves):
            await self._wait(self._address, _ADDRESS, 1, leaves=leaves, deadline_s=deadline_s)
        budget = self._budget(operation, body.get("category", LINEAR))
        cost = len(body["request"]) if "request" in body else 1
        if budget is not None and not self._takes(budget, operation, cost, leaves=leaves):
            await self._wait(budget, operation, cost, leaves=leaves, deadline_s=deadline_s)

    def follow(self, name: str, body: Mapping[str, Any], headers: Mapping[str, str]) -> None:
        """Correct the budget of a request by the limit headers of its answer, if it has them."""
        quota = quota_of(headers)
        budget = self._budget(operation_of(name), body.get("category", LINEAR))
        if quota is not None and budget is not None:
            budget.follow(quota.limit, quota.remaining, now_ns=self._clock.monotonic_ns())

    def refuse(
        self, name: str, body: Mapping[str, Any], *, retry_after_s: float = _WINDOW_S
    ) -> None:
        """Note that the venue refused a request for too many requests (10006)."""
        operation = operation_of(name)
        pause_s = min(retry_after_s, _MAX_PAUSE_S)
        now_ns = self._clock.monotonic_ns()
        budget = self._budget(operation, body.get("category", LINEAR))
        if budget is not None:
            budget.trip(pause_s, now_ns=now_ns)
        if operation in _OPENINGS:
            until_ns = now_ns + round(pause_s * _NS_PER_S)
            self._openings_after_ns = max(self._openings_after_ns, until_ns)

    def figures(self) -> dict[str, Any]:
        """Return every budget in use: permits now, the venue's limit, used, refusals, waiting."""
        now_ns = self._clock.monotonic_ns()
        rows = {("address", ""): self._address, **self._budgets}
        return {
            "waited": self.waited,
            "refused": self.refused,
            "operations": {
                f"{operation}:{category}" if category else operation: {
                    "permits": budget.permits(now_ns),
                    "limit": budget.limit,
                    "used": budget.used(now_ns),
                    "refusals": budget.refusals,
                    "waiting": budget.waiting,
                }
                for (operation, category), budget in rows.items()
            },
        }

    def _budget(self, operation: str, category: str) -> Budget | None:
        found = self._budgets.get((operation, category))
        if found is None and operation in _DOCUMENTED:
            linear, spot = _DOCUMENTED[operation]
            found = self._budgets[operation, category] = Budget(
                spot if category == _SPOT else linear,
                opening_share=_OPENING_SHARE if operation in _SHARED else 1.0,
            )
        return found

    def _takes(self, budget: Budget, operation: str, cost: int, *, leaves: bool) -> bool:
        # Nobody overtakes those who wait.
        line = budget.exits if leaves else budget.openings
        return not line.locked() and not self._missing_ns(budget, operation, cost, leaves=leaves)

    async def _wait(
        self, budget: Budget, operation: str, cost: int, *, leaves: bool, deadline_s: float
    ) -> None:
        line = budget.exits if leaves else budget.openings
        if not leaves and budget.waiting >= _MAX_WAITING:
            raise self._late(operation, f"{_MAX_WAITING} requests wait for the quota")
        self.waited += 1
        budget.waiting += 1
        ends_ns = self._clock.monotonic_ns() + round(deadline_s * _NS_PER_S)
        try:
            async with asyncio.timeout(deadline_s), line:
                while missing_ns := self._missing_ns(budget, operation, cost, leaves=leaves):
                    if self._clock.monotonic_ns() + missing_ns > ends_ns:
                        raise self._late(operation, f"{missing_ns / _NS_PER_S:.3f} s to wait")
                    await asyncio.sleep(missing_ns / _NS_PER_S)
        except TimeoutError as e:
            raise self._late(operation, f"no turn within {deadline_s:g} s") from e
        finally:
            budget.waiting -= 1

    def _missing_ns(self, budget: Budget, operation: str, cost: int, *, leaves: bool) -> int:
        now_ns = self._clock.monotonic_ns()
        if not leaves and operation in _OPENINGS and now_ns < self._openings_after_ns:
            return self._openings_after_ns - now_ns
        return budget.take(cost, is_exit=leaves, now_ns=now_ns)

    def _late(self, operation: str, why: str) -> VenueRateLimited:
        self.refused += 1
        return VenueRateLimited(
            f"the quota of {operation} is used up: {why}",
            venue=VENUE,
            operation=operation,
            outcome=Outcome.NOT_SENT,
            retry_after_s=_WINDOW_S,
        )
