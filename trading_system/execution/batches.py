"""Batches of orders: cut into requests, parted by what passed the gate, matched with answers."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TypeVar

from trading_system.domain.errors import Outcome, VenueError, VenueUnavailable
from trading_system.domain.orders import BatchOutcome, PriceChange
from trading_system.domain.ports import VenueGateway
from trading_system.execution.tracking import TrackedOrder

MAX_BATCH = 10
"""Most orders of one request; a longer batch leaves as several, one after the other."""

Found = TrackedOrder | BatchOutcome
"""An order that passed, or the outcome of one that needs no sending."""

_Item = TypeVar("_Item")


def parts(items: Sequence[_Item]) -> Iterator[Sequence[_Item]]:
    """Cut ``items`` into requests, each to be gated and recorded only when it leaves.

    The age of a request decides when it can no longer take effect, so it must not wait for others.
    """
    return (items[first : first + MAX_BATCH] for first in range(0, len(items), MAX_BATCH))


def passed(found: Iterable[Found]) -> list[TrackedOrder]:
    """Return the orders that are to be sent."""
    return [one for one in found if isinstance(one, TrackedOrder)]


def merged(found: Iterable[Found], answers: Iterable[BatchOutcome]) -> list[BatchOutcome]:
    """Return the outcomes of ``found`` in order; ``answers`` belong to the orders that passed."""
    left = iter(answers)
    return [one if isinstance(one, BatchOutcome) else next(left) for one in found]


def asked_change(order: TrackedOrder) -> PriceChange:
    """Return the price change that is under way for ``order``."""
    amendment = order.amendment
    assert amendment is not None
    return PriceChange(
        symbol=order.intent.symbol,
        link_id=order.intent.link_id,
        price=amendment.price,
        trigger_price=amendment.trigger_price if order.waiting_for is not None else None,
    )


async def ask_for_changes(
    gateway: VenueGateway, changes: Sequence[PriceChange], *, timeout_s: float
) -> list[BatchOutcome]:
    """Send changes in one request; those of waiting orders alone, as the venue wants it.

    Parameters
    ----------
    timeout_s : float
        Deadline of each request, seconds.
    """
    others = [change for change in changes if change.trigger_price is None]
    answers: list[BatchOutcome] = []
    if others:
        try:
            answers += await gateway.amend_batch(others, timeout_s=timeout_s)
        except VenueError as e:
            answers += all_failed([change.link_id for change in others], e)
    for change in changes:
        if change.trigger_price is not None:
            answers.append(await _ask_alone(gateway, change, timeout_s=timeout_s))
    return answers


async def _ask_alone(
    gateway: VenueGateway, change: PriceChange, *, timeout_s: float
) -> BatchOutcome:
    try:
        ack = await gateway.amend(
            change.symbol,
            change.link_id,
            price=change.price,
            trigger_price=change.trigger_price,
            timeout_s=timeout_s,
        )
    except VenueError as e:
        return BatchOutcome(link_id=change.link_id, error=e)
    return BatchOutcome(link_id=change.link_id, order_id=ack.order_id)


def all_failed(link_ids: Iterable[str], error: VenueError) -> list[BatchOutcome]:
    """Return what a request that failed as a whole says of its orders."""
    return [BatchOutcome(link_id=link_id, error=error) for link_id in link_ids]


def aligned(
    link_ids: Iterable[str], answers: Iterable[BatchOutcome], *, operation: str
) -> list[BatchOutcome]:
    """Return one answer for each link id; where there is none, or no venue's, it is unknown."""
    found = {answer.link_id: answer for answer in answers}
    return [_usable(link_id, found.get(link_id), operation) for link_id in link_ids]


def _usable(link_id: str, answer: BatchOutcome | None, operation: str) -> BatchOutcome:
    if answer is not None and isinstance(answer.error, VenueError | None):
        return answer
    text = "the answer left it out" if answer is None else str(answer.error)
    error = VenueUnavailable(text, venue="gateway", operation=operation, outcome=Outcome.UNKNOWN)
    return BatchOutcome(link_id=link_id, error=error)
