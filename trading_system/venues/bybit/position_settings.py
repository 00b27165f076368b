"""Settings of positions and account: stops, leverage, position mode, cancel on disconnect."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final

import msgspec

from trading_system.domain.errors import VenueRejected
from trading_system.domain.orders import TrailingStop
from trading_system.venues.bybit import wire
from trading_system.venues.bybit.account_queries import AccountQueries, PositionMode
from trading_system.venues.bybit.order_bodies import stop_body, trailing_body
from trading_system.venues.bybit.rest import PRIORITY_EXIT, PRIORITY_ORDER

DCP_TOPIC: Final = "dcp.future"
"""A connection that follows this topic arms the cancellation of derivatives on disconnect."""

_DCP_PRODUCT = "DERIVATIVES"
_BAD_PARAMETER = 10001


@dataclass(frozen=True, slots=True, kw_only=True)
class CancelOnDisconnect:
    """Whether the venue cancels this account's orders when all its connections are lost.

    Parameters
    ----------
    window_s : int or None
        Seconds without connection after which it does; None where it does not.
    """

    window_s: int | None

    @property
    def is_armed(self) -> bool:
        """Whether a lost connection leads to cancellation."""
        return self.window_s is not None


NOT_OFFERED: Final = CancelOnDisconnect(window_s=None)
"""What an account has that the venue does not offer this to."""


class _DcpRow(msgspec.Struct, frozen=True):
    product: str = ""
    dcpStatus: str = ""  # noqa: N815 - the venue's spelling
    timeWindow: str | int = "0"  # noqa: N815 - the venue's spelling


class _DcpInfo(msgspec.Struct, frozen=True):
    dcpInfos: list[_DcpRow] | None = None  # noqa: N815 - the venue's spelling


_DCP = msgspec.json.Decoder(_DcpInfo)


class PositionSettings(AccountQueries):
    """Account queries plus what can be set for positions.

    Attributes
    ----------
    hedged : frozenset[str]
        Symbols in hedge mode, known after :meth:`detect_position_modes`.
    """

    hedged: frozenset[str] = frozenset()

    async def detect_position_modes(self, symbols: Sequence[str]) -> Mapping[str, PositionMode]:
        """Read the position mode of each symbol and send orders accordingly; nothing is switched.

        Raises
        ------
        VenueError
            If the venue did not answer.
        """
        modes = {symbol: await self.position_mode(symbol) for symbol in symbols}
        self.hedged = frozenset(s for s, mode in modes.items() if mode is PositionMode.HEDGE)
        return modes

    async def protect(
        self, symbol: str, stop_price: Decimal | None, *, timeout_s: float, position_idx: int = 0
    ) -> None:
        """Let a stop loss for the whole position rest at the venue; None removes it.

        It triggers on the mark price. A stop that is there already, or the removal of one from a
        flat position, counts as done.
        """
        body = stop_body(symbol, stop_price, position_idx=position_idx)
        await self._set_stop(body, is_removal=stop_price is None, timeout_s=timeout_s)

    async def trail(
        self, symbol: str, stop: TrailingStop | None, *, timeout_s: float, position_idx: int = 0
    ) -> None:
        """Let a trailing stop for the whole position rest at the venue; None removes it.

        One that is there already, or the removal of one from a flat position, counts as done.
        """
        body = trailing_body(symbol, stop, position_idx=position_idx)
        await self._set_stop(body, is_removal=stop is None, timeout_s=timeout_s)

    async def set_leverage(self, symbol: str, leverage: Decimal, *, timeout_s: float) -> None:
        """Set the leverage of both directions; an unchanged one counts as done."""
        text = format(leverage, "f")
        body = {
            "category": "linear",
            "symbol": symbol,
            "buyLeverage": text,
            "sellLeverage": text,
        }
        await self._rest.post(
            "/v5/position/set-leverage", body, timeout_s=timeout_s, priority=PRIORITY_ORDER
        )

    async def cancel_on_disconnect(self) -> CancelOnDisconnect:
        """Return whether the venue cancels derivatives' orders on a disconnect.

        A venue that does not offer this, or not to this account, does not.
        """
        try:
            raw = await self._get("/v5/account/query-dcp-info", {}, signed=True)
        except VenueRejected:
            return NOT_OFFERED
        rows = wire.decode(raw, _DCP, what="cancel-on-disconnect information").dcpInfos or []
        armed = [
            int(wire.needed(str(row.timeWindow), "cancel-on-disconnect window"))
            for row in rows
            if row.product == _DCP_PRODUCT and row.dcpStatus.upper() == "ON"
        ]
        return CancelOnDisconnect(window_s=armed[0] if armed else None)

    async def set_disconnect_window(self, window_s: int, *, timeout_s: float) -> None:
        """Ask for cancellation after ``window_s`` (3 to 300) seconds without connection.

        It takes about ten seconds to be in force.

        Raises
        ------
        VenueRejected
            If the account has no such right: only institutional ones do.
        """
        body = {"product": _DCP_PRODUCT, "timeWindow": window_s}
        await self._rest.post(
            "/v5/order/disconnected-cancel-all", body, timeout_s=timeout_s, priority=PRIORITY_ORDER
        )

    async def _set_stop(
        self, body: Mapping[str, Any], *, is_removal: bool, timeout_s: float
    ) -> None:
        try:
            await self._rest.post(
                "/v5/position/trading-stop", body, timeout_s=timeout_s, priority=PRIORITY_EXIT
            )
        except VenueRejected as e:
            if is_removal and e.code == _BAD_PARAMETER and await self._is_flat(body):
                return  # a flat position has no stop
            raise

    async def _is_flat(self, body: Mapping[str, Any]) -> bool:
        rows = await self._position_rows(body["symbol"])
        held = [wire.position_report(row, self.drift) for row in rows]
        index = body["positionIdx"]
        return not any(
            report.quantity
            for row, report in zip(rows, held, strict=True)
            if row.positionIdx == index
        )
