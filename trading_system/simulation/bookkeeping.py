"""What is kept of fills, funding and insurance: executions, ledger rows and closed profits."""

from __future__ import annotations

from decimal import Decimal

from trading_system.domain.orders import OrderType, Side
from trading_system.simulation.accounts.account import Account, LiveOrder, Stake
from trading_system.simulation.accounts.positions import PositionChange
from trading_system.simulation.contracts import Contract
from trading_system.simulation.identifiers import Identifiers
from trading_system.simulation.records import (
    BUST_TRADE,
    CREATED_BY_USER,
    ClosedPnlRecord,
    ExecutionRecord,
    LedgerEntry,
    OrderRecord,
)
from trading_system.simulation.steps import MatchingStep

_ZERO = Decimal(0)


class Bookkeeping:
    """Writes the histories of contracts; spot keeps its own.

    Parameters
    ----------
    identifiers : Identifiers
        Source of execution and ledger ids.
    """

    def __init__(self, identifiers: Identifiers) -> None:
        self._identifiers = identifiers

    def note_fill(
        self,
        live: LiveOrder,
        lots: int,
        *,
        price_ticks: int,
        is_maker: bool,
        change: PositionChange,
        step: MatchingStep,
    ) -> None:
        """Keep a fill that the wallet has been credited with as execution and ledger row."""
        record, account, contract = live.record, live.account, live.stake.contract
        execution = ExecutionRecord(
            exec_id=self._identifiers.uuid(),
            order_id=record.order_id,
            link_id=record.link_id,
            account_id=record.account_id,
            symbol=record.symbol,
            position_idx=record.position_idx,
            side=record.side,
            order_type=record.order_type,
            order_price_ticks=record.price_ticks,
            order_lots=record.lots,
            leaves_lots=record.leaves_lots,
            price=contract.instrument.ticks_to_price(price_ticks),
            lots=lots,
            value=contract.unit * (price_ticks * lots),
            fee=change.fee,
            fee_rate=account.maker_rate if is_maker else account.taker_rate,
            realised=change.realised,
            closed_lots=change.closed_lots,
            is_maker=is_maker,
            mark_price=contract.mark,
            exec_type=_exec_type(record),
            created_by=record.created_by,
            time_ms=step.now_ms,
            sequence=contract.book.sequence,
            stop_kind=None if record.trigger is None else record.trigger.kind,
        )
        account.histories.executions.append(execution)
        account.histories.ledger.append(
            self._ledger_entry(
                account, live.stake, execution, realised=change.realised, funding=_ZERO
            )
        )
        step.add_execution(execution)

    def note_closed(self, live: LiveOrder, change: PositionChange, step: MatchingStep) -> None:
        """Add what a fill closed to the record of its order."""
        record, histories = live.record, live.account.histories
        before = histories.closed_pnl(record.order_id)
        histories.put_closed_pnl(
            ClosedPnlRecord(
                account_id=record.account_id,
                symbol=record.symbol,
                order_id=record.order_id,
                side=record.side,
                order_type=record.order_type,
                order_lots=record.lots,
                order_price_ticks=record.price_ticks,
                closed_lots=change.closed_lots + (before.closed_lots if before else 0),
                entry_value=change.entry_value + (before.entry_value if before else 0),
                exit_value=change.exit_value + (before.exit_value if before else 0),
                open_fee=change.open_fee + (before.open_fee if before else 0),
                close_fee=change.close_fee + (before.close_fee if before else 0),
                closed_pnl=change.net + (before.closed_pnl if before else 0),
                fill_count=1 + (before.fill_count if before else 0),
                leverage=live.stake.leverage,
                exec_type=_exec_type(record),
                created_ms=before.created_ms if before else step.now_ms,
                updated_ms=step.now_ms,
            )
        )

    def note_funding(
        self,
        account: Account,
        stake: Stake,
        *,
        side: Side,
        rate: Decimal,
        received: Decimal,
        step: MatchingStep,
    ) -> None:
        """Keep a funding payment as execution and ledger row."""
        contract, position = stake.contract, stake.position
        execution = ExecutionRecord(
            exec_id=self._identifiers.uuid(),
            order_id=self._identifiers.uuid(),
            link_id="",
            account_id=account.account_id,
            symbol=contract.symbol,
            position_idx=stake.position_idx,
            side=side,
            order_type=OrderType.MARKET,
            order_price_ticks=0,
            order_lots=0,
            leaves_lots=0,
            price=contract.mark,
            lots=abs(position.lots),
            value=contract.value(abs(position.lots)),
            fee=-received,
            fee_rate=rate,
            realised=_ZERO,
            closed_lots=0,
            is_maker=False,
            mark_price=contract.mark,
            exec_type="Funding",
            time_ms=step.now_ms,
            sequence=contract.book.sequence,
        )
        account.histories.executions.append(execution)
        account.histories.ledger.append(
            self._ledger_entry(account, stake, execution, realised=_ZERO, funding=received)
        )
        step.add_execution(execution)

    def note_insurance(
        self, account: Account, contract: Contract, *, amount: Decimal, step: MatchingStep
    ) -> None:
        """Keep what the insurance fund paid as ledger row."""
        account.histories.ledger.append(
            LedgerEntry(
                entry_id=self._identifiers.uuid(),
                account_id=account.account_id,
                symbol=contract.symbol,
                entry_type="LIQUIDATION",
                side=None,
                lots=0,
                position_lots_after=0,
                price=_ZERO,
                funding=_ZERO,
                fee=_ZERO,
                cash_flow=amount,
                change=amount,
                balance_after=account.cash,
                fee_rate=_ZERO,
                order_id="",
                link_id="",
                trade_id="",
                time_ms=step.now_ms,
            )
        )

    def _ledger_entry(
        self,
        account: Account,
        stake: Stake,
        execution: ExecutionRecord,
        *,
        realised: Decimal,
        funding: Decimal,
    ) -> LedgerEntry:
        is_trade = execution.exec_type != "Funding"
        fee = execution.fee if is_trade else _ZERO
        return LedgerEntry(
            entry_id=self._identifiers.uuid(),
            account_id=account.account_id,
            symbol=execution.symbol,
            entry_type="TRADE" if is_trade else "SETTLEMENT",
            side=execution.side,
            lots=execution.lots,
            position_lots_after=stake.position.lots,
            price=execution.price,
            funding=funding,
            fee=fee,
            cash_flow=realised,
            change=realised + funding - fee,
            balance_after=account.cash,
            fee_rate=execution.fee_rate,
            order_id=execution.order_id,
            link_id=execution.link_id,
            trade_id=execution.exec_id,
            time_ms=execution.time_ms,
        )


def _exec_type(record: OrderRecord) -> str:
    return "Trade" if record.created_by == CREATED_BY_USER else BUST_TRADE
