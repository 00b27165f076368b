"""The connection faults of the fault matrix, each as something done to the wires or the venue.

A case says how its fault is brought about, and measures when the system knew of it and when it
had recovered. What holds for all of them - nothing lost, nothing twice, no decision on a suspect
book - is checked by the runner after each.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from itertools import pairwise

from wire_proxy import Way, Weather, WireProxy
from wire_world import BTC, ETH, REQUEST_TIMEOUT_S, World

from trading_system.risk.limits import TradingState
from trading_system.simulation.faults.names import Fault
from trading_system.venues.bybit.order_ways import Way as OrderWay

STALE_S = 3.5
_LOOK_S = 0.6
_PRIVATE = "/v5/private"
_PUBLIC = "/v5/public/linear"
_CREATE = "/v5/trade/order.create"
_OUTAGE_S = 15.0
_SILENT_S = 10.0
_TRICKLE_S = 6.0
_SECOND_SOCKET_S = 0.1


@dataclass(frozen=True, slots=True, kw_only=True)
class Timing:
    """What one run of a case measured.

    Parameters
    ----------
    detected_s, recovered_s : float or None
        Seconds from the fault to its detection, and from its end to the recovery; None where it
        did not happen in time.
    broken : str
        A promise of the case's own that did not hold, empty if all did.
    note : str
        Further figures.
    """

    detected_s: float | None
    recovered_s: float | None
    broken: str = ""
    note: str = ""


Run = Callable[[World], Awaitable[Timing]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One fault.

    Parameters
    ----------
    number, name : str
        Of the fault matrix; a letter tells variants apart.
    how : str
        Where the fault comes from, by its name.
    detect_s, recover_s : float or None
        Bounds, seconds; None where there is nothing to notice.
    """

    number: str
    name: str
    how: str
    detect_s: float | None
    recover_s: float
    run: Run


CASES: dict[str, list[Case]] = {
    "streams": [],
    "silence": [],
    "outages": [],
    "orders": [],
    "rest": [],
}
"""Cases by the world that they share; a world's cases run one after the other."""


def _case(
    world: str,
    number: str,
    name: str,
    how: str,
    *,
    detect_s: float | None,
    recover_s: float,
) -> Callable[[Run], Run]:
    def add(run: Run) -> Run:
        case = Case(
            number=number,
            name=name,
            how=how,
            detect_s=detect_s,
            recover_s=recover_s,
            run=run,
        )
        CASES[world].append(case)
        return run

    return add


# --- market data ------------------------------------------------------------------------------


def _books_are_back(w: World) -> bool:
    return w.session.public.is_up and w.session.feed.fresh_books(1.0) == len(w.session.instruments)


@_case(
    "streams",
    "16",
    "public stream cut inside a frame",
    "proxy: cut-mid-frame",
    detect_s=0.1,
    recover_s=3.0,
)
async def cut_public(w: World) -> Timing:
    resets = w.public.resets
    w.public.cut()
    struck = await w.until(lambda: w.public.resets > resets, 5.0)
    w.oracle.expect_silence(grace_s=0.1)
    detected = await w.until(lambda: w.session.feed.fresh_books(STALE_S) == 0, 2.0)
    w.oracle.expect_data()
    recovered = await w.until(lambda: _books_are_back(w), 10.0)
    return Timing(
        detected_s=detected,
        recovered_s=recovered,
        broken="" if struck is not None else "the cut never came",
    )


@_case(
    "streams",
    "16b",
    "private stream reset",
    "proxy: reset",
    detect_s=0.1,
    recover_s=3.0,
)
async def reset_private(w: World) -> Timing:
    w.private.reset()
    detected = await w.until(lambda: w.session.engine.state is not TradingState.ACTIVE, 2.0)
    recovered = await w.until(lambda: w.session.engine.holds.get("venue") is None, 15.0)
    return Timing(detected_s=detected, recovered_s=recovered)


@_case(
    "streams",
    "17",
    "update lost, sequence gap",
    "venue: gap",
    detect_s=1.0,
    recover_s=3.0,
)
async def gap(w: World) -> Timing:
    feed = w.session.feed
    before = feed.gaps() + feed.doubts()["suspect_books"]
    await w.venue.arm(fault="gap", topic=f"orderbook.50.{BTC}")
    detected = await w.until(lambda: feed.gaps() + feed.doubts()["suspect_books"] > before, 5.0)
    recovered = await w.until(lambda: _books_are_back(w), 10.0)
    return Timing(detected_s=detected, recovered_s=recovered, note="from arming the fault")


