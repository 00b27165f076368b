"""Answers to order requests, alone and in batches: each order ends for itself."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from trading_system.domain.errors import CorruptDataError, VenueError
from trading_system.domain.orders import BatchOutcome, OrderAck
from trading_system.venues.bybit import wire
from trading_system.venues.bybit.refusals import is_no_change, refusal, unknown
from trading_system.venues.bybit.wire import Answer


class _Created(msgspec.Struct, frozen=True):
    orderId: str = ""  # noqa: N815 - the venue's spelling
    orderLinkId: str = ""  # noqa: N815 - the venue's spelling


class _Verdict(msgspec.Struct, frozen=True):
    code: int
    msg: str = ""


_CREATED = msgspec.json.Decoder(_Created)
_CREATED_LIST = msgspec.json.Decoder(wire.Page[_Created])
_VERDICTS = msgspec.json.Decoder(wire.Page[_Verdict])
_CREATE = "order.create"


def acknowledgement(answer: Answer, operation: str, link_id: str) -> OrderAck:
    """Return what the answer to one order request says.

    Raises
    ------
    VenueUnavailable
        With outcome UNKNOWN, if it cannot be read or a new order has no id.
    """
    try:
        created = wire.decode(answer.result, _CREATED, what="order acknowledgement")
    except CorruptDataError as e:
        raise unknown(str(e), operation=operation) from e
    if operation == _CREATE and not created.orderId:
        raise unknown("the acknowledgement has no order id", operation=operation)
    return OrderAck(order_id=created.orderId, link_id=created.orderLinkId or link_id)


def batch_outcomes(answer: Answer, operation: str, links: Sequence[str]) -> list[BatchOutcome]:
    """Return what the answer to a batch says of each of its orders, in order.

    Parameters
    ----------
    operation : str
        Stream operation, for example ``order.create-batch``.
    links : Sequence[str]
        Link ids of the batch's orders.
    """
    try:
        rows = wire.decode(answer.result, _CREATED_LIST, what="batch rows").rows
        verdicts = wire.decode(answer.extra, _VERDICTS, what="batch verdicts").rows
    except CorruptDataError as e:
        return _all_unknown(str(e), operation, links)
    if not len(rows) == len(verdicts) == len(links):
        return _all_unknown("the batch's answer has another length", operation, links)
    return [
        BatchOutcome(link_id=link, order_id=row.orderId, error=_error(verdict, operation))
        for link, row, verdict in zip(links, rows, verdicts, strict=True)
    ]


def _error(verdict: _Verdict, operation: str) -> VenueError | None:
    if not verdict.code or is_no_change(verdict.code, verdict.msg, operation=operation):
        return None
    return refusal(verdict.code, verdict.msg, operation=operation)


def _all_unknown(text: str, operation: str, links: Sequence[str]) -> list[BatchOutcome]:
    error = unknown(text, operation=operation)
    return [BatchOutcome(link_id=link, order_id="", error=error) for link in links]
