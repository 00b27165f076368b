"""Snapshots of a position and of a wallet, as they are told to clients."""

from __future__ import annotations

from decimal import Decimal

from trading_system.simulation.accounts.account import Account, Stake
from trading_system.simulation.accounts.margins import bankruptcy_price, liquidation_price
from trading_system.simulation.conditions import StopKind
from trading_system.simulation.contracts import Contract, money
from trading_system.simulation.records import PositionView, WalletView

_ZERO = Decimal(0)
_LEAST_BREAK_EVEN_RATE = Decimal("0.00055")


def position_view(account: Account, contract: Contract, position_idx: int) -> PositionView:
    """Return a snapshot of a position, flat or not."""
    stake = account.stake(contract, position_idx)
    position = stake.position
    is_open = position.lots != 0
    initial, maintenance = stake.position_margins()
    qty = contract.instrument.lots_to_qty(abs(position.lots))
    return PositionView(
        account_id=account.account_id,
        symbol=contract.symbol,
        position_idx=stake.position_idx,
        is_liquidating=stake.is_liquidating,
        liquidation_price=liquidation_price(account, contract) if is_open else None,
        bankruptcy_price=bankruptcy_price(account, stake) if is_open else None,
        lots=position.lots,
        entry_price=money(position.entry_value / qty) if is_open else _ZERO,
        position_value=position.entry_value,
        mark_price=contract.mark,
        leverage=stake.leverage,
        unrealised=stake.unrealised(),
        session_realised=position.session_realised,
        cumulative_realised=position.cumulative_realised,
        initial_margin=initial,
        maintenance_margin=maintenance,
        break_even_price=_break_even(stake),
        created_ms=stake.created_ms,
        updated_ms=stake.updated_ms,
        opened_ms=position.opened_ms,
        sequence=position.sequence,
        stop_loss=_stop_price(stake, StopKind.STOP_LOSS),
        take_profit=_stop_price(stake, StopKind.TAKE_PROFIT),
        trailing_stop=_trailing_distance(stake),
    )


def wallet_view(account: Account) -> WalletView:
    """Return a snapshot of a wallet."""
    unrealised = position_margin = maintenance = order_margin = locked = _ZERO
    for stake in account.stakes.values():
        if not stake.is_idle:
            locked += stake.locked_quote()
            initial, required = stake.position_margins()
            unrealised += stake.unrealised()
            position_margin += initial
            maintenance += required
            order_margin += stake.order_margin()
    equity = account.cash + unrealised
    return WalletView(
        account_id=account.account_id,
        coin="USDT",
        start_balance=account.spec.balance,
        wallet_balance=account.cash,
        realised=account.realised,
        fees=account.fees,
        funding=account.funding,
        unrealised=unrealised,
        equity=equity,
        order_margin=order_margin,
        position_margin=position_margin,
        maintenance_margin=maintenance,
        available=equity - position_margin - order_margin - locked,
        traded=account.traded,
        insurance=account.insurance,
        locked=locked,
        coins=tuple(
            view for stake in account.stakes.values() if (view := stake.coin_view()) is not None
        ),
    )


def _stop_price(stake: Stake, kind: StopKind) -> Decimal | None:
    live = stake.stops.get(kind)
    if live is None or live.record.trigger is None:
        return None
    return stake.contract.instrument.ticks_to_price(live.record.trigger.price_ticks)


def _trailing_distance(stake: Stake) -> Decimal | None:
    live = stake.stops.get(StopKind.TRAILING_STOP)
    trigger = None if live is None else live.record.trigger
    if trigger is None or trigger.trail is None:
        return None
    return stake.contract.instrument.ticks_to_price(trigger.trail.distance_ticks)


def _break_even(stake: Stake) -> Decimal | None:
    # (entry * qty - realised) / (qty - |qty| * closing rate), qty signed.
    position = stake.position
    if not position.lots:
        return None
    sign = 1 if position.lots > 0 else -1
    size = stake.contract.instrument.lots_to_qty(abs(position.lots))
    rate = max(stake.taker_rate, _LEAST_BREAK_EVEN_RATE)
    value = position.entry_value * sign - position.session_realised
    return money(value / (size * sign - size * rate))
