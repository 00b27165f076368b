"""One run's life in front of a small venue in the same process."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
from live_rig import eventually, live_settings
from server_rig import READER, TRADER, serving

from trading_system.config.settings import Settings
from trading_system.domain.errors import ConfigurationError, LifecycleError
from trading_system.live.access import access_of, needs_embedded_venue
from trading_system.live.desk import TradingDesk, VenueTruth
from trading_system.runtime.clock import SystemClock
from trading_system.runtime.lifecycle import State

pytestmark = pytest.mark.timeout(30)
ABC = "ABCUSDT"


def pointed_at(server, folder: Path, **values: object) -> Settings:
    given = {
        "symbols": ABC,
        "bybit__rest_url": server.rest_url,
        "bybit__ws_url": server.ws_url,
        "bybit__api_key": TRADER.api_key,
        "bybit__api_secret": TRADER.api_secret,
        "strategy__name": "none",
        **values,
    }
    return live_settings(folder, **given)


@asynccontextmanager
async def desk_of(folder: Path, **values: object) -> AsyncIterator[TradingDesk]:
    async with serving() as client:
        desk = TradingDesk(pointed_at(client.server, folder, **values), clock=SystemClock())
        try:
            yield desk
        finally:
            await desk.stop("the test is over")
    assert not any(task.get_name().startswith("session") for task in asyncio.all_tasks())


async def test_a_run_ends_when_it_is_asked_to_and_proves_what_it_left(tmp_path: Path) -> None:
    async with desk_of(tmp_path) as desk:
        with pytest.raises(LifecycleError, match="not started"):
            await desk.run_forever()
        with pytest.raises(LifecycleError, match="not running"):
            desk.live_session()
        assert desk.uptime_s == 0.0
        await desk.start()
        with pytest.raises(LifecycleError, match="started before"):
            await desk.start()
        session = desk.live_session()
        placed = await session.client.place_order(
            ABC, "Buy", quantity="3", order_type="Limit", price="9.99"
        )
        assert placed["status"] == "open"
        async with asyncio.TaskGroup() as group:
            running = group.create_task(desk.run_forever())
            await eventually(lambda: session.feed.frames > 0)
            desk.request_stop("enough")
            desk.request_stop("too late")
            await running
        assert (desk.state, desk.reason, desk.is_ended) == (State.STOPPED, "enough", True)
        assert desk.truth is not None
        assert (desk.truth.open_orders, desk.truth.own_open_orders) == (0, 0)
        assert desk.left_behind is None
        dirty = replace(desk.truth, own_open_orders=2)
        desk.truth = dirty
        assert desk.left_behind == "2 own orders are still open at the venue"
        ended_s = desk.uptime_s
        await desk.stop("twice")
        assert desk.uptime_s == ended_s > 0


async def test_a_part_that_fails_ends_the_run_with_its_error(tmp_path: Path) -> None:
    judged = []
    async with serving() as client:
        desk = TradingDesk(
            pointed_at(client.server, tmp_path),
            clock=SystemClock(),
            before_stop=lambda: judged.append(desk.state),
        )
        await desk.start()

        async def fail() -> None:
            raise RuntimeError("a part is broken")

        desk.live_session()._spawn("part", fail())
        with pytest.raises(RuntimeError, match="a part is broken"):
            await desk.run_forever()
        assert desk.state is State.FAILED
        assert judged
        assert desk.truth is not None


async def test_a_task_of_the_desk_lives_no_longer_than_its_run(tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def work() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with desk_of(tmp_path) as desk:
        with pytest.raises(LifecycleError, match="not started"):
            desk.spawn("early", work())
        await desk.start()
        desk.spawn("work", work())
        await eventually(lambda: any(t.get_name() == "work" for t in asyncio.all_tasks()))
        await desk.stop("enough")
        assert ended.is_set()
        with pytest.raises(LifecycleError, match="late"):
            desk.spawn("late", work())


@pytest.mark.parametrize(
    ("values", "match"),
    [
        ({"bybit__api_secret": "wrong"}, "refuses the key"),
        ({"bybit__api_key": "wrong"}, "refuses the key"),
        (
            {"bybit__api_key": READER.api_key, "bybit__api_secret": READER.api_secret},
            "read-only",
        ),
        ({"symbols": "ABCUSDT,FOOUSDT"}, "does not offer FOOUSDT.*TRADING_SYMBOLS"),
    ],
)
async def test_a_key_or_symbol_that_cannot_trade_is_the_users_mistake(
    values: dict[str, str], match: str, tmp_path: Path
) -> None:
    async with desk_of(tmp_path, **values) as desk:
        with pytest.raises(ConfigurationError, match=match):
            await desk.start()
        assert desk.session is None
        await desk.stop("nothing to stop")
        assert desk.truth is None
        with pytest.raises(ConfigurationError, match=match):
            await desk.run_forever()


async def test_a_venue_that_is_gone_at_the_end_leaves_the_truth_unknown(tmp_path: Path) -> None:
    async with serving() as client:
        desk = TradingDesk(
            pointed_at(client.server, tmp_path, bybit__request_timeout_s=0.2), clock=SystemClock()
        )
        await desk.start()
    assert desk.is_live
    await desk.stop("the venue is gone")
    assert desk.truth is None
    assert desk.left_behind is not None
    assert "could not be asked" in desk.left_behind
    assert desk.is_ended


async def test_two_systems_do_not_share_a_journal(tmp_path: Path) -> None:
    async with serving() as client:
        settings = pointed_at(client.server, tmp_path)
        first = TradingDesk(settings, clock=SystemClock())
        await first.start()
        second = TradingDesk(settings, clock=SystemClock())
        with pytest.raises(ConfigurationError):
            await second.start()
        assert first.is_live
        await first.stop("done")


def test_a_key_is_needed_where_no_embedded_venue_is_started(tmp_path: Path) -> None:
    settings = live_settings(tmp_path, bybit__rest_url="http://127.0.0.1:9")
    assert not needs_embedded_venue(settings)
    assert needs_embedded_venue(live_settings(tmp_path))
    with pytest.raises(ConfigurationError, match="TRADING_BYBIT__API_KEY"):
        access_of(settings, None)


async def test_a_data_directory_that_cannot_be_made_is_the_users_mistake(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    desk = TradingDesk(live_settings(tmp_path), clock=SystemClock())
    with pytest.raises(ConfigurationError, match="TRADING_DATA_DIR"):
        await desk.start()
    assert desk.state is State.NEW


def test_an_order_without_a_known_outcome_counts_as_left_behind(tmp_path: Path) -> None:
    desk = TradingDesk(live_settings(tmp_path), clock=SystemClock())
    assert desk.left_behind is None
    desk.session = SimpleNamespace(  # type: ignore[assignment]  # what is read of a session
        engine=SimpleNamespace(live_orders=(object(),))
    )
    desk._supervisor = SimpleNamespace(is_ended=True)  # type: ignore[assignment]  # as after a stop
    desk.truth = VenueTruth(positions={}, open_orders=0, own_open_orders=0, protective_stops=0)
    assert desk.left_behind == "1 own orders have no known outcome"
