"""The control API fuzzed from its own OpenAPI document: no 5xx, every answer as documented."""

import pytest
import schemathesis
from control_desk import FakeControl
from hypothesis import HealthCheck, Phase, settings
from inspection import FakeInspection, full_status
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from trading_system.api.app import create_app
from trading_system.api.tokens import Tokens
from trading_system.runtime.clock import ManualClock

pytestmark = pytest.mark.browser

TOKENS = Tokens(control="c0ntrol", read="r3ad")
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]
NAMES = {
    "/market/{symbol}": {"symbol": "BTCUSDT"},
    "/candles/{symbol}": {"symbol": "ETHUSDT"},
    "/alerts/{alert_id}/acknowledge": {"alert_id": "a3f1c2"},
}


class Control(FakeControl):
    def get_system_status(self):
        return full_status()


class TickingClock(ManualClock):
    """Every look lets enough time pass for one more read."""

    def monotonic_ns(self):
        self.advance(0.02)
        return super().monotonic_ns()


CONTROL = Control()
APP = create_app(CONTROL, CONTROL, FakeInspection(), tokens=TOKENS, clock=TickingClock())
SCHEMA = schemathesis.openapi.from_dict(APP.openapi())
SCHEMA.app = APP
FEW = settings(
    max_examples=12,
    deadline=None,
    derandomize=True,
    database=None,
    phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)


@pytest.mark.parametrize("token", [TOKENS.read, TOKENS.control], ids=["read", "control"])
@SCHEMA.parametrize()
@FEW
def test_every_answer_is_as_documented(case, token):
    before = len(CONTROL.calls)
    answer = send(case, token)
    case.validate_response(answer, checks=CHECKS)
    if token == TOKENS.read:
        assert len(CONTROL.calls) == before
        assert case.method != "POST" or answer.status_code in {401, 403, 429}


@SCHEMA.include(path=list(NAMES)).parametrize()
@FEW
def test_every_answer_about_something_known_is_as_documented(case):
    case.path_parameters = NAMES[case.path]
    case.validate_response(send(case, TOKENS.control), checks=CHECKS)


@SCHEMA.parametrize()
@settings(FEW, max_examples=3)
def test_without_a_token_every_route_refuses(case):
    assert send(case, "").status_code in {401, 405, 429}


def send(case, token):
    headers = {"Authorization": f"Bearer {token}", "Host": "127.0.0.1:8000"}
    return case.call(base_url="http://127.0.0.1:8000", headers=headers)
