"""How Bybit's streams are kept awake."""

from __future__ import annotations

from trading_system.venues.bybit.refusals import VENUE
from trading_system.venues.link import Heartbeat

HEARTBEAT = Heartbeat(venue=VENUE, ping='{"op":"ping"}')
"""A JSON ping on a beat; the answer is an ordinary control frame."""
