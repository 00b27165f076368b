from __future__ import annotations

import pytest

from trading_system.dashboard.sessions import LINK_S, MAX_SESSIONS, Sessions
from trading_system.runtime.clock import ManualClock


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def sessions(clock):
    return Sessions(clock=clock, session_s=3600.0, control_s=60.0)


def logged_in(sessions):
    session_id = sessions.log_in(sessions.new_link())
    return session_id, sessions.find(session_id)


def test_a_link_logs_in_once(sessions):
    code = sessions.new_link()
    assert sessions.find(sessions.log_in(code)) is not None
    assert sessions.log_in(code) is None


def test_a_link_and_a_session_id_have_256_bits_and_are_never_the_same(sessions):
    codes = {sessions.new_link() for _ in range(5)}
    ids = {sessions.log_in(code) for code in codes}
    assert len(codes) == len(ids) == 5
    assert not codes & ids
    assert all(len(one) == 43 for one in codes | ids)


def test_a_link_ends_after_ten_minutes(sessions, clock):
    code = sessions.new_link()
    clock.advance(LINK_S)
    assert sessions.log_in(code) is None


def test_many_links_do_not_pile_up(sessions):
    first = sessions.new_link()
    for _ in range(8):
        last = sessions.new_link()
    assert sessions.log_in(first) is None
    assert sessions.log_in(last) is not None


def test_a_session_ends_with_its_time(sessions, clock):
    session_id, session = logged_in(sessions)
    clock.advance(3599)
    assert sessions.find(session_id) is session
    clock.advance(1)
    assert sessions.find(session_id) is None
    assert not sessions.is_alive(session)


def test_the_oldest_session_ends_when_there_are_too_many(sessions):
    first, _ = logged_in(sessions)
    others = [logged_in(sessions)[0] for _ in range(MAX_SESSIONS)]
    assert sessions.find(first) is None
    assert all(sessions.find(one) for one in others)


def test_log_out_ends_session_and_control(sessions):
    session_id, session = logged_in(sessions)
    sessions.give_control(session, "secret-token")
    sessions.log_out(session)
    assert sessions.find(session_id) is None
    assert sessions.control_token(session) is None
    assert session.control_token is None


def test_the_control_token_is_forgotten_after_its_time(sessions, clock):
    _, session = logged_in(sessions)
    assert sessions.control_token(session) is None
    sessions.give_control(session, "secret-token")
    assert sessions.control_token(session) == "secret-token"
    assert sessions.control_left_s(session) == 60.0
    clock.advance(60)
    assert sessions.control_left_s(session) == 0
    assert sessions.control_token(session) is None
    assert session.control_token is None


def test_five_failures_a_minute_lock_the_door(sessions, clock):
    for _ in range(5):
        assert not sessions.is_locked
        sessions.log_in("wrong")
    assert sessions.is_locked
    clock.advance(60)
    assert not sessions.is_locked


def test_a_session_shows_no_secret(sessions):
    session_id, session = logged_in(sessions)
    sessions.give_control(session, "secret-token")
    assert "secret-token" not in repr(session)
    assert session_id not in repr(session)


@pytest.mark.parametrize("text", ["", "ü", "x" * 5000, "\udcff"])
def test_nonsense_is_nobody(sessions, text):
    logged_in(sessions)
    assert sessions.find(text) is None
