"""Runs the script against a test host and against the embedded venue, and compares."""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from pydantic import SecretStr

from trading_system.cli.live_check.link import HostLink
from trading_system.cli.live_check.observing import Observations, compare
from trading_system.cli.live_check.ordering import OrderScript, Say
from trading_system.cli.live_check.reading import UNREADABLE, read_all
from trading_system.cli.live_check.shapes import Grade
from trading_system.cli.live_check.transcript import Transcript
from trading_system.cli.live_check.watching import watch_public
from trading_system.config.settings import Settings
from trading_system.domain.errors import VenueError
from trading_system.domain.ports import Clock
from trading_system.live.access import Access
from trading_system.simulation.bybit_server.options import ServerOptions
from trading_system.simulation.bybit_server.server import BybitServer
from trading_system.simulation.venue import build_synthetic_venue, default_accounts
from trading_system.venues.bybit.hosts import Endpoints
from trading_system.venues.bybit.signing import MAX_RECV_WINDOW_MS, Signer

REFERENCE: Final = "embedded venue"
"""Name of what the host is compared with."""

_NS_PER_MS: Final = 1_000_000
_REFERENCE_BOOKS_S: Final = 3.0
_SEED: Final = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class CheckPlan:
    """What to check and how patiently.

    Parameters
    ----------
    folder : Path
        Takes the transcripts.
    books_s : float
        How long the host's books are watched, seconds.
    has_orders : bool
        Whether the part with orders is taken.
    run_id : str
        Eight characters that no other run has; part of the orders' link ids.
    patience_s, pace_s, tidy_pause_s : float
        Wait for an order's pushes, pause before each order request, and pause between two looks
        for what is left, seconds.
    """

    symbol: str
    folder: Path
    books_s: float
    has_orders: bool
    run_id: str
    patience_s: float = 5.0
    pace_s: float = 0.2
    tidy_pause_s: float = 0.5


Reference = Callable[[str, Clock], AbstractAsyncContextManager[tuple[Endpoints, Signer]]]


@asynccontextmanager
async def embedded_reference(symbol: str, clock: Clock) -> AsyncIterator[tuple[Endpoints, Signer]]:
    """Serve an embedded venue of its own on loopback; yield its addresses and a key.

    Raises
    ------
    ConfigurationError
        If the embedded venue does not list ``symbol``.
    """
    venue = build_synthetic_venue(
        symbols=[symbol],
        accounts=default_accounts(seed=_SEED),
        seed=_SEED,
        edge_bps=0.0,
        activity=1.0,
    )
    venue.prepare(clock.utc_ns() // _NS_PER_MS)
    account = next(iter(venue.exchange.accounts.values()))
    secret = SecretStr(account.api_secret)
    async with BybitServer(venue, clock=clock, options=ServerOptions()) as server:
        ws = server.ws_url
        yield (
            Endpoints(rest=server.rest_url, public_ws=ws, private_ws=ws, trade_ws=ws),
            Signer(account.api_key, secret, recv_window_ms=MAX_RECV_WINDOW_MS),
        )


class LiveCheck:
    """One check of one test host.

    Parameters
    ----------
    tls : ssl.SSLContext
        Decides which certificates are trusted.
    say : callable
        Takes what a person must know at once.
    reference : callable
        What the host is compared with.
    """

    def __init__(
        self,
        settings: Settings,
        plan: CheckPlan,
        *,
        clock: Clock,
        tls: ssl.SSLContext,
        say: Say,
        reference: Reference = embedded_reference,
    ) -> None:
        self._settings = settings
        self._plan = plan
        self._clock = clock
        self._tls = tls
        self._say = say
        self._reference = reference
        self._is_demo = settings.environment == "demo"

    async def run(self, access: Access) -> dict[str, Any]:
        """Return the comparison, ready for JSON; ``is_alike`` is its verdict."""
        plan = self._plan
        self._say(f"asking the {REFERENCE} first, then {access.endpoints.rest}")
        async with self._reference(plan.symbol, self._clock) as (endpoints, signer):
            known = await self._observe(
                endpoints, signer, name="reference", books_s=min(plan.books_s, _REFERENCE_BOOKS_S)
            )
        self._say(f"asking {access.endpoints.rest}; books are watched for {plan.books_s:g} s")
        seen = await self._observe(
            access.endpoints, access.signer, name="host", books_s=plan.books_s
        )
        problems = [f"{REFERENCE}: {text}" for text in known.problems] + seen.problems
        found = compare(seen, known)
        return {
            "environment": self._settings.environment,
            "rest": access.endpoints.rest,
            "symbol": plan.symbol,
            "with_orders": plan.has_orders,
            "is_alike": not problems and all(each.grade is Grade.NOTE for each in found),
            "steps": len(seen.shapes),
            "differences": [each.as_row() for each in found],
            "problems": problems,
            "orders": {name: " > ".join(states) for name, states in seen.lives.items()},
            "books": seen.books,
            "transcripts": str(plan.folder),
        }

    async def _observe(
        self, endpoints: Endpoints, signer: Signer, *, name: str, books_s: float
    ) -> Observations:
        seen = Observations()
        with Transcript(self._plan.folder / name, clock=self._clock) as transcript:
            link = HostLink(
                endpoints,
                signer,
                clock=self._clock,
                tls=self._tls,
                transcript=transcript,
                seen=seen,
                timeout_s=self._settings.bybit.request_timeout_s,
            )
            async with link:
                try:
                    await self._follow(link, books_s=books_s)
                except VenueError as e:
                    seen.problems.append(str(e))
                except UNREADABLE as e:
                    seen.problems.append(f"an answer lacks what the next step needs: {e!r}")
        return seen

    async def _follow(self, link: HostLink, *, books_s: float) -> None:
        plan, bybit = self._plan, self._settings.bybit
        market = await read_all(
            link,
            plan.symbol,
            is_demo=self._is_demo,
            needs_orders=plan.has_orders,
            allow_transfer=bybit.allow_transfer,
            recv_window_ms=bybit.recv_window_ms,
        )
        await watch_public(link, market.instrument, seconds=books_s)
        if not plan.has_orders:
            return
        if not market.is_clear:
            link.seen.problems.append(
                f"no orders were sent: the account already has orders or a position in "
                f"{plan.symbol}, which the check would cancel; use an account of its own"
            )
            return
        script = OrderScript(
            link,
            market,
            run_id=plan.run_id,
            patience_s=plan.patience_s,
            pace_s=plan.pace_s,
            tidy_pause_s=plan.tidy_pause_s,
            has_trade_stream=not self._is_demo,
            say=self._say,
        )
        await script.run()
