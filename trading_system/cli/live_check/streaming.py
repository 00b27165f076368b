"""Log-in, subscriptions and pushes of the streams."""

from __future__ import annotations

from typing import Final

from trading_system.cli.live_check.link import Heard, HostLink, HostStream, Row
from trading_system.domain.errors import Outcome, VenueRejected

PRIVATE_TOPICS: Final = ("order", "execution", "position", "wallet")
"""Topics of the private stream that the script subscribes."""


async def log_in(stream: HostStream) -> None:
    """Authenticate the private stream and subscribe its topics.

    Raises
    ------
    VenueRejected
        If the host refuses.
    """
    link = stream.link
    reply = await stream.ask("auth", {"args": link.auth_args()}, id_key="req_id", also=ignore)
    judge(link, "private auth", reply)
    await greet(stream)
    topics = {"args": list(PRIVATE_TOPICS)}
    reply = await stream.ask("subscribe", topics, id_key="req_id", also=ignore)
    judge(link, "private subscribe", reply)


async def greet(stream: HostStream) -> None:
    """Ping once and note the answer's shape."""
    pong = await stream.ask("ping", {}, id_key="req_id", also=ignore)
    stream.link.seen.note(f"{stream.channel} pong", pong)


def judge(link: HostLink, step: str, reply: Row) -> None:
    """Note the answer to a request of a stream.

    Raises
    ------
    VenueRejected
        If it is a refusal.
    """
    link.seen.note(step, reply)
    if reply.get("success") is not True:
        raise VenueRejected(
            str(reply.get("ret_msg", "")),
            venue="bybit",
            operation=step,
            outcome=Outcome.REJECTED,
        )


def note_push(link: HostLink, channel: str, row: Row) -> None:
    """Note the shape of a pushed message; changes of a ticker are left out."""
    kind = str(row.get("topic", "")).rpartition(".")[0] or str(row.get("topic", ""))
    if not kind:
        return
    # A change carries only what changed: its keys say nothing.
    if kind == "tickers" and row.get("type") == "delta":
        return
    link.seen.note(f"{channel} {kind}", row)


def ignore(heard: Heard) -> None:
    """Drop a frame that nobody waits for."""
    del heard
