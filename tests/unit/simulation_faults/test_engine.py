import pytest

from trading_system.domain.errors import ConfigurationError
from trading_system.simulation.faults.engine import FaultEngine
from trading_system.simulation.faults.names import Fault
from trading_system.simulation.faults.rules import FaultRule, Moment, Stage

CREATE = "/v5/order/create"


class Ticking:
    def __init__(self):
        self.now_s = 100.0

    def monotonic_ns(self):
        return round(self.now_s * 1e9)

    def utc_ns(self):
        raise AssertionError("only monotonic time decides")


def engine_of(*rules, seed=1):
    clock = Ticking()
    return FaultEngine(seed=seed, clock=clock, rules=rules), clock


def strikes(engine, count, *, path=CREATE, moment=Moment.REST, **event):
    return [engine.meet(moment, path=path, **event) is not None for _ in range(count)]


def test_rule_passes_over_its_first_events_and_is_then_spent():
    engine, _ = engine_of(FaultRule(fault=Fault.HTTP_403, after=2, count=2))
    assert strikes(engine, 6) == [False, False, True, True, False, False]
    assert not engine.watches(Moment.REST)
    (armed,) = engine.armed()
    assert (armed.met, armed.struck, armed.is_spent) == (4, 2, True)
    assert engine.counts() == {"http-403": 2}


def test_time_counts_from_arming_and_ends():
    engine, clock = engine_of(FaultRule(fault=Fault.GAP, at_s=10, until_s=20, count=None))
    seen = []
    for now_s in (100, 109.9, 110, 119.9, 120):
        clock.now_s = now_s
        seen += strikes(engine, 1, moment=Moment.PUSH, topic="order")
    assert seen == [False, False, True, True, False]


@pytest.mark.parametrize(
    ("patterns", "event", "is_struck"),
    [
        ({"path": "/v5/order/*"}, {"path": CREATE}, True),
        ({"path": "/v5/order/c*"}, {"path": "/v5/order/amend"}, False),
        ({"link_id": "x-*"}, {"link_ids": ["y", "x-1"]}, True),
        ({"link_id": "x-*"}, {"link_ids": []}, False),
        ({"path": CREATE, "link_id": "x"}, {"path": "/v5/order/amend", "link_ids": ["x"]}, False),
    ],
)
def test_every_pattern_must_fit(patterns, event, is_struck):
    engine, _ = engine_of(FaultRule(fault=Fault.HTTP_403, **patterns))
    assert strikes(engine, 1, **event) == [is_struck]


def test_same_seed_same_faults_and_rules_do_not_disturb_each_other():
    rule = FaultRule(fault=Fault.HTTP_403, probability=0.3, count=None)
    other = FaultRule(fault=Fault.GAP, probability=0.5, count=None)
    first = strikes(engine_of(rule)[0], 200)
    assert first == strikes(engine_of(rule)[0], 200)
    assert first != strikes(engine_of(rule, seed=2)[0], 200)
    assert 30 < sum(first) < 90
    busy, _ = engine_of(rule, other)
    seen = []
    for _ in range(200):
        busy.meet(Moment.PUSH, topic="order")
        seen += strikes(busy, 1)
    assert seen == first


def test_first_armed_rule_strikes_and_a_later_one_still_counts_the_event():
    early = FaultRule(fault=Fault.HTTP_403)
    late = FaultRule(fault=Fault.HTML_PAGE, after=1)
    engine, _ = engine_of(early, late)
    faults = [engine.meet(Moment.REST, path=CREATE) for _ in range(3)]
    assert faults == [early, late, None]


def test_lasting_fault_holds_in_its_time_and_counts_once():
    skew = FaultRule(fault=Fault.CLOCK_SKEW, skew_ms=-2000, at_s=1, until_s=3)
    engine, clock = engine_of(skew)
    assert engine.lasting(Fault.CLOCK_SKEW) is None
    clock.now_s += 1
    assert engine.lasting(Fault.CLOCK_SKEW) is skew is engine.lasting(Fault.CLOCK_SKEW)
    assert engine.lasting(Fault.HISTORY_LAG) is None
    assert engine.meet(Moment.VENUE) is None
    assert engine.counts() == {"clock-skew": 1}
    assert not engine.armed()[0].is_spent
    engine.clear()
    assert engine.lasting(Fault.CLOCK_SKEW) is None


def test_rules_are_cleared_by_number_or_all_at_once():
    rule = FaultRule(fault=Fault.GAP, count=None)
    engine, _ = engine_of(rule)
    assert engine.arm([rule, rule]) == [2, 3]
    assert (engine.clear(2), engine.clear(2), engine.clear()) == (1, 0, 2)
    assert engine.armed() == []
    assert not engine.watches(Moment.PUSH)
    assert engine.arm([rule]) == [4]


def test_rules_are_bounded():
    engine, _ = engine_of()
    with pytest.raises(ConfigurationError, match="at most 1000 rules"):
        engine.arm([FaultRule(fault=Fault.GAP)] * 1001)
    assert engine.armed() == []


def test_only_a_request_that_passed_is_performed():
    acting = {
        fault
        for fault in Fault
        if FaultRule(fault=fault).acts and Moment.REST in FaultRule(fault=fault).moments
    }
    assert acting == {Fault.DROP_AFTER_ACCEPT, Fault.DELAY, Fault.REJECT_AFTER_ACCEPT}
    assert FaultRule(fault=Fault.CODE_10016, stage=Stage.REPLY).acts
