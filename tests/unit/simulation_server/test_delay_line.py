import asyncio

from trading_system.simulation.bybit_server.delay_line import DelayLine


async def test_a_short_delay_never_overtakes_a_long_one():
    line, seen, done = DelayLine(), [], asyncio.Event()
    for number, delay_s in enumerate((0.02, 0.0, 0.01)):
        line.put(lambda number=number: seen.append(number), delay_s=delay_s)
    line.put(done.set, delay_s=0.0)
    assert len(line) == 4
    async with asyncio.timeout(2):
        await done.wait()
    assert seen == [0, 1, 2]


async def test_one_timer_serves_any_number_of_actions():
    line = DelayLine()
    loop = asyncio.get_running_loop()
    before = len(loop._scheduled) if hasattr(loop, "_scheduled") else None
    for _ in range(100):
        line.put(lambda: None, delay_s=10.0)
    if before is not None:
        assert len(loop._scheduled) == before + 1
    line.clear()
    assert len(line) == 0


async def test_waiting_work_can_be_run_at_once():
    line, seen = DelayLine(), []
    line.put(lambda: seen.append(1), delay_s=10.0)
    line.put(lambda: seen.append(2), delay_s=10.0)
    line.run_all()
    line.clear()
    assert seen == [1, 2]
