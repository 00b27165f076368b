from __future__ import annotations

import asyncio
import os
import signal
import sys
import threading
from pathlib import Path

import pytest

from trading_system.domain.errors import ConfigurationError, DeadlineExceeded
from trading_system.runtime.child import (
    LIFELINE_VARIABLE,
    ChildError,
    ChildLateError,
    ChildSpec,
    is_clean_exit,
    launch,
    watch_lifeline,
)

FDS = Path("/proc/self/fd")
READY = "import sys, time; print('{\"port\": 7}', flush=True);"
IGNORE_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN);"
CHILD_UNTIL_LIFELINE_ENDS = """
import asyncio, os, sys
from trading_system.runtime.child import watch_lifeline
mark = open(sys.argv[1], "w")
print('{"ready": true}', flush=True)
asyncio.run(watch_lifeline())
"""
PARENT_OF_ONE = """
import asyncio, sys
from trading_system.runtime.child import ChildSpec, launch
async def main():
    spec = ChildSpec(name="grandchild", command=[sys.executable, "-c", sys.argv[1], sys.argv[2]])
    async with launch(spec) as child:
        print('{"child": %d}' % child.pid, flush=True)
        await asyncio.Event().wait()
asyncio.run(main())
"""


def spec(code: str, *arguments: str, **options) -> ChildSpec:
    return ChildSpec(name="child", command=[sys.executable, "-c", code, *arguments], **options)


@pytest.fixture(autouse=True)
def nothing_left_behind():
    threads = set(threading.enumerate())
    yield
    for thread in set(threading.enumerate()) - threads:
        thread.join(timeout=5)
        assert not thread.is_alive()
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


async def test_ready_line_is_read_and_sigterm_is_a_clean_exit():
    async with launch(spec(READY + "time.sleep(60)")) as child:
        assert child.ready == {"port": 7}
        assert child.exit_code is None
    assert child.exit_code == -signal.SIGTERM
    assert is_clean_exit(child.exit_code)


async def test_launches_leave_no_descriptor_open():
    counts = []
    for _ in range(4):
        async with launch(spec(READY + "time.sleep(60)")):
            pass
        with pytest.raises(ChildError):
            async with launch(spec("")):
                raise AssertionError("never ready")
        # Closed pipes are reported back by the loop one turn later.
        await asyncio.sleep(0)
        counts.append(len(list(FDS.iterdir())))
    # The first child opens what the loop keeps for all children.
    assert counts[1:] == counts[:1] * 3


@pytest.mark.parametrize(
    ("code", "is_clean"), [(0, True), (143, True), (-15, True), (1, False), (-9, False)]
)
def test_sigterm_codes_count_as_clean(code, is_clean):
    assert is_clean_exit(code) is is_clean


async def test_child_runs_in_its_own_session():
    async with launch(spec(READY + "time.sleep(60)")) as child:
        assert os.getsid(child.pid) == child.pid
        assert os.getpgid(child.pid) == child.pid != os.getpgid(0)


async def test_child_that_ignores_sigterm_is_killed():
    code = IGNORE_SIGTERM + READY + "time.sleep(60)"
    async with launch(spec(code, stop_deadline_s=0.05)) as child:
        assert await child.stop() == -signal.SIGKILL
    assert not is_clean_exit(await child.stop())


async def test_exit_code_survives_a_stop_at_the_same_moment():
    for _ in range(8):
        async with launch(spec(READY + "import os; os._exit(3)")) as child:
            pass
        assert child.exit_code in {3, -signal.SIGTERM}


async def test_child_that_dies_early_is_reported_with_its_last_words():
    code = "import sys; sys.stderr.write('first\\nno such market\\n'); sys.exit(2)"
    with pytest.raises(ChildError, match=r"exit code 2 before it was ready.*no such market") as e:
        async with launch(spec(code)):
            raise AssertionError("never ready")
    assert e.value.exit_code == 2
    assert e.value.stderr_tail == ("first", "no such market")


async def test_late_child_is_a_missed_deadline_and_is_gone():
    with pytest.raises(ChildLateError, match=r"child was not ready within 0.1 s") as e:
        async with launch(spec("import time; time.sleep(60)", ready_deadline_s=0.1)):
            raise AssertionError("never ready")
    assert isinstance(e.value, DeadlineExceeded)