@_case(
    "streams",
    "3",
    "order messages sent twice",
    "venue: duplicate",
    detect_s=None,
    recover_s=10.0,
)
async def duplicate_orders(w: World) -> Timing:
    return await _many_orders(w, fault="duplicate", topic="order*", path=_PRIVATE, count=None)


@_case(
    "streams",
    "4",
    "executions sent twice",
    "venue: duplicate",
    detect_s=None,
    recover_s=10.0,
)
async def duplicate_executions(w: World) -> Timing:
    return await _many_orders(w, fault="duplicate", topic="execution*", count=None)


@_case(
    "streams",
    "4b",
    "private messages out of order",
    "venue: reorder",
    detect_s=None,
    recover_s=10.0,
)
async def reorder(w: World) -> Timing:
    return await _many_orders(w, fault="reorder", topic="*", path=_PRIVATE, count=None)


@_case(
    "streams",
    "6",
    "fill before the answer",
    "venue: delay 500 ms",
    detect_s=None,
    recover_s=10.0,
)
async def late_answers(w: World) -> Timing:
    return await _many_orders(
        w, fault="delay", path=_CREATE, delay_ms=500, stage="reply", count=None
    )


async def _many_orders(w: World, **rule: object) -> Timing:
    """Send orders while the venue misbehaves on every message; all of them end as they should."""
    before = sum((await w.venue.struck()).values())
    await w.venue.arm(**rule)
    began = asyncio.get_running_loop().time()
    results = [await w.sent(side=side) for side in ("Buy", "Sell", "Buy", "Sell")]
    lasted = asyncio.get_running_loop().time() - began
    await w.venue.disarm()
    struck = sum((await w.venue.struck()).values()) - before
    filled = sum(result is not None and result["status"] == "filled" for result in results)
    return Timing(
        detected_s=None,
        recovered_s=lasted,
        broken="" if struck else "the fault never struck",
        note=f"{struck} strikes, {filled} of {len(results)} own orders filled",
    )


@_case(
    "streams",
    "18",
    "venue restart, books begin with u 1",
    "venue: restart 1 s",
    detect_s=0.5,
    recover_s=4.0,
)
async def restart(w: World) -> Timing:
    await w.venue.arm(fault="restart", duration_s=1.0)
    detected = await w.until(lambda: w.session.engine.state is TradingState.HALTED, 5.0)
    recovered = await w.until(lambda: _books_are_back(w), 30.0)
    return Timing(detected_s=detected, recovered_s=recovered, note="recovery includes 1 s away")


@_case(
    "streams",
    "19",
    "silent book, socket alive",
    "venue: stall",
    detect_s=STALE_S + _LOOK_S,
    recover_s=6.0,
)
async def stall(w: World) -> Timing:
    connects = w.session.public.connects
    await w.venue.arm(fault="stall", path=_PUBLIC)
    w.oracle.expect_silence(grace_s=STALE_S + _LOOK_S)
    detected = await w.until(lambda: w.session.feed.fresh_books(STALE_S) == 0, 8.0)
    reconnected = await w.until(lambda: w.session.public.connects > connects, 10.0)
    w.oracle.expect_data()
    recovered = await w.until(lambda: _books_are_back(w), 10.0)
    total = None if None in {reconnected, recovered} else (reconnected or 0) + (recovered or 0)
    return Timing(detected_s=detected, recovered_s=total, note="stale after 3.5 s by design")


@_case(
    "streams",
    "29b",
    "150 ms more on every wire",
    "proxy: latency",
    detect_s=None,
    recover_s=3.0,
)
async def latency(w: World) -> Timing:
    return await _weather(w, Weather(fault=Fault.LATENCY, delay_s=0.15))


@_case(
    "streams",
    "29c",
    "every wire in segments of 64 bytes",
    "proxy: slice",
    detect_s=None,
    recover_s=3.0,
)
async def sliced(w: World) -> Timing:
    return await _weather(w, Weather(fault=Fault.SLICE, piece_bytes=64))


async def _weather(w: World, weather: Weather) -> Timing:
    """Trade in bad weather that breaks nothing."""
    session = w.session
    connects = (session.public.connects, session.private.connects)
    for proxy in w.proxies:
        proxy.begin(weather)
    results = [await w.sent(side=side) for side in ("Buy", "Sell")]
    for proxy in w.proxies:
        proxy.heal()
    recovered = await w.until(w.is_well, 10.0)
    is_whole = connects == (session.public.connects, session.private.connects)
    filled = sum(result is not None and result["status"] == "filled" for result in results)
    return Timing(
        detected_s=None,
        recovered_s=recovered,
        broken="" if is_whole else "a stream was reconnected",
        note=f"{filled} of {len(results)} own orders filled",
    )


