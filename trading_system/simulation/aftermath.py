"""What follows of itself from a step of the exchange: stops, the telling, liquidation."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass

from trading_system.simulation.accounts.account import Account
from trading_system.simulation.accounts.margins import health
from trading_system.simulation.contracts import Contract
from trading_system.simulation.entry import OrderEntry
from trading_system.simulation.liquidation import Liquidation
from trading_system.simulation.spot_entry import SpotEntry
from trading_system.simulation.steps import MatchingStep
from trading_system.simulation.stops import PositionStops
from trading_system.simulation.triggers import Triggers


@dataclass(frozen=True, slots=True, kw_only=True)
class AftermathParts:
    """The order flow that an aftermath works with."""

    contracts: Collection[Contract]
    accounts: Collection[Account]
    entry: OrderEntry
    spot: SpotEntry
    stops: PositionStops
    triggers: Triggers
    liquidation: Liquidation


class Aftermath:
    """Ends every step: stops follow positions, the listener is told, stops fire, accounts close.

    Parameters
    ----------
    parts : AftermathParts
        The exchange's order flow.
    tell : callable
        Tells the listener a finished step.
    """

    def __init__(self, parts: AftermathParts, *, tell: Callable[[MatchingStep], None]) -> None:
        self._contracts = parts.contracts
        self._accounts = parts.accounts
        self._entry = parts.entry
        self._spot = parts.spot
        self._stops = parts.stops
        self._triggers = parts.triggers
        self._liquidation = parts.liquidation
        self._tell = tell

    def conclude(self, contract: Contract, step: MatchingStep) -> None:
        """Tell a step in ``contract`` and do what its trades demand."""
        # Stops follow the positions of a step before it is told, and fire in steps of their own.
        self._follow(contract, step)
        self._tell(step)
        self.fire_stops(contract, step.now_ms)
        if step.account_ids:
            self.liquidate(step.now_ms)

    def liquidate(self, now_ms: int) -> None:
        """Close the positions of every account that has become exhausted."""
        # The trades of a liquidation may exhaust their other side and fire stops; every run
        # leaves its account with fewer positions or healthy, so this ends.
        while (account := self._exhausted()) is not None:
            self._liquidation.run(account, now_ms=now_ms)
            for contract in self._contracts:
                self.fire_stops(contract, now_ms)

    def fire_stops(self, contract: Contract, now_ms: int) -> None:
        """Send the orders of every stop in ``contract`` whose price has been reached."""
        # A stop's own trades may reach further stops; each fires once, so this ends.
        while (live := self._triggers.due(contract)) is not None:
            step = MatchingStep(now_ms)
            self._triggers.release(live, step)
            self._tell(step)
            step = MatchingStep(now_ms)
            (self._spot if contract.is_spot else self._entry).send(live, step)
            self._follow(contract, step)
            self._tell(step)

    def _exhausted(self) -> Account | None:
        return next((each for each in self._accounts if health(each).is_exhausted), None)

    def _follow(self, contract: Contract, step: MatchingStep) -> None:
        if contract.is_spot:
            self._spot.follow(step)
        else:
            self._stops.follow(contract, step)
