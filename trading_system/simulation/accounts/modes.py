"""Position modes of one account: one-way or hedged, by contract and by settlement coin."""

from __future__ import annotations

from trading_system.domain.instruments import Category
from trading_system.simulation.contracts import Contract
from trading_system.simulation.records import PositionMode

_ONE_WAY = (0,)
_HEDGE = (1, 2)


class PositionModes:
    """What an account has chosen; a contract's choice wins over its coin's, then one-way.

    Attributes
    ----------
    by_key, by_coin : dict
        Choices made so far, by listing key and by settlement coin.
    """

    def __init__(self) -> None:
        self.by_key: dict[str, PositionMode] = {}
        self.by_coin: dict[str, PositionMode] = {}

    def of(self, contract: Contract) -> PositionMode:
        """Return the mode of a contract; spot pairs are always one-way."""
        instrument = contract.instrument
        if instrument.category is Category.SPOT:
            return PositionMode.ONE_WAY
        chosen = self.by_key.get(contract.symbol) or self.by_coin.get(instrument.quote_coin)
        return chosen or PositionMode.ONE_WAY

    def indices(self, contract: Contract) -> tuple[int, ...]:
        """Return the position indices that exist in a contract now."""
        return _HEDGE if self.of(contract) is PositionMode.HEDGE else _ONE_WAY