# --- silence ----------------------------------------------------------------------------------

_HOLE = Weather(fault=Fault.BLACKHOLE, spares_new=True)


@_case(
    "silence",
    "21",
    "public connection half-open",
    "proxy: blackhole",
    detect_s=STALE_S + _LOOK_S,
    recover_s=6.0,
)
async def public_half_open(w: World) -> Timing:
    connects = w.session.public.connects
    w.oracle.expect_silence(grace_s=STALE_S + _LOOK_S)
    w.public.begin(_HOLE)
    detected = await w.until(lambda: w.session.feed.fresh_books(STALE_S) == 0, 10.0)
    recovered = await w.until(
        lambda: w.session.public.connects > connects and _books_are_back(w), 30.0
    )
    w.oracle.expect_data()
    w.public.heal()
    return Timing(detected_s=detected, recovered_s=recovered)


@_case(
    "silence",
    "21b",
    "private connection half-open",
    "proxy: blackhole",
    detect_s=30.0,
    recover_s=10.0,
)
async def private_half_open(w: World) -> Timing:
    w.private.begin(_HOLE)
    detected = await w.until(lambda: w.session.engine.state is not TradingState.ACTIVE, 35.0)
    recovered = await w.until(lambda: w.session.engine.holds.get("venue") is None, 30.0)
    w.private.heal()
    return Timing(detected_s=detected, recovered_s=recovered)


@_case(
    "silence",
    "21c",
    "trade connection half-open",
    "proxy: blackhole",
    detect_s=30.0,
    recover_s=15.0,
)
async def trade_half_open(w: World) -> Timing:
    w.trade.begin(_HOLE)
    detected = await w.until(lambda: w.session.traffic.order_ways.preferred is OrderWay.REST, 35.0)
    result = await w.order()
    recovered = await w.until(
        lambda: bool(w.session.traffic.trade_is_up) and not w.session.engine.unknown_orders, 40.0
    )
    w.trade.heal()
    return Timing(
        detected_s=detected,
        recovered_s=recovered,
        note=f"an order meanwhile: {'denied or failed' if result is None else result['status']}",
    )


# --- outages ----------------------------------------------------------------------------------


def _down(*proxies: WireProxy) -> None:
    for proxy in proxies:
        proxy.begin(Weather(fault=Fault.REFUSE))
        proxy.reset()


def _heal(*proxies: WireProxy) -> None:
    for proxy in proxies:
        proxy.heal()


@_case(
    "outages",
    "25",
    "reconnect storm",
    "proxy: refuse for 20 s",
    detect_s=0.5,
    recover_s=60.0,
)
async def storm(w: World) -> Timing:
    w.oracle.expect_silence(grace_s=0.1)
    _down(w.public)
    detected = await w.until(lambda: w.session.feed.fresh_books(STALE_S) == 0, 2.0)
    begun = len(w.public.attempts_ns)
    await asyncio.sleep(20.0)
    stamps = w.public.attempts_ns[begun:]
    w.oracle.expect_data()
    _heal(w.public)
    recovered = await w.until(lambda: _books_are_back(w), 60.0)
    # The HTTP client opens a second socket at once where the first was reset unanswered.
    gaps = [(b - a) / 1e9 for a, b in pairwise(stamps)]
    shortest = min((gap_s for gap_s in gaps if gap_s > _SECOND_SOCKET_S), default=math.inf)
    is_storm = len(stamps) > 20 or shortest < 0.9
    return Timing(
        detected_s=detected,
        recovered_s=recovered,
        broken="more than one attempt a second" if is_storm else "",
        note=f"{len(stamps)} sockets, attempts at least {shortest:.2f} s apart",
    )


@_case(
    "outages",
    "22",
    "private stream down, REST up",
    "proxy: reset, refuse",
    detect_s=0.5,
    recover_s=60.0,
)
async def private_down(w: World) -> Timing:
    polls = w.session.outage.polls
    _down(w.private)
    detected = await w.until(lambda: w.session.engine.state is TradingState.REDUCING, 5.0)
    polled = await w.until(lambda: w.session.outage.polls > polls, 10.0)
    await asyncio.sleep(4.0)
    _heal(w.private)
    recovered = await w.until(lambda: w.session.engine.holds.get("venue") is None, 60.0)
    is_late = polled is None or polled > 5.0
    return Timing(
        detected_s=detected,
        recovered_s=recovered,
        broken="polling began late" if is_late else "",
        note=f"polling after {polled or 0:.2f} s",
    )


