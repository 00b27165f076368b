"""From a state file into an exchange, and from an exchange into a state file."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from typing import TypeVar

import msgspec

from trading_system.simulation.accounts.account import Account, LiveOrder
from trading_system.simulation.accounts.holdings import Holding
from trading_system.simulation.exchange import Exchange
from trading_system.simulation.records import OrderRecord, OrderState
from trading_system.simulation.state.entries import (
    AccountState,
    Entry,
    Head,
    Links,
    StakeState,
    Step,
    Tick,
    account_state,
    to_line,
)
from trading_system.simulation.state.saved import SavedAccount, SavedVenue
from trading_system.simulation.steps import MatchingStep

_PER_LINE = 50
_PAIRS_PER_LINE = 500
_SEQUENCE_JUMP = 1_000_000

Item = TypeVar("Item")


def restore(exchange: Exchange, saved: SavedVenue, *, now_ms: int) -> None:
    """Give a fresh exchange, whose market has made its first book, all that was saved.

    Positions, wallets and histories come back as they were. Open orders join the book behind
    everybody at their price, in the order they were created; one that the market has meanwhile
    passed trades at once, or is cancelled if it is post-only. Stops are armed again.
    """
    for symbol, sequence in saved.sequences.items():
        if symbol in exchange.instruments:
            # Behind whatever was published after the last note of it.
            exchange.book(symbol).sequence += sequence + _SEQUENCE_JUMP
    open_orders: list[tuple[Account, OrderRecord]] = []
    for account_id, memory in saved.accounts.items():
        account = exchange.parts.accounts[account_id]
        _restore_account(exchange, account, memory)
        open_orders += [(account, order) for order in memory.open_orders.values()]
    for account, order in sorted(open_orders, key=lambda item: item[1].created_ms):
        _readmit(exchange, account, order, now_ms=now_ms)


def _restore_account(exchange: Exchange, account: Account, memory: SavedAccount) -> None:
    if memory.wallet is not None:
        _restore_wallet(account, memory.wallet)
    for state in memory.stakes.values():
        if state.symbol in exchange.instruments:
            _restore_stake(exchange, account, state)
    _restore_histories(exchange, account, memory)


def _restore_wallet(account: Account, wallet: AccountState) -> None:
    account.cash = wallet.cash
    account.realised = wallet.realised
    account.fees = wallet.fees
    account.funding = wallet.funding
    account.traded = wallet.traded
    account.insurance = wallet.insurance
    account.modes.by_key.update(wallet.modes)
    account.modes.by_coin.update(wallet.coin_modes)
    account.dcp_windows_s.update(wallet.dcp_windows_s)


def _restore_histories(exchange: Exchange, account: Account, memory: SavedAccount) -> None:
    histories = account.histories
    for order in memory.closed_orders.values():
        if order.symbol in exchange.instruments:
            histories.orders.add(order)
    for link_id, order_id in memory.links.items():
        histories.links.add(link_id, order_id)
    listed = exchange.instruments
    histories.executions.extend(each for each in memory.executions if each.symbol in listed)
    for entry in memory.ledger:
        if entry.symbol in listed:
            histories.ledger.append(entry)
    for record in memory.closed_pnls.values():
        if record.symbol in listed:
            histories.put_closed_pnl(record)


def _restore_stake(exchange: Exchange, account: Account, state: StakeState) -> None:
    contract = exchange.parts.contracts[state.symbol]
    stake = account.stake(contract, state.position_idx)
    if isinstance(stake, Holding):
        stake.balance = state.balance
    stake.leverage = state.leverage
    stake.created_ms, stake.updated_ms = state.created_ms, state.updated_ms
    position = stake.position
    position.lots = state.lots
    position.entry_value = state.entry_value
    position.open_fee = state.open_fee
    position.session_realised = state.session_realised
    position.cumulative_realised = state.cumulative_realised
    position.opened_ms = state.opened_ms
    position.sequence = state.sequence


def _readmit(exchange: Exchange, account: Account, order: OrderRecord, *, now_ms: int) -> None:
    parts = exchange.parts
    contract = parts.contracts[order.symbol]
    live = LiveOrder(order, account, account.stake(contract, order.position_idx))
    step = MatchingStep(now_ms)
    if order.state is OrderState.UNTRIGGERED:
        parts.triggers.readmit(live)
        step.touch_order(order)
    elif order.state is OrderState.TRIGGERED:
        (parts.spot if contract.is_spot else parts.entry).send(live, step)
    else:
        updated_ms, filled = order.updated_ms, order.cum_lots
        parts.entry.enter(live, step)
        if not order.state.is_final and order.cum_lots == filled:
            order.updated_ms = updated_ms
    if contract.is_spot:
        parts.spot.follow(step)
    else:
        parts.stops.follow(contract, step)
    step.tell(exchange.listener)


def snapshot(exchange: Exchange, head: Head, *, now_ms: int) -> Iterator[bytes]:
    """Return the lines of a whole file.

    What can still change is read now; the rest, which is most, when the lines are taken. They may
    be taken in another thread.
    """
    accounts = exchange.parts.accounts.values()
    first = [to_line(head), to_line(tick(exchange, now_ms=now_ms))]
    histories = [_history(account) for account in accounts]
    last = [to_line(Step(accounts=[_present(account)])) for account in accounts]

    def lines() -> Iterator[bytes]:
        yield from first
        for history in histories:
            yield from map(to_line, history)
        yield from last

    return lines()


def tick(exchange: Exchange, *, now_ms: int) -> Tick:
    """Return the present time, mark prices and book sequences."""
    return Tick(
        now_ms=now_ms,
        marks={symbol: exchange.mark_price(symbol) for symbol in exchange.instruments},
        sequences={symbol: exchange.book(symbol).sequence for symbol in exchange.instruments},
    )


def _present(account: Account) -> AccountState:
    orders = [live.record for live in (*account.orders.values(), *account.stops.values())]
    orders.sort(key=lambda order: order.created_ms)
    return account_state(account, stakes=list(account.stakes.values()), orders=orders)


# Everything here is final: records that nobody changes any more, held in copies of their lists.
def _history(account: Account) -> Iterator[Entry]:
    histories = account.histories
    wallet = account_state(account)
    links = histories.links.pairs()
    orders = histories.orders.oldest_first()
    executions, ledger = list(histories.executions), list(histories.ledger)
    closed = histories.closed_pnls()

    def states() -> Iterator[AccountState]:
        for some in _split(orders, _PER_LINE):
            yield msgspec.structs.replace(wallet, orders=some)
        for fills in _split(executions, _PER_LINE):
            yield msgspec.structs.replace(wallet, executions=fills)
        for changes in _split(ledger, _PER_LINE):
            yield msgspec.structs.replace(wallet, ledger=changes)
        for closings in _split(closed, _PER_LINE):
            yield msgspec.structs.replace(wallet, closed_pnls=closings)

    pairs = (
        Links(account_id=account.account_id, pairs=some) for some in _split(links, _PAIRS_PER_LINE)
    )
    return chain(pairs, (Step(accounts=[state]) for state in states()))


def _split(items: list[Item], size: int) -> Iterator[list[Item]]:
    for start in range(0, len(items), size):
        yield items[start : start + size]