@pytest.mark.parametrize("line", ["hello", "[1]", "", "[" * 5000, "{" * 100_000])
async def test_first_line_must_be_a_json_object(line):
    code = f"import time; print({line!r}, flush=True); time.sleep(60)"
    if not line:
        code = "import time; print('  ', flush=True); time.sleep(60)"
    with pytest.raises(ChildError, match="where one JSON object was expected"):
        async with launch(spec(code)):
            raise AssertionError("never ready")


async def test_missing_program_is_reported():
    command = ["/nonexistent/program"]
    with pytest.raises(ChildError, match=r"child could not be started: .*No such file"):
        async with launch(ChildSpec(name="child", command=command)):
            raise AssertionError("never ready")


async def test_megabytes_of_output_never_block_the_child():
    code = READY + "[print('x' * 999) or print('y' * 999, file=sys.stderr) for _ in range(3000)]"
    async with launch(spec(code)) as child:
        async with asyncio.timeout(20):
            assert await child.wait() == 0
        await child.stop()
    assert len(child.recent_lines) == 200
    assert set(child.stderr_tail) == {"y" * 999}


async def test_endless_line_is_cut():
    code = READY + "print('x' * 3_000_000)"
    async with launch(spec(code)) as child:
        await child.wait()
        await child.stop()
    assert child.recent_lines == (("stdout", "x" * 65_536),)


async def test_lines_after_the_ready_line_go_to_the_callback():
    seen = []
    code = READY + "print('one', file=sys.stderr); print('two\\r'); print('three', end='')"
    on_line = lambda stream, line: seen.append((stream, line))  # noqa: E731 - one expression
    async with launch(spec(code, on_line=on_line)) as child:
        await child.wait()
        await child.stop()
    assert sorted(seen) == [("stderr", "one"), ("stdout", "three"), ("stdout", "two")]


async def test_environment_is_extended():
    code = "import os, time; print('{\"x\": \"%s\"}' % os.environ['SOME_X']); time.sleep(0)"
    async with launch(spec(code, environ={"SOME_X": "y"})) as child:
        assert child.ready == {"x": "y"}


async def test_cancelled_stop_kills_at_once():
    code = IGNORE_SIGTERM + READY + "time.sleep(60)"
    async with launch(spec(code, stop_deadline_s=60)) as child:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await child.stop()
        assert await child.wait() == -signal.SIGKILL


async def test_cancelled_launch_leaves_no_process():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.2), launch(spec("import time; time.sleep(60)")):
            raise AssertionError("never ready")


async def test_child_ends_when_the_parent_lets_go():
    closed = asyncio.Event()
    read_fd, write_fd = os.pipe()

    async def child_side():
        await watch_lifeline({LIFELINE_VARIABLE: str(read_fd)})
        closed.set()

    async with asyncio.TaskGroup() as group:
        group.create_task(child_side())
        await asyncio.sleep(0)
        assert not closed.is_set()
        os.close(write_fd)
    assert closed.is_set()


async def test_without_lifeline_the_watch_waits():
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.01):
            await watch_lifeline({})


@pytest.mark.parametrize("text", ["abc", "-1", "99999", ""])
async def test_wrong_lifeline_names_the_variable(text):
    with pytest.raises(ConfigurationError, match="TRADING_LIFELINE_FD must be the number"):
        await watch_lifeline({LIFELINE_VARIABLE: text})


async def test_grandchild_is_gone_when_its_parent_is_killed(tmp_path):
    # The grandchild holds a FIFO open for writing: end of file means that it is gone.
    fifo = tmp_path / "mark"
    os.mkfifo(fifo)
    reader = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    parent = spec(PARENT_OF_ONE, CHILD_UNTIL_LIFELINE_ENDS, str(fifo), ready_deadline_s=30)
    async with launch(parent) as child:
        assert isinstance(child.ready["child"], int)
        os.kill(child.pid, signal.SIGKILL)
        assert await child.wait() == -signal.SIGKILL
        os.set_blocking(reader, True)
        async with asyncio.timeout(20):
            assert await asyncio.to_thread(os.read, reader, 1) == b""
    os.close(reader)
