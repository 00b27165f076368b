"""What a fill in a spot pair changes: two balances, the order, an execution, two ledger rows."""

from __future__ import annotations

from decimal import Decimal
from itertools import count

from trading_system.domain.orders import Side
from trading_system.simulation.accounts.account import LiveOrder
from trading_system.simulation.accounts.holdings import Holding
from trading_system.simulation.contracts import Contract
from trading_system.simulation.identifiers import Identifiers
from trading_system.simulation.records import ExecutionRecord, LedgerEntry
from trading_system.simulation.steps import MatchingStep

_FIRST_NUMBER = 2_290_000_000_000_000_000
_NUMBERS_PER_SEED = 1_000_000_000_000
_SEEDS = 6_000_000
_LEDGER_SEEDS = 1 << 64
_ZERO = Decimal(0)


class SpotIds:
    """Ids of spot orders, trades and executions: decimal numbers, unlike those of contracts.

    Parameters
    ----------
    seed : int
        Same seed, same ids in the same order; another seed gives other ids.
    """

    def __init__(self, seed: int) -> None:
        self._numbers = count(_FIRST_NUMBER + seed % _SEEDS * _NUMBERS_PER_SEED)
        # Far from every seed of the contracts' ids.
        self._uuids = Identifiers(seed + _LEDGER_SEEDS)

    def number(self) -> str:
        """Return the next decimal id."""
        return str(next(self._numbers))

    def uuid(self) -> str:
        """Return the next id of a ledger row."""
        return self._uuids.uuid()


def settle_fill(
    live: LiveOrder,
    holding: Holding,
    lots: int,
    *,
    price_ticks: int,
    is_maker: bool,
    step: MatchingStep,
    ids: SpotIds,
) -> None:
    """Move the coins of one fill and remember it; the order's state is left to the caller.

    The fee is taken out of what the trade brings: base coin when buying, quote when selling.
    """
    record, account, contract = live.record, live.account, holding.contract
    is_buy = record.side is Side.BUY
    qty = contract.instrument.lots_to_qty(lots)
    value = contract.unit * (price_ticks * lots)
    fee = (qty if is_buy else value) * holding.rate(is_maker=is_maker)
    if is_buy:
        account.credit(traded=-value)
        holding.balance += qty - fee
    else:
        account.credit(traded=value, fee=fee)
        holding.balance -= qty
    account.take(live, lots)
    record.cum_lots += lots
    record.cum_value += value
    record.cum_fee += fee
    holding.position.sequence = contract.book.sequence
    execution = _execution(
        live, holding, lots, price_ticks=price_ticks, is_maker=is_maker, fee=fee, step=step, ids=ids
    )
    account.histories.executions.append(execution)
    _remember(live, holding, execution, qty=qty, ids=ids)
    step.add_execution(execution)


def print_id(contract: Contract, *, identifiers: Identifiers, ids: SpotIds) -> str:
    """Return the id of the next public trade; each category draws from a source of its own."""
    return ids.number() if contract.is_spot else identifiers.uuid()


def _execution(
    live: LiveOrder,
    holding: Holding,
    lots: int,
    *,
    price_ticks: int,
    is_maker: bool,
    fee: Decimal,
    step: MatchingStep,
    ids: SpotIds,
) -> ExecutionRecord:
    record, contract = live.record, holding.contract
    return ExecutionRecord(
        exec_id=ids.number(),
        order_id=record.order_id,
        link_id=record.link_id,
        account_id=record.account_id,
        symbol=record.symbol,
        side=record.side,
        order_type=record.order_type,
        order_price_ticks=record.price_ticks,
        order_lots=record.lots,
        leaves_lots=record.leaves_lots,
        price=contract.instrument.ticks_to_price(price_ticks),
        lots=lots,
        value=contract.unit * (price_ticks * lots),
        fee=fee,
        fee_rate=holding.rate(is_maker=is_maker),
        realised=_ZERO,
        closed_lots=0,
        is_maker=is_maker,
        mark_price=contract.mark,
        exec_type="Trade",
        time_ms=step.now_ms,
        sequence=contract.book.sequence,
        stop_kind=None if record.trigger is None else record.trigger.kind,
    )


def _remember(
    live: LiveOrder, holding: Holding, execution: ExecutionRecord, *, qty: Decimal, ids: SpotIds
) -> None:
    account, instrument = live.account, holding.contract.instrument
    sign = execution.side.sign
    is_buy = execution.side is Side.BUY
    moves = (
        (
            instrument.quote_coin,
            -sign * execution.value,
            _ZERO if is_buy else execution.fee,
            account.cash,
        ),
        (instrument.base_coin, sign * qty, execution.fee if is_buy else _ZERO, holding.balance),
    )
    for coin, flow, fee, balance in moves:
        account.histories.ledger.append(
            LedgerEntry(
                entry_id=ids.uuid(),
                account_id=account.account_id,
                symbol=execution.symbol,
                entry_type="TRADE",
                side=execution.side,
                lots=execution.lots,
                position_lots_after=0,
                price=execution.price,
                funding=_ZERO,
                fee=fee,
                cash_flow=flow,
                change=flow - fee,
                balance_after=balance,
                fee_rate=execution.fee_rate,
                order_id=execution.order_id,
                link_id=execution.link_id,
                trade_id=execution.exec_id,
                time_ms=execution.time_ms,
                coin=coin,
            )
        )
