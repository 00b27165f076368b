"""Request quotas: per account and endpoint in a rolling second, per address in longer windows."""

from __future__ import annotations

from collections import OrderedDict, deque
from dataclasses import dataclass

from trading_system.domain.instruments import Category
from trading_system.simulation.records import AccountSpec

ADDRESS_LIMIT = 600
ADDRESS_WINDOW_MS = 5_000
ADDRESS_SILENCE_MS = 600_000
CONNECTION_LIMIT = 500
CONNECTION_WINDOW_MS = 300_000
FRAME_LIMIT = 3_000
FRAME_WINDOW_MS = 1_000
ACCOUNT_WINDOW_MS = 1_000
_MAX_ADDRESSES = 4_096
_MIN_REFUSED_WAIT_MS = 50

# Order quotas by VIP level, requests per second; amending spot has the base quota of futures.
_ORDER_QUOTAS = (10, 20, 40, 60, 60, 60)
_SPOT_ORDER_QUOTAS = (20, 25, 30, 40, 40, 40)
_SPOT_AMEND_QUOTA = 10
_ORDER_OPERATIONS = frozenset(
    {
        "order.create",
        "order.amend",
        "order.cancel",
        "order.cancel-all",
        "order.create-batch",
        "order.amend-batch",
        "order.cancel-batch",
    }
)
_QUOTAS = {
    "order.realtime": 50,
    "order.history": 50,
    "execution.list": 50,
    "position.list": 50,
    "position.closed-pnl": 50,
    "position.set-leverage": 10,
    "position.switch-mode": 10,
    "position.trading-stop": 10,
    "position.set-auto-add-margin": 10,
    "position.add-margin": 10,
    "order.pre-check": 10,
    "order.disconnected-cancel-all": 5,
    "account.wallet-balance": 50,
    "account.info": 50,
    "account.fee-rate": 5,
    "account.query-dcp-info": 5,
    "account.transaction-log": 25,
    "account.set-margin-mode": 5,
    "user.query-api": 10,
    "asset.coin.query-info": 5,
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Admission:
    """What a quota said: ``admitted`` of the asked credits, and what the headers show.

    ``reset_ms`` is the UTC time at which credits return if none remain, otherwise now.
    """

    limit: int
    remaining: int
    reset_ms: int
    admitted: int


class RollingQuota:
    """At most ``limit`` credits in any window of ``window_ms``; memory is bounded by ``limit``."""

    def __init__(self, limit: int, window_ms: int) -> None:
        self._limit = limit
        self._window_ms = window_ms
        self._taken: deque[int] = deque()

    def take(self, count: int, *, now_ms: int) -> Admission:
        """Admit as many of ``count`` credits as are left at ``now_ms``."""
        taken = self._taken
        if taken and taken[-1] > now_ms:
            taken.clear()  # The UTC clock was set back; an old window must not lock anybody out.
        while taken and taken[0] <= now_ms - self._window_ms:
            taken.popleft()
        admitted = min(count, self._limit - len(taken))
        taken.extend([now_ms] * admitted)
        remaining = self._limit - len(taken)
        reset_ms = now_ms
        if remaining == 0:
            reset_ms = taken[0] + self._window_ms + 1
        if admitted < count:
            reset_ms = max(reset_ms, now_ms + _MIN_REFUSED_WAIT_MS)
        return Admission(
            limit=self._limit, remaining=remaining, reset_ms=reset_ms, admitted=admitted
        )


class _Address:
    # What one address has used, and until when it is shut out unless it stays silent.
    def __init__(self) -> None:
        self.requests = RollingQuota(ADDRESS_LIMIT, ADDRESS_WINDOW_MS)
        self.connections = RollingQuota(CONNECTION_LIMIT, CONNECTION_WINDOW_MS)
        self.frames = RollingQuota(FRAME_LIMIT, FRAME_WINDOW_MS)
        self.banned_until_ms = 0


class RequestLimits:
    """All quotas of one server.

    Parameters
    ----------
    is_enforced : bool
        Whether anything is ever refused; figures for the headers are kept either way.
    """

    def __init__(self, *, is_enforced: bool) -> None:
        self._is_enforced = is_enforced
        self._accounts: dict[tuple[int, str], RollingQuota] = {}
        self._addresses: OrderedDict[str, _Address] = OrderedDict()

    def take_account(
        self,
        account: AccountSpec,
        operation: str,
        *,
        count: int,
        now_ms: int,
        category: Category = Category.LINEAR,
    ) -> Admission:
        """Charge ``count`` credits of ``operation`` to ``account``, as far as they last."""
        key = (account.uid, category.key(operation))
        quota = self._accounts.get(key)
        if quota is None:
            quota = self._accounts[key] = RollingQuota(
                _quota(account, operation, category), ACCOUNT_WINDOW_MS
            )
        return self._judge(quota.take(count, now_ms=now_ms), count)

    def take_address(self, address: str, *, now_ms: int) -> Admission:
        """Charge one request to ``address``; too many end in a ban until ten minutes of silence."""
        each = self._address(address)
        admission = self._judge(each.requests.take(1, now_ms=now_ms), 1)
        if admission.admitted and now_ms >= each.banned_until_ms:
            return admission
        each.banned_until_ms = now_ms + ADDRESS_SILENCE_MS
        return Admission(
            limit=ADDRESS_LIMIT, remaining=0, reset_ms=each.banned_until_ms, admitted=0
        )

    def take_connection(self, address: str, *, now_ms: int) -> bool:
        """Charge one new WebSocket connection to ``address``; return whether it is allowed."""
        admission = self._address(address).connections.take(1, now_ms=now_ms)
        return bool(self._judge(admission, 1).admitted)

    def take_frame(self, address: str, *, now_ms: int) -> bool:
        """Charge one frame of the trade WebSocket to ``address``; return whether it is allowed."""
        admission = self._address(address).frames.take(1, now_ms=now_ms)
        return bool(self._judge(admission, 1).admitted)

    def _address(self, address: str) -> _Address:
        each = self._addresses.get(address)
        if each is None:
            each = self._addresses[address] = _Address()
            if len(self._addresses) > _MAX_ADDRESSES:
                self._addresses.popitem(last=False)
        self._addresses.move_to_end(address)
        return each

    def _judge(self, admission: Admission, count: int) -> Admission:
        if self._is_enforced or admission.admitted == count:
            return admission
        return Admission(
            limit=admission.limit,
            remaining=admission.remaining,
            reset_ms=admission.reset_ms,
            admitted=count,
        )


def _quota(account: AccountSpec, operation: str, category: Category) -> int:
    if operation in _ORDER_OPERATIONS:
        if category is Category.SPOT and operation == "order.amend":
            return _SPOT_AMEND_QUOTA
        quotas = _SPOT_ORDER_QUOTAS if category is Category.SPOT else _ORDER_QUOTAS
        return quotas[max(0, min(account.vip_level, len(quotas) - 1))]
    return _QUOTAS[operation]
