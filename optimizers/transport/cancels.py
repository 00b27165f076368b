"""Which requests cancel orders, and which of them ask for the same."""

from __future__ import annotations

from collections.abc import Hashable

import msgspec

from trading_system.domain.ports import HttpRequest

_CANCEL = "/v5/order/cancel"
_CANCEL_PATHS = frozenset({_CANCEL, "/v5/order/cancel-all", "/v5/order/cancel-batch"})


class _Body(msgspec.Struct, rename="camel"):
    category: str = ""
    symbol: str = ""
    order_id: str = ""
    order_link_id: str = ""


_DECODER = msgspec.json.Decoder(_Body)


def cancel_key(request: HttpRequest, path: str) -> Hashable | None:
    """Return what the request cancels, None if it cancels nothing.

    Two requests with equal keys have the same effect: the same order of one account, or the same
    body of a cancellation of several.
    """
    if request.method != "POST" or path not in _CANCEL_PATHS:
        return None
    account = request.headers.get("X-BAPI-API-KEY", "")
    body = request.body or b""
    if path == _CANCEL:
        try:
            order = _DECODER.decode(body)
        except msgspec.DecodeError:
            return (account, path, body)
        if order.order_id or order.order_link_id:
            return (
                account,
                path,
                order.category,
                order.symbol,
                order.order_id,
                order.order_link_id,
            )
    return (account, path, body)