@_case(
    "outages",
    "23",
    "REST down, streams up",
    "proxy: reset, refuse",
    detect_s=15.0,
    recover_s=60.0,
)
async def rest_down(w: World) -> Timing:
    session = w.session
    price = str(round(float(session.feed.market_view(ETH).mid or 0) * 0.996, 1))
    resting = await w.sent(side="Buy", order_type="Limit", price=price)
    _down(w.rest)
    cancelled: float | None = None
    if resting is not None:
        link_id = str(resting["link_id"])
        await session.engine.cancel(ETH, link_id, timeout_s=REQUEST_TIMEOUT_S)
        cancelled = await w.until(
            lambda: all(order.intent.link_id != link_id for order in session.engine.live_orders),
            5.0,
        )
    detected = await w.until(lambda: session.engine.state is not TradingState.ACTIVE, 60.0)
    why = "; ".join(session.engine.holds.reasons)
    _heal(w.rest)
    recovered = await w.until(lambda: session.engine.state is TradingState.ACTIVE, 60.0)
    return Timing(
        detected_s=detected,
        recovered_s=recovered,
        broken="" if cancelled is not None else "no cancel by the trade stream",
        note=f"cancel by the trade stream {cancelled or 0:.2f} s; held by {why}",
    )


@_case(
    "outages",
    "24",
    "everything down for 15 s (matrix: 10 min)",
    "proxy: reset, refuse",
    detect_s=0.5,
    recover_s=60.0,
)
async def all_down(w: World) -> Timing:
    w.states.clear()
    w.oracle.expect_silence(grace_s=0.1)
    _down(*w.proxies)
    detected = await w.until(lambda: w.session.engine.state is TradingState.HALTED, 5.0)
    await asyncio.sleep(_OUTAGE_S)
    w.oracle.expect_data()
    _heal(*w.proxies)
    recovered = await w.until(lambda: w.session.engine.state is TradingState.ACTIVE, 90.0)
    is_blind = any(state is TradingState.ACTIVE and not agree for state, agree in w.states)
    return Timing(
        detected_s=detected,
        recovered_s=recovered,
        broken="active before both sides were compared" if is_blind else "",
    )


# --- orders -----------------------------------------------------------------------------------


async def _doubtful_order(w: World, heal: Callable[[], Awaitable[None]]) -> Timing:
    """Send an order whose fate is unknown at first; the wires heal when the system knows that."""
    engine, doubts = w.session.engine, w.doubts
    async with asyncio.TaskGroup() as group:
        order = group.create_task(w.sent())
        detected = await w.until(lambda: w.doubts > doubts, 6.0)
        await heal()
        recovered = await w.until(lambda: not engine.unknown_orders and order.done(), 30.0)
    result = order.result()
    status = "failed" if result is None else result["status"]
    return Timing(detected_s=detected, recovered_s=recovered, note=f"the order: {status}")


async def _healed(w: World) -> None:
    for proxy in w.proxies:
        proxy.heal()
    await w.venue.disarm()


@_case(
    "orders",
    "20b",
    "frame spoiled on the way",
    "proxy: corrupt",
    detect_s=0.5,
    recover_s=3.0,
)
async def corrupt(w: World) -> Timing:
    connects = w.session.public.connects
    w.public.begin(Weather(fault=Fault.CORRUPT, ways=frozenset({Way.DOWN})))
    detected = await w.until(lambda: not w.session.public.is_up, 5.0)
    w.public.heal()
    recovered = await w.until(
        lambda: w.session.public.connects > connects and _books_are_back(w), 10.0
    )
    return Timing(detected_s=detected, recovered_s=recovered)


@_case(
    "orders",
    "2",
    "answer lost after accept",
    "proxy: blackhole downwards",
    detect_s=REQUEST_TIMEOUT_S + 0.5,
    recover_s=15.0,
)
async def answer_lost(w: World) -> Timing:
    await w.takes_the_stream()
    for proxy in (w.trade, w.private):  # nor may the private stream tell
        proxy.begin(Weather(fault=Fault.BLACKHOLE, ways=frozenset({Way.DOWN}), spares_new=True))
    return await _doubtful_order(w, lambda: _healed(w))


