"""The users' guide's three usage examples, unchanged but for their import lines.

Each runs inside an async function that supplies the names the guide leaves open, on the embedded
venue, through the gated client.
"""

import asyncio
import threading
from pathlib import Path

import pytest

pytestmark = [pytest.mark.timeout(90), pytest.mark.xdist_group("processes")]


@pytest.fixture(autouse=True)
def data_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TRADING_DATA_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)


def threads() -> set[str]:
    """Return the names of live threads that are not the interpreter's own or a warm library's."""
    return {thread.name for thread in threading.enumerate() if thread.is_alive()}


def test_basic_optimized_trading(capsys: pytest.CaptureFixture[str]) -> None:
    from trading_system import EnhancedTradingSystem  # noqa: PLC0415 - the guide's first line

    async def main():
        # Initialize the enhanced system
        trading_system = EnhancedTradingSystem()

        # Start with all optimizations
        await trading_system.start_system()

        # Monitor performance
        status = trading_system.get_system_status()
        print(f"System Health: {status['system_health']['health_score']}/100")

        # Stop gracefully
        await trading_system.stop_system("Completed")
        assert trading_system.get_system_status()["stop_reason"] == "Completed"
        assert len(asyncio.all_tasks()) == 1

    before = threads()
    asyncio.run(main())
    assert "System Health: " in capsys.readouterr().out
    assert threads() <= before


def test_individual_component_usage(capsys: pytest.CaptureFixture[str]) -> None:
    from optimizers import PerformanceOptimizer  # noqa: PLC0415 - the guide's first lines
    from trading_system import BybitClient  # noqa: PLC0415 - the guide's first lines

    async def main():
        bybit = BybitClient()
        optimizer = PerformanceOptimizer(bybit)

        result = await optimizer.optimize_order_execution(
            symbol="ETHUSDT", side="Buy", quantity=0.01, urgency="HIGH"
        )

        print(f"Execution quality: {result['execution_metrics'].execution_quality_score}")
        assert result["success"], result["error"]
        assert result["execution_metrics"].fill_rate == 1.0
        position = await bybit.get_position_info("ETHUSDT")
        assert position[0]["quantity"] == 0.01
        await bybit.close()
        assert len(asyncio.all_tasks()) == 1

    asyncio.run(main())
    assert "Execution quality: " in capsys.readouterr().out


def test_latency_benchmarking(capsys: pytest.CaptureFixture[str]) -> None:
    from optimizers import LatencyOptimizer  # noqa: PLC0415 - the guide's first lines
    from trading_system import BybitClient  # noqa: PLC0415 - the guide's first lines

    async def main():
        async with BybitClient() as bybit_client:
            optimizer = LatencyOptimizer(bybit_client)
            await optimizer.pre_warm_connections()

            # Run comprehensive benchmark
            benchmark = await optimizer.benchmark_performance(iterations=100)
            print(f"P95 Latency: {benchmark['latency_stats']['p95_ms']:.2f}ms")
            assert benchmark["iterations_completed"] == 100
            await optimizer.cleanup()

    asyncio.run(main())
    assert "P95 Latency: " in capsys.readouterr().out
