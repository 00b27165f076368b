import pytest

from trading_system.domain.errors import ConfigurationError
from trading_system.simulation.faults.names import WIRE_FAULTS, Fault
from trading_system.simulation.faults.rules import MOMENTS, FaultRule, Moment
from trading_system.simulation.faults.schedule import MAX_BYTES, load_schedule, parse_schedule

LINES = """
{"fault": "gap", "topic": "orderbook.50.*", "after": 3}

{"fault": "delay",
 "path": "/v5/order/*", "delay_ms": 20, "stage": "request", "count": null}
"""
GAP = FaultRule(fault=Fault.GAP, topic="orderbook.50.*", after=3)


def test_lines_and_an_array_are_the_same_schedule():
    rules = parse_schedule(LINES, source="f")
    assert rules[0] == GAP
    assert (rules[1].delay_ms, rules[1].count) == (20, None)
    array = "[" + LINES.strip().replace("}\n", "},\n") + "]\n"
    assert parse_schedule(array, source="f") == rules
    assert parse_schedule(" \n", source="f") == parse_schedule("[]", source="f") == []


WRONG = [
    (
        '{"fault": "gap"}\n\n{"fault": "gap", "tipic": 1}',
        "f:3: unknown field tipic: use fault, path",
    ),
    ('[\n{"fault": "gap"},\n{"fault": "delay"}]', "f:3: delay needs delay_ms"),
    ('[{"fault": "gap"', "f:1: not a JSON array"),
    ('[{"fault": "gap", "probability": NaN}]', "probability|not finite"),
    ('{"fault": "gap", "probability": NaN}', "f:1: not a JSON object .not finite"),
    ('{"fault": "gap"', "f:1: not a JSON object .* write one rule like"),
    ("7", "f:1: a rule is a JSON object with at least fault"),
    ('{"fault": ["gap"]}', "f:1: unknown fault .'gap'.: use one of clock-skew, code-10002"),
    ('{"fault": "gap", "probability": 2}', "f:1: probability: expected `float` <= 1.0"),
    ('{"fault": "delay", "delay_ms": "5"}', "f:1: delay_ms: expected `float | null`, got `str`"),
    ('{"fault": "gap", "count": 0}', "count: expected `int` >= 1"),
    ('{"fault": "gap", "delay_ms": 5}', "delay_ms does not apply to gap: remove it"),
    ('{"fault": "gap", "stage": "reply"}', "stage does not apply to gap"),
    ('{"fault": "delay", "topic": "order", "delay_ms": 1, "stage": "reply"}', "remove it or topic"),
    ('{"fault": "http-5xx", "status": 404}', "status of http-5xx must be 500..599, was 404"),
    ('{"fault": "clock-skew"}', "clock-skew needs skew_ms"),
    ('{"fault": "clock-skew", "skew_ms": 9, "count": 2}', "count does not apply .* use until_s"),
    ('{"fault": "gap", "at_s": 5, "until_s": 5}', "until_s must be above at_s 5, was 5"),
    ('{"fault": "restart", "after": 2}', "after does not apply to restart here: use at_s"),
    ('{"fault": "restart", "path": "/v5/*"}', "restart strikes the whole venue: remove path"),
    ('{"fault": "half-open", "probability": 0.5}', "probability does not apply to half-open here"),
    ('{"fault": "http-403", "topic": "order"}', "http-403 does not strike pushes: remove topic"),
    ('{"fault": "duplicate", "path": "/v5/order/create"}', "give topic, or path /v5/trade/OP"),
    ('{"fault": "gap", "link_id": "x"}', "link_id is looked for in requests"),
    ('{"fault": "reset"}', "reset is a fault of the wire: give it to the TCP proxy"),
    ('{"fault": "reject-after-accept"}', "strikes new orders: give path /v5/order/create"),
]


@pytest.mark.parametrize(("text", "message"), WRONG, ids=[text[:40] for text, _ in WRONG])
def test_wrong_rule_is_named_with_its_line_and_remedy(text, message):
    with pytest.raises(ConfigurationError, match=message):
        parse_schedule(text, source="f")


def test_every_fault_is_one_of_the_venue_or_of_the_wire():
    assert set(MOMENTS) | WIRE_FAULTS == set(Fault)
    assert not set(MOMENTS) & WIRE_FAULTS


@pytest.mark.parametrize(
    ("text", "moments"),
    [
        ('{"fault": "gap"}', {Moment.PUSH}),
        ('{"fault": "stall", "topic": "orderbook.*"}', {Moment.PUSH}),
        ('{"fault": "stall", "path": "/v5/private"}', {Moment.CONNECTION}),
        ('{"fault": "delay", "delay_ms": 5}', {Moment.REST, Moment.TRADE}),
        ('{"fault": "delay", "delay_ms": 5, "topic": "*"}', {Moment.PUSH}),
        ('{"fault": "reorder", "path": "/v5/trade/order.create"}', {Moment.TRADE}),
        ('{"fault": "restart"}', {Moment.VENUE}),
    ],
)
def test_rule_is_asked_where_its_fault_can_strike(text, moments):
    (rule,) = parse_schedule(text, source="f")
    assert rule.moments == moments


def test_file_is_read_and_its_problems_name_it(tmp_path):
    path = tmp_path / "faults.jsonl"
    path.write_text(LINES)
    assert load_schedule(path)[0] == GAP
    path.write_bytes(b"\xff")
    with pytest.raises(ConfigurationError, match=r"faults\.jsonl is not UTF-8"):
        load_schedule(path)
    path.write_bytes(b" " * (MAX_BYTES + 1))
    with pytest.raises(ConfigurationError, match="larger than"):
        load_schedule(path)
    with pytest.raises(ConfigurationError, match=r"cannot read .* \(No such file"):
        load_schedule(tmp_path / "other")


def test_schedule_is_bounded():
    with pytest.raises(ConfigurationError, match="at most 1000 rules"):
        parse_schedule('{"fault": "gap"}\n' * 1001, source="f")