@_case(
    "orders",
    "13",
    "accepted, then rejected",
    "venue: reject-after-accept",
    detect_s=None,
    recover_s=5.0,
)
async def rejected_later(w: World) -> Timing:
    await w.takes_the_stream()
    before = await w.venue.struck()
    await w.venue.arm(fault="reject-after-accept", path=_CREATE)
    began = asyncio.get_running_loop().time()
    result = await w.sent(order_type="Limit", price=_far(w), time_in_force="IOC")
    lasted = asyncio.get_running_loop().time() - began
    struck = await w.venue.struck()
    await w.venue.disarm()
    is_struck = struck != before
    return Timing(
        detected_s=None,
        recovered_s=lasted,
        broken="" if is_struck else "the fault never struck",
        note=f"the order: {'failed' if result is None else result['status']}",
    )


def _far(w: World) -> str:
    return str(round(float(w.session.feed.market_view(ETH).mid or 0) * 0.997, 1))


@_case(
    "orders",
    "26",
    "storm of 10006",
    "venue: code-10006",
    detect_s=None,
    recover_s=15.0,
)
async def too_many(w: World) -> Timing:
    engine = w.session.engine
    resting = await w.sent(order_type="Limit", price=_far(w))
    for path in (_CREATE, "/v5/order/create"):
        await w.venue.arm(fault="code-10006", path=path, count=6)
    for side in ("Buy", "Sell", "Buy", "Sell"):
        await w.order(side=side)
    cancelled: float | None = None
    if resting is not None:
        link_id = str(resting["link_id"])
        await engine.cancel(ETH, link_id, timeout_s=REQUEST_TIMEOUT_S)
        cancelled = await w.until(
            lambda: all(order.intent.link_id != link_id for order in engine.live_orders), 5.0
        )
    await w.venue.disarm()
    recovered = await w.until(w.is_well, 20.0)
    return Timing(
        detected_s=None,
        recovered_s=recovered,
        broken="" if cancelled is not None else "no cancel in the storm",
        note=f"a cancel in the storm took {cancelled or 0:.2f} s",
    )


@_case(
    "orders",
    "29",
    "REST trickles at 200 bytes/s",
    "proxy: throttle",
    detect_s=None,
    recover_s=15.0,
)
async def trickle(w: World) -> Timing:
    engine, loop = w.session.engine, asyncio.get_running_loop()
    resting = await w.sent(order_type="Limit", price=_far(w))
    w.rest.begin(Weather(fault=Fault.THROTTLE, bytes_per_s=200.0))
    await asyncio.sleep(_TRICKLE_S)
    began = loop.time()
    if resting is not None:
        await engine.cancel(ETH, str(resting["link_id"]), timeout_s=REQUEST_TIMEOUT_S)
    cancel_s = loop.time() - began
    waiting = w.session.traffic.waiting
    w.rest.heal()
    recovered = await w.until(w.is_well, 60.0)
    is_free = resting is not None and cancel_s <= 1.0
    return Timing(
        detected_s=None,
        recovered_s=recovered,
        broken="" if is_free else "a cancel had to wait",
        note=f"a cancel took {cancel_s:.2f} s; {waiting} requests waited",
    )


@_case(
    "orders",
    "31",
    "venue's clock 2 s behind for 8 s",
    "venue: clock-skew",
    detect_s=8.0,
    recover_s=60.0,
)
async def skew(w: World) -> Timing:
    venue_time = w.session.venue_time
    before_ns, struck = venue_time.offset_ns(), await w.venue.struck()
    await w.venue.arm(fault="clock-skew", skew_ms=-2000, until_s=8)

    def moved_ms() -> float:
        return (venue_time.offset_ns() - before_ns) / 1e6

    detected = await w.until(lambda: abs(moved_ms()) > 500, 20.0)
    told_ms, gated_ms = moved_ms(), venue_time.offset_ms
    await asyncio.sleep(max(0.0, 8.0 - (detected or 8.0)))
    recovered = await w.until(lambda: abs(moved_ms()) < 500, 90.0)
    return Timing(
        detected_s=detected,
        recovered_s=recovered,
        broken="" if await w.venue.struck() != struck else "the fault never struck",
        note=f"measured {told_ms:.0f} ms, the gate knew {gated_ms:.0f} ms",
    )


