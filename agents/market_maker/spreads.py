"""How far from the middle to quote: by the average true range, or after Avellaneda and Stoikov."""

from __future__ import annotations

import math
from typing import NamedTuple


class Stance(NamedTuple):
    """Where the quotes are centred and how far the first tier is from there.

    ``shift`` is what the centre is moved by, ``half_spread`` is not negative; quote currency.
    """

    shift: float
    half_spread: float


def atr_stance(
    atr: float, *, multiple: float, skew: float, inventory_share: float, least: float, most: float
) -> Stance:
    """Return the stance that follows the average true range.

    The half spread is ``multiple`` times the range, at least ``least``, at most ``most``; the
    centre moves by ``-skew`` half spreads at full inventory, linearly in between.

    Parameters
    ----------
    atr, least, most : float
        Quote currency, not negative. Where ``least`` is above ``most``, it wins.
    multiple, skew : float
        Dimensionless, not negative.
    inventory_share : float
        Signed inventory as a share of the largest; taken as -1 or 1 beyond that.
    """
    half = max(min(multiple * atr, most), least)
    share = max(-1.0, min(1.0, inventory_share))
    return Stance(-skew * share * half, half)


def reservation_price(
    price: float, *, inventory: float, risk_aversion: float, sigma: float, horizon_s: float
) -> float:
    """Return ``s - q gamma sigma² T``, the price at which the inventory is worth holding.

    Parameters
    ----------
    price : float
        Quote currency.
    inventory : float
        Signed, base currency.
    risk_aversion : float
        ``gamma``, per unit of quote currency, positive.
    sigma : float
        ``sigma``, quote currency per base unit and root of a second: price times relative
        volatility.
    horizon_s : float
        ``T``, seconds. The paper's ``T - t`` ends; a market that never closes keeps it constant.

    References
    ----------
    Avellaneda and Stoikov, High-frequency trading in a limit order book, 2008, eq. 29.
    """
    return price - inventory * risk_aversion * sigma * sigma * horizon_s


def optimal_spread(
    *, risk_aversion: float, sigma: float, horizon_s: float, decay: float, lot: float = 1.0
) -> float:
    """Return ``gamma lot sigma² T + 2/(gamma lot) ln(1 + gamma lot / k)``, from bid to ask.

    For ``gamma lot`` far below ``k`` the second part is ``2/k``. ``sigma``, ``horizon_s`` and
    ``risk_aversion`` as in :func:`reservation_price`.

    Parameters
    ----------
    decay : float
        ``k``, per unit of quote currency: fills at distance ``d`` arrive with ``A exp(-k d)``.
    lot : float
        ``lot``, size of one quote, base currency. The paper quotes one unit; with another size
        ``gamma lot`` takes the place of ``gamma``, so that the result has the unit of a price.

    References
    ----------
    Avellaneda and Stoikov 2008, eq. 30; the lot after Guéant, Optimal market making, 2017.
    """
    aversion = risk_aversion * lot
    ratio = aversion / decay
    arrivals = 2.0 / decay * (math.log1p(ratio) / ratio if ratio > 0 else 1.0)
    return aversion * sigma * sigma * horizon_s + arrivals
