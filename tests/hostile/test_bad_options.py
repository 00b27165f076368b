"""Misuse of ``trading-system venue`` ends in one clear line and exit code 2."""

import pytest

BAD_OPTIONS = {
    "negative port": ("--port", "-5"),
    "port too high": ("--port", "70000"),
    "port that is no number": ("--port", "http"),
    "unknown option": ("--bogus", "1"),
    "unknown market": ("--market", "casino"),
    "unknown symbol": ("--symbols", "NOSUCHUSDT"),
    "unknown limits": ("--limits", "none"),
    "activity not positive": ("--activity", "0"),
    "edge is not a number": ("--edge", "nan"),
    "replay without recording": ("--market", "replay"),
    "recording without replay": ("--recording", "somewhere.gz"),
    "missing recording": ("--market", "replay", "--recording", "/nowhere/book.txt.gz"),
    "ack delay negative": ("--ack-delay-ms", "-1"),
}


def assert_refused(outcome, *fragments):
    code, out, err = outcome
    assert code == 2, err
    assert out == ""
    assert len(err.strip().splitlines()) == 1, err
    assert "Traceback" not in err
    for fragment in fragments:
        assert fragment in err


@pytest.mark.parametrize("options", BAD_OPTIONS.values(), ids=BAD_OPTIONS.keys())
def test_bad_option_is_refused_with_one_line(run_venue, options):
    assert_refused(run_venue(*options))


def test_taken_port_is_refused_with_one_line(run_venue, start_venue):
    port = str(start_venue().address[1])
    assert_refused(run_venue("--port", port), port)


def test_recording_that_is_garbage_is_refused_with_one_line(run_venue, tmp_path):
    path = tmp_path / "binance_usdm_btcusdt.txt.gz"
    path.write_bytes(b"\x1f\x8b\x08\x00not a gzip file at all")
    assert_refused(run_venue("--market", "replay", "--recording", str(path)))
