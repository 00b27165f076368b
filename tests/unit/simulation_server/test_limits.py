from trading_system.simulation.bybit_server.limits import (
    ADDRESS_LIMIT,
    CONNECTION_LIMIT,
    CONNECTION_WINDOW_MS,
    RequestLimits,
    RollingQuota,
)
from trading_system.simulation.records import AccountSpec

ACCOUNT = AccountSpec(account_id=1, uid=7, api_key="k", api_secret="s")


def test_window_rolls_and_never_admits_more_than_the_limit():
    quota = RollingQuota(10, 1000)
    admitted = [t for t in range(0, 5000, 20) if quota.take(1, now_ms=t).admitted]
    for start in range(0, 4000, 20):
        assert sum(start <= t < start + 1000 for t in admitted) <= 10
    assert len(admitted) == 50


def test_refusal_names_a_reset_in_the_future():
    quota = RollingQuota(1, 1000)
    quota.take(1, now_ms=100)
    assert quota.take(1, now_ms=150).reset_ms == 1101
    assert quota.take(1, now_ms=1095).reset_ms == 1145


def test_batch_is_admitted_in_part():
    quota = RollingQuota(10, 1000)
    quota.take(5, now_ms=0)
    admission = quota.take(8, now_ms=10)
    assert (admission.admitted, admission.remaining) == (5, 0)


def test_clock_set_back_locks_nobody_out():
    quota = RollingQuota(1, 1000)
    quota.take(1, now_ms=10_000_000)
    assert quota.take(1, now_ms=5).admitted == 1


def test_operations_and_accounts_have_their_own_quota():
    limits = RequestLimits(is_enforced=True)
    other = AccountSpec(account_id=2, uid=8, api_key="k2", api_secret="s")
    for _ in range(10):
        assert limits.take_account(ACCOUNT, "order.create", count=1, now_ms=0).admitted
    assert not limits.take_account(ACCOUNT, "order.create", count=1, now_ms=0).admitted
    assert limits.take_account(ACCOUNT, "order.cancel", count=1, now_ms=0).admitted
    assert limits.take_account(other, "order.create", count=1, now_ms=0).admitted


def test_vip_level_raises_the_order_quota():
    vip = AccountSpec(account_id=2, uid=8, api_key="k2", api_secret="s", vip_level=3)
    limits = RequestLimits(is_enforced=True)
    assert limits.take_account(vip, "order.create", count=1, now_ms=0).limit == 60
    assert limits.take_account(vip, "order.realtime", count=1, now_ms=0).limit == 50


def test_switched_off_limits_refuse_nothing_and_still_count():
    limits = RequestLimits(is_enforced=False)
    for _ in range(30):
        admission = limits.take_account(ACCOUNT, "order.create", count=1, now_ms=0)
    assert (admission.admitted, admission.remaining) == (1, 0)


def test_address_is_refused_beyond_the_documented_rate():
    limits = RequestLimits(is_enforced=True)
    verdicts = [limits.take_address("a", now_ms=0).admitted for _ in range(ADDRESS_LIMIT + 1)]
    assert verdicts == [1] * ADDRESS_LIMIT + [0]
    assert limits.take_address("b", now_ms=0).admitted == 1


def test_banned_address_returns_after_ten_minutes_of_silence():
    limits = RequestLimits(is_enforced=True)
    for _ in range(ADDRESS_LIMIT + 1):
        limits.take_address("a", now_ms=0)
    assert limits.take_address("a", now_ms=300_000).admitted == 0
    assert limits.take_address("a", now_ms=899_999).admitted == 0
    assert limits.take_address("a", now_ms=1_499_999).admitted == 1


def test_new_connections_of_an_address_are_bounded_in_five_minutes():
    limits = RequestLimits(is_enforced=True)
    opened = [limits.take_connection("a", now_ms=each) for each in range(CONNECTION_LIMIT + 1)]
    assert opened == [True] * CONNECTION_LIMIT + [False]
    assert limits.take_connection("b", now_ms=0)
    assert limits.take_connection("a", now_ms=CONNECTION_WINDOW_MS)


def test_switched_off_limits_ban_no_address():
    limits = RequestLimits(is_enforced=False)
    for _ in range(ADDRESS_LIMIT + 1):
        assert limits.take_address("a", now_ms=0).admitted
        assert limits.take_connection("a", now_ms=0)
