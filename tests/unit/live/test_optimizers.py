"""The optimizers of a session have its settings and see its stream."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from session_rig import PRICE, SYMBOL, SessionRig, in_session

VALUES = {
    "enable_caching": False,
    "price_cache_ttl": 0.7,
    "order_book_cache_ttl": 0.9,
    "min_api_interval": 0.25,
    "batch_size": 3,
    "batch_timeout": 0.4,
}


@pytest.mark.parametrize("name", VALUES)
def test_each_performance_setting_reaches_the_optimizer(name: str, tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        assert getattr(rig.session.optimizers.performance, name) == VALUES[name]

    in_session(work, tmp_path, **{f"performance__{name}": VALUES[name]})


def test_the_stream_fills_the_price_cache(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        await asyncio.sleep(0.05)
        price = rig.session.optimizers.performance.get_cached_price(SYMBOL)
        assert price is not None
        assert price["mid"] == float(PRICE)
        assert price["bid"] < price["ask"]

    in_session(work, tmp_path)


def test_without_caching_the_stream_fills_nothing(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        assert len(rig.session.optimizers.performance.price_cache) == 0

    in_session(work, tmp_path, performance__enable_caching=False)
