"""The connection's traffic: requests and all of its streams together."""

import pytest
from bybit_rig import signer

from trading_system.config.settings import load_settings
from trading_system.live.access import Access
from trading_system.live.connection import VenueConnection
from trading_system.runtime.clock import ManualClock
from trading_system.venues.bybit.hosts import Endpoints
from trading_system.venues.bybit.streams import StreamCallbacks

QUIET = StreamCallbacks(
    on_frame=lambda _frame, _at: None, on_up=lambda: None, on_down=lambda _why: None
)


def connection(tmp_path, trade_ws):
    nowhere = tmp_path / "nothing"
    settings = load_settings(
        {"data_dir": str(tmp_path)}, environ={}, dotenv_path=nowhere, config_path=nowhere
    )
    ws = "ws://127.0.0.1:1"
    endpoints = Endpoints(rest="http://127.0.0.1:1", public_ws=ws, private_ws=ws, trade_ws=trade_ws)
    access = Access(endpoints=endpoints, signer=signer(), account="test-1")
    return VenueConnection(settings, access, clock=ManualClock())


@pytest.mark.parametrize(("trade_ws", "of_trade"), [("ws://127.0.0.1:1", 1), (None, 0)])
def test_traffic_adds_up_requests_and_every_stream_of_the_connection(tmp_path, trade_ws, of_trade):
    venue = connection(tmp_path, trade_ws)
    streams = [venue.private_stream(QUIET), venue.public_stream(["tickers.X"], QUIET)]
    assert (venue.traffic().bytes_received, venue.traffic().bytes_sent) == (0, 0)
    links = [stream._link for stream in (*streams, venue.trade) if stream is not None]
    for link, size in zip(links, (1_000, 20_000, 300_000), strict=False):
        link.bytes_received, link.bytes_sent = size, size // 1_000
    venue.transport._bytes_received, venue.transport._bytes_sent = 7, 5
    traffic = venue.traffic()
    assert traffic.bytes_received == 21_007 + 300_000 * of_trade
    assert traffic.bytes_sent == 26 + 300 * of_trade


@pytest.mark.parametrize("is_private", [True, False])
def test_a_log_in_that_came_too_late_puts_the_clock_in_doubt(tmp_path, is_private):
    venue = connection(tmp_path, "ws://127.0.0.1:1")
    stream = venue.private_stream(QUIET) if is_private else venue.trade
    stream._on_late()
    assert venue.rest.venue_clock.is_in_doubt
