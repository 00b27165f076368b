"""No answer of the API tells a secret, whoever wrote the text that quotes it."""

import json

import pytest

from trading_system.api import answers, bodies
from trading_system.monitoring.redaction import Redactor

SECRET = 'pa"ss\\wörd-of-the-test'


@pytest.fixture
def redactor(monkeypatch: pytest.MonkeyPatch) -> Redactor:
    known = Redactor()
    known.add(SECRET)
    monkeypatch.setattr(answers, "REDACTOR", known)
    return known


def test_a_secret_is_masked_at_any_depth_and_nothing_else_changes(redactor: Redactor) -> None:
    content = {"a": [{"b": [[{"c": [{SECRET: [f"x {SECRET} y", 1.5, None, True]}]}]]}], "n": 7}
    told = json.loads(answers.encoded(content))
    assert told == {"a": [{"b": [[{"c": [{"***": ["x *** y", 1.5, None, True]}]}]]}], "n": 7}
    assert redactor.is_told_by(json.dumps(content))


@pytest.mark.usefixtures("redactor")
def test_without_a_secret_an_answer_is_left_as_it_is() -> None:
    content = {"api_key": "shown as it is", "deep": {"a": {"b": {"c": {"d": {"e": {"f": [1]}}}}}}}
    assert json.loads(answers.encoded(content)) == content


def test_a_reason_goes_into_the_journal_without_credentials() -> None:
    given = "see https://me:hunter2@example.org/x"
    assert "hunter2" not in bodies.ReasonRequest(reason=given).reason
    assert "hunter2" not in bodies.KillRequest(confirm="KILL", reason=given).reason
