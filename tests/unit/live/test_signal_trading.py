"""What the session's signal trader may spend, and what is read of it."""

from __future__ import annotations

from decimal import Decimal
from pathlib import Path

from session_rig import SessionRig, in_session

from trading_system.config.sections import RiskSettings, StrategySettings
from trading_system.live.signal_trading import newest_slippage, trading_rules


def test_an_entry_at_its_worst_price_stays_below_the_gates_cap() -> None:
    strategy = StrategySettings(entry_notional=Decimal(10_000), max_slippage_bps=100.0)
    rules = trading_rules(strategy, RiskSettings(max_order_notional=Decimal(5_000)))
    assert rules.entry_notional == Decimal(5_000) / Decimal("1.01")
    assert trading_rules(StrategySettings(), RiskSettings()) == StrategySettings()


def test_the_slippage_is_computed_again_only_after_another_parent(tmp_path: Path) -> None:
    async def work(rig: SessionRig) -> None:
        trader = rig.session.trader
        slippage_bps = newest_slippage(trader)
        assert slippage_bps() is None
        await rig.enter()
        first = slippage_bps()
        assert first == trader.slippage_bps()
        assert first is not None
        trader.results.clear()
        assert slippage_bps() == first

    in_session(work, tmp_path)
