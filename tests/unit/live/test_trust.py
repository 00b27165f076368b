from trading_system.live.trust import Rhythm

MS = 1_000_000


def after(*gaps_ms: int, times: int = 1_100) -> Rhythm:
    rhythm, now_ns = Rhythm(), 0
    for number in range(times):
        now_ns += gaps_ms[number % len(gaps_ms)] * MS
        rhythm.beat(now_ns)
    return rhythm


def test_a_rhythm_says_nothing_before_a_thousand_gaps() -> None:
    assert after(20, times=1_000).limit_ns is None
    assert after(20, times=1_100).limit_ns is not None


def test_the_limit_is_eight_times_the_tail_within_its_bounds() -> None:
    assert after(20).limit_ns == 1_500 * MS
    assert after(200).limit_ns == 8 << 28  # 200 ms are below 2 ** 28 ns
    assert after(3_000).limit_ns == 3_500 * MS


def test_one_gap_in_a_thousand_does_not_set_the_limit() -> None:
    assert after(*[20] * 1_999, 3_000, times=4_000).limit_ns == 1_500 * MS
    assert after(*[20] * 99, 3_000, times=4_000).limit_ns == 3_500 * MS


def test_old_gaps_count_less_and_less() -> None:
    rhythm, now_ns = Rhythm(), 0
    for gap_ms, times in ((400, 2_000), (20, 120_000)):
        for _ in range(times):
            now_ns += gap_ms * MS
            rhythm.beat(now_ns)
        if gap_ms == 400:
            assert rhythm.limit_ns == 3_500 * MS
    assert rhythm.limit_ns == 1_500 * MS


def test_the_time_while_the_stream_was_cut_is_no_gap() -> None:
    rhythm = after(20)
    for number in range(600):
        rhythm.pause()
        rhythm.beat(number * 10_000 * MS)
    assert rhythm.limit_ns == 1_500 * MS
