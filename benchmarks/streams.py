"""socket_to_book, tick_to_trade and ws_order: everything that travels over WebSockets.

One server process of blocking sockets pushes the messages and takes the orders of all clients, one
client at a time in turns. It pauses 0.2 to 1.2 ms between messages, so that nothing is batched.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack

from benchmarks.interleaved import Child, child, compared, in_turns
from benchmarks.rows import Row

_DEPTH = "50"
_ROUNDS = 5
_PACED = 300
_FLOOD = 3_000
_TICKS = 300
_ORDERS = 200
_LOOPBACK = "loopback, no TLS"


def run_socket_to_book() -> list[Row]:
    """Return the rows of latency and of rate."""
    with ExitStack() as stack:
        server = _server(stack)
        url = str(server.ready["url"])
        found = {
            "ours": stack.enter_context(child("feed_ours.py", url)),
            "nautilus_trader": stack.enter_context(child("feed_nautilus.py", url, is_peer=True)),
        }
        children = {name: one for name, one in found.items() if one is not None}
        latencies: dict[str, list[float]] = {name: [] for name in children}
        rates: dict[str, list[float]] = {name: [] for name in children}
        for number in range(_ROUNDS + 1):
            figures = {}
            for name, one in children.items():
                paced, _ = _pushed(server, name, one, what="paced", count=_PACED)
                flood, figures[name] = _pushed(server, name, one, what="flood", count=_FLOOD)
                if number:
                    latencies[name] += [us for us, _ in paced[1:]]
                    rates[name].append(_FLOOD / (flood[-1][1] / 1_000_000))
            _require_equal(figures)
    versions = _versions(children)
    note = (
        f"{_LOOPBACK}; our feed with flow features, its live data client, bus and engine; "
        "same last book"
    )
    peers = {name: (latencies[name], versions[name]) for name in versions}
    rows = compared(
        "socket_to_book", latencies["ours"], peers, bars={"nautilus_trader": 0.6}, note=note
    )
    return rows + _rate_rows(rates, versions, note)


def run_trade_transport() -> list[Row]:
    """Return the row of the bare path."""
    return _trade_rows("transport", {"floor": 2.3})


def run_trade_product() -> list[Row]:
    """Return the rows with agents, gate, journal and state machine."""
    return _trade_rows("product", {"floor": 3.0, "pybit": 0.35})


def run_order_transport() -> list[Row]:
    """Return the row of orders over the bare trade socket."""
    return _order_rows("ws_order.transport", "ws-bare", {"pybit": 0.75})


def run_order_product() -> list[Row]:
    """Return the row of orders through the engine."""
    return _order_rows("ws_order.product", "ws", {"pybit": 0.9})


def _trade_rows(kind: str, bars: Mapping[str, float]) -> list[Row]:
    with ExitStack() as stack:
        server = _server(stack)
        url = str(server.ready["url"])
        found = {kind: stack.enter_context(child("trader_ours.py", url, kind))}
        found["floor"] = stack.enter_context(child("trader_floor.py", url))
        if "pybit" in bars:
            found["pybit"] = stack.enter_context(child("trader_pybit.py", url, is_peer=True))
        children = {name: one for name, one in found.items() if one is not None}
        samples: dict[str, list[float]] = {name: [] for name in children}
        for number in range(_ROUNDS + 1):
            for name in children:
                is_priced = name != "floor"
                question = {"what": "trade", "client": name, "count": _TICKS}
                us = server.ask({**question, "is_priced": is_priced})["us"]
                if number:
                    samples[name] += us
        versions = _versions(children) | {"floor": "raw sockets"}
    peers = {name: (samples[name], versions[name]) for name in bars if name in samples}
    note = f"{_LOOPBACK}; wire to wire as the server sees it, price checked at every tick"
    return compared(f"tick_to_trade.{kind}", samples[kind], peers, bars=dict(bars), note=note)


def _order_rows(row: str, kind: str, bars: dict[str, float]) -> list[Row]:
    with ExitStack() as stack:
        url = str(_server(stack).ready["url"])
        found = {
            "ours": stack.enter_context(child("orders_product.py", url, kind)),
            "pybit": stack.enter_context(child("ws_orders_pybit.py", url, is_peer=True)),
        }
        children = {name: one for name, one in found.items() if one is not None}
        samples = in_turns(children, {"count": _ORDERS}, rounds=_ROUNDS)
        versions = _versions(children)
    peers = {name: (samples[name], versions[name]) for name in versions}
    note = f"{_LOOPBACK}; call to answer, its answer timed inside its callback"
    return compared(row, samples["ours"], peers, bars=bars, note=note)


def _server(stack: ExitStack) -> Child:
    server = stack.enter_context(child("stream_server.py", _DEPTH))
    assert server is not None
    return server


def _pushed(
    server: Child, name: str, one: Child, *, what: str, count: int
) -> tuple[list[tuple[float, float]], list[float]]:
    """Return per message us since its sending and since the first sending, and the last book."""
    sent = server.ask({"what": what, "client": name, "count": count})["sent"]
    answer = one.ask({"count": count + 1})
    stamps = answer["stamps"]
    assert len(stamps) == len(sent), f"{name} saw {len(stamps)} of {len(sent)} messages"
    times = [
        ((at - began) / 1_000, (at - sent[0]) / 1_000)
        for began, at in zip(sent, stamps, strict=True)
    ]
    return times, answer["figures"]


def _rate_rows(rates: dict[str, list[float]], versions: dict[str, str], note: str) -> list[Row]:
    ours = sorted(rates["ours"])[len(rates["ours"]) // 2]
    rows = []
    for name, its_version in versions.items():
        theirs = sorted(rates[name])[len(rates[name]) // 2]
        rows.append(
            Row(
                id="socket_to_book",
                value=round(ours, 1),
                unit="messages/s",
                samples=len(rates["ours"]),
                peer=name,
                peer_version=its_version,
                peer_value=round(theirs, 1),
                ratio=round(ours / theirs, 4),
                bar=f">= 6 x {name}",
                met=ours / theirs >= 6,
                note=f"floods of {_FLOOD}; {note}",
            )
        )
    return rows


def _versions(children: dict[str, Child]) -> dict[str, str]:
    found = {name: str(one.ready["version"]) for name, one in children.items()}
    return {name: text for name, text in found.items() if text}


def _require_equal(figures: dict[str, list[float]]) -> None:
    ours = figures["ours"]
    for name, theirs in figures.items():
        wrong = [a for a, b in zip(ours, theirs, strict=True) if abs(a - b) > 1e-9]
        assert not wrong, f"{name} ends at {theirs}, ours at {ours}"
