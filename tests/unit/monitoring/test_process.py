"""The process meter: rates between two samples, totals that never fall, None without /proc."""

import json
import os

import pytest

from trading_system.monitoring.process import ProcessMeter, ProcessUse, process_use
from trading_system.runtime.clock import ManualClock

MIB = 1024 * 1024
KEYS = {
    "rss_mib",
    "peak_rss_mib",
    "cpu_pct",
    "cpu_s",
    "threads",
    "open_files",
    "received_kib_s",
    "sent_kib_s",
    "received_mib",
    "sent_mib",
}


class Machine:
    def __init__(self):
        self.cpu_s = 3.0
        self.bytes = (0, 0)
        self.clock = ManualClock()
        self.meter = ProcessMeter(clock=self.clock, bytes_of=lambda: self.bytes, use=self.use)

    def use(self):
        return ProcessUse(
            rss_bytes=100 * MIB,
            peak_rss_bytes=120 * MIB,
            cpu_s=self.cpu_s,
            threads=7,
            open_files=31,
        )

    def pass_by(self, seconds, *, cpu_s=0.0, received=0, sent=0):
        self.clock.advance(seconds)
        self.cpu_s += cpu_s
        self.bytes = (self.bytes[0] + received, self.bytes[1] + sent)
        self.meter.sample()
        return self.meter.figures()


def test_before_the_first_sample_every_figure_is_unknown():
    figures = Machine().meter.figures()
    assert set(figures) == KEYS
    assert set(figures.values()) == {None}


def test_the_first_sample_has_levels_and_no_rates():
    figures = Machine().pass_by(1.0, received=2 * MIB)
    assert (figures["rss_mib"], figures["peak_rss_mib"], figures["threads"]) == (100.0, 120.0, 7)
    assert (figures["open_files"], figures["cpu_s"], figures["received_mib"]) == (31, 3.0, 2.0)
    assert (figures["cpu_pct"], figures["received_kib_s"], figures["sent_kib_s"]) == (None,) * 3


def test_rates_are_of_the_time_between_the_newest_two_samples():
    machine = Machine()
    machine.pass_by(1.0, received=9 * MIB)
    figures = machine.pass_by(2.0, cpu_s=0.5, received=4096, sent=1024)
    assert figures["cpu_pct"] == 25.0
    assert (figures["received_kib_s"], figures["sent_kib_s"]) == (2.0, 0.5)
    assert machine.pass_by(1.0)["received_kib_s"] == 0.0


def test_a_counter_that_begins_anew_does_not_lower_the_total():
    machine = Machine()
    machine.pass_by(1.0, received=5 * MIB, sent=MIB)
    machine.bytes = (0, 0)
    figures = machine.pass_by(1.0, received=MIB, sent=2 * MIB)
    assert (figures["received_mib"], figures["sent_mib"]) == (6.0, 3.0)
    assert figures["received_kib_s"] == 1024.0


def test_two_samples_at_one_instant_keep_the_last_rate_finite():
    machine = Machine()
    machine.pass_by(1.0)
    machine.pass_by(1.0, received=1024)
    assert machine.pass_by(0.0, received=1024)["received_kib_s"] == 2.0


def test_this_process_is_read_from_the_machine():
    use = process_use()
    assert use.cpu_s > 0
    assert use.rss_bytes is not None
    assert MIB < use.rss_bytes <= use.peak_rss_bytes
    assert use.threads >= 1
    read, write = os.pipe()
    try:
        assert process_use().open_files == use.open_files + 2
    finally:
        os.close(read)
        os.close(write)


@pytest.mark.parametrize("text", [None, "", "VmRSS:\nThreads:\tmany\n"])
def test_without_proc_a_figure_is_unknown_and_never_zero(tmp_path, text):
    if text is not None:
        (tmp_path / "status").write_text(text)
    use = process_use(tmp_path)
    assert (use.rss_bytes, use.peak_rss_bytes, use.threads, use.open_files) == (None,) * 4
    meter = ProcessMeter(
        clock=ManualClock(), bytes_of=lambda: (0, 0), use=lambda: process_use(tmp_path)
    )
    meter.sample()
    figures = meter.figures()
    assert (figures["rss_mib"], figures["open_files"]) == (None, None)
    json.dumps(figures, allow_nan=False)
