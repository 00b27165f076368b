import pytest

from benchmarks.interleaved import child, compared, in_turns


class ScriptedChild:
    def __init__(self, log, name):
        self.log = log
        self.name = name
        self.asked = 0

    def ask(self, question):
        self.asked += 1
        self.log.append(self.name)
        return {"us": [float(self.asked)] * question["count"]}


def compare(ours, theirs, bar, *, higher_is_better=False):
    return compared(
        "x",
        ours,
        {"peer": (theirs, "1.0")},
        bars={"peer": bar},
        higher_is_better=higher_is_better,
    )


def test_children_take_turns_and_the_first_round_is_left_out():
    log = []
    children = {name: ScriptedChild(log, name) for name in ("a", "b")}
    samples = in_turns(children, {"count": 2}, rounds=2)
    assert log == ["a", "b"] * 3
    assert samples == {"a": [2.0, 2.0, 3.0, 3.0], "b": [2.0, 2.0, 3.0, 3.0]}


def test_a_ratio_of_medians_is_held_against_the_bar():
    (row,) = compare([1.0, 2.0, 90.0], [4.0, 4.0, 4.0], 0.5)
    assert (row.value, row.peer_value, row.ratio, row.met) == (2.0, 4.0, 0.5, True)
    (row,) = compare([2.1], [4.0], 0.5)
    assert not row.met


def test_times_faster_is_their_median_over_ours():
    (row,) = compare([2.0], [20.0], 10.0, higher_is_better=True)
    assert (row.ratio, row.met, row.bar) == (10.0, True, ">= 10 times faster than peer")


def test_a_peer_that_was_not_measured_has_no_row():
    assert compared("x", [1.0], {}, bars={"peer": 1.0}) == []


def test_our_own_script_that_does_not_get_ready_is_an_error():
    with pytest.raises(RuntimeError, match="did not get ready"), child("no_such_script.py"):
        pass