@_case(
    "orders",
    "1",
    "request lost before the venue",
    "proxy: blackhole upwards",
    detect_s=REQUEST_TIMEOUT_S + 0.5,
    recover_s=15.0,
)
async def request_lost(w: World) -> Timing:
    await w.takes_the_stream()
    w.trade.begin(Weather(fault=Fault.BLACKHOLE, ways=frozenset({Way.UP}), spares_new=True))
    return await _doubtful_order(w, lambda: _healed(w))


# --- orders by REST ---------------------------------------------------------------------------


async def _struck_by(w: World, **rule: object) -> Timing:
    before = sum((await w.venue.struck()).values())
    await w.venue.arm(path="/v5/order/create", **rule)
    engine, loop, doubts = w.session.engine, asyncio.get_running_loop(), w.doubts
    began = loop.time()
    async with asyncio.TaskGroup() as group:
        order = group.create_task(w.sent())
        detected = await w.until(lambda: w.doubts > doubts, 6.0)
    recovered = await w.until(lambda: not engine.unknown_orders, 30.0)
    struck = sum((await w.venue.struck()).values()) - before
    await w.venue.disarm()
    result = order.result()
    return Timing(
        detected_s=detected,
        recovered_s=None if recovered is None else loop.time() - began,
        broken="" if struck else "the fault never struck",
        note=f"the order: {'failed' if result is None else result['status']}",
    )


@_case(
    "rest",
    "1b",
    "REST request lost before the venue",
    "venue: drop-before-accept",
    detect_s=1.0,
    recover_s=15.0,
)
async def rest_request_lost(w: World) -> Timing:
    return await _struck_by(w, fault="drop-before-accept")


@_case(
    "rest",
    "2b",
    "REST answer lost after accept",
    "venue: drop-after-accept",
    detect_s=1.0,
    recover_s=15.0,
)
async def rest_answer_lost(w: World) -> Timing:
    return await _struck_by(w, fault="drop-after-accept")


@_case(
    "rest",
    "2c",
    "REST answers lost on open connections",
    "proxy: blackhole downwards",
    detect_s=REQUEST_TIMEOUT_S + 0.5,
    recover_s=15.0,
)
async def rest_hole(w: World) -> Timing:
    for proxy in (w.rest, w.private):
        proxy.begin(Weather(fault=Fault.BLACKHOLE, ways=frozenset({Way.DOWN}), spares_new=True))
    return await _doubtful_order(w, lambda: _healed(w))


@_case(
    "rest",
    "28",
    "HTTP 503 with an empty body, order accepted",
    "venue: http-5xx",
    detect_s=1.0,
    recover_s=15.0,
)
async def bad_gateway(w: World) -> Timing:
    return await _struck_by(w, fault="http-5xx", stage="reply")


@_case(
    "rest",
    "28b",
    "HTML error page, order not accepted",
    "venue: html-page",
    detect_s=1.0,
    recover_s=15.0,
)
async def html(w: World) -> Timing:
    return await _struck_by(w, fault="html-page", stage="request")


@_case(
    "rest",
    "28c",
    "10016, order accepted or not",
    "venue: code-10016",
    detect_s=1.0,
    recover_s=15.0,
)
async def internal_error(w: World) -> Timing:
    return await _struck_by(w, fault="code-10016", stage="reply")


@_case(
    "rest",
    "27",
    "403: address banned for 10 min",
    "venue: http-403",
    detect_s=6.0,
    recover_s=60.0,
)
async def banned(w: World) -> Timing:
    session = w.session
    rest = session._connection.rest
    await w.venue.arm(fault="http-403", path="/v5/*")
    detected = await w.until(lambda: session.engine.state is TradingState.REDUCING, 15.0)
    ban_s = rest.banned_for_s
    await asyncio.sleep(REQUEST_TIMEOUT_S)  # what was under way may still end
    sent = w.rest.passed[Way.UP]
    await asyncio.sleep(_SILENT_S)
    spoken = w.rest.passed[Way.UP] - sent
    rest._banned_until_ns = 0  # instead of waiting ten minutes
    for host in session._connection.transport._hosts.values():
        host.silence(0)
    recovered = await w.until(lambda: session.engine.state is TradingState.ACTIVE, 60.0)
    is_kept = ban_s > 590 and not spoken
    return Timing(
        detected_s=detected,
        recovered_s=recovered,
        broken="" if is_kept else f"{spoken} bytes of HTTP during a ban of {ban_s:.0f} s",
        note=f"ban of {ban_s:.0f} s, no HTTP for {_SILENT_S:.0f} s of it, then lifted by the test",
    )
