"""The inside of an exchange: how its order flow is wired together."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from itertools import count

from trading_system.simulation.accounts.account import Account
from trading_system.simulation.aftermath import Aftermath, AftermathParts
from trading_system.simulation.contracts import Contract
from trading_system.simulation.entry import OrderEntry
from trading_system.simulation.house import HouseFlow
from trading_system.simulation.identifiers import Identifiers
from trading_system.simulation.liquidation import Liquidation, LiquidationParts
from trading_system.simulation.settlement import Settlement
from trading_system.simulation.spot_entry import SpotEntry
from trading_system.simulation.spot_settlement import SpotIds
from trading_system.simulation.steps import MatchingStep
from trading_system.simulation.stops import PositionStops
from trading_system.simulation.triggers import Triggers


@dataclass(frozen=True, slots=True, kw_only=True)
class ExchangeParts:
    """What an exchange consists of; outside it only the state file may change any of it."""

    contracts: Mapping[str, Contract]
    accounts: Mapping[int, Account]
    settlement: Settlement
    entry: OrderEntry
    spot: SpotEntry
    stops: PositionStops
    triggers: Triggers
    house: HouseFlow
    liquidation: Liquidation
    aftermath: Aftermath


def parts_of(
    contracts: Mapping[str, Contract],
    accounts: Mapping[int, Account],
    *,
    seed: int,
    tell: Callable[[MatchingStep], None],
) -> ExchangeParts:
    """Return the parts of an exchange that lists ``contracts`` for ``accounts``.

    Parameters
    ----------
    seed : int
        Decides all ids.
    tell : callable
        Tells the listener a finished step.
    """
    identifiers, spot_ids, book_ids = Identifiers(seed), SpotIds(seed), count(1)
    settlement = Settlement(identifiers, spot_ids=spot_ids)
    triggers = Triggers(settlement)
    entry = OrderEntry(settlement, triggers=triggers, identifiers=identifiers, book_ids=book_ids)
    spot = SpotEntry(settlement, entry=entry, triggers=triggers, ids=spot_ids)
    stops = PositionStops(settlement, triggers=triggers, identifiers=identifiers)
    house = HouseFlow(settlement, accounts=accounts.values(), book_ids=book_ids)
    liquidation = Liquidation(
        LiquidationParts(
            settlement=settlement,
            entry=entry,
            stops=stops,
            triggers=triggers,
            identifiers=identifiers,
        ),
        tell=tell,
    )
    aftermath = Aftermath(
        AftermathParts(
            contracts=contracts.values(),
            accounts=accounts.values(),
            entry=entry,
            spot=spot,
            stops=stops,
            triggers=triggers,
            liquidation=liquidation,
        ),
        tell=tell,
    )
    return ExchangeParts(
        contracts=contracts,
        accounts=accounts,
        settlement=settlement,
        entry=entry,
        spot=spot,
        stops=stops,
        triggers=triggers,
        house=house,
        liquidation=liquidation,
        aftermath=aftermath,
    )
