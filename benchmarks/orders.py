"""rest_order and burst10: signed orders over keep-alive HTTP, beside pybit and ccxt.

All clients sign, encode, send and decode one order per call, against the same process that answers
every request with fixed bytes.
"""

from __future__ import annotations

from contextlib import ExitStack

from benchmarks.interleaved import Child, child, compared, in_turns, venue
from benchmarks.rows import Row

_ROUNDS = 10
_NOTE = "loopback, no TLS, server answers fixed bytes"


def run_rest() -> list[Row]:
    """Return the rows of single orders."""
    with ExitStack() as stack:
        children = _children(stack, with_ccxt=True)
        samples = in_turns(children, {"what": "order", "count": 200}, rounds=_ROUNDS)
        return _rows("rest_order.transport", samples, children, {"pybit": 0.40, "ccxt": 0.70})


def run_product() -> list[Row]:
    """Return the row of orders through gate, journal and state machine."""
    with ExitStack() as stack:
        server = stack.enter_context(child("order_server.py"))
        assert server is not None
        url = str(server.ready["url"])
        found = {
            "ours": stack.enter_context(child("orders_product.py", url, "rest")),
            "pybit": stack.enter_context(child("orders_pybit.py", url, is_peer=True)),
        }
        children = {name: one for name, one in found.items() if one is not None}
        samples = in_turns(children, {"what": "order", "count": 200}, rounds=_ROUNDS)
        return _rows("rest_order.product", samples, children, {"pybit": 0.45})


def run_burst() -> list[Row]:
    """Return the row of ten orders at once."""
    with ExitStack() as stack:
        children = _children(stack, with_ccxt=False)
        samples = in_turns(children, {"what": "burst", "count": 20}, rounds=_ROUNDS)
        return _rows("burst10", samples, children, {"pybit": 0.15})


def _children(stack: ExitStack, *, with_ccxt: bool) -> dict[str, Child]:
    server = stack.enter_context(child("order_server.py"))
    assert server is not None
    url = str(server.ready["url"])
    found = {
        "ours": stack.enter_context(child("orders_ours.py", url)),
        "pybit": stack.enter_context(child("orders_pybit.py", url, is_peer=True)),
    }
    if with_ccxt:
        ready = stack.enter_context(venue("--limits", "off"))
        keys = (str(ready[name]) for name in ("rest", "api_key", "api_secret"))
        found["ccxt"] = stack.enter_context(child("orders_ccxt.py", url, *keys, is_peer=True))
    return {name: one for name, one in found.items() if one is not None}


def _rows(
    row: str, samples: dict[str, list[float]], children: dict[str, Child], bars: dict[str, float]
) -> list[Row]:
    peers = {
        name: (samples[name], str(children[name].ready["version"]))
        for name in samples
        if name != "ours"
    }
    return compared(row, samples["ours"], peers, bars=bars, note=_NOTE)
