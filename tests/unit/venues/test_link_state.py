import pytest

from trading_system.domain.errors import InvariantViolated
from trading_system.venues.link_state import TRANSITIONS, LinkLife, LinkState


@pytest.mark.parametrize("before", LinkState)
@pytest.mark.parametrize("after", LinkState)
def test_only_the_tables_transitions_are_possible(before: LinkState, after: LinkState) -> None:
    life = LinkLife()
    life.state = before
    if after is before or after in TRANSITIONS[before]:
        life.enter(after)
        assert life.state is after
    else:
        with pytest.raises(InvariantViolated):
            life.enter(after)
        assert life.state is before


def test_every_state_can_be_reached_and_every_open_one_can_be_closed() -> None:
    reached, ahead = {LinkState.IDLE}, [LinkState.IDLE]
    while ahead:
        new = TRANSITIONS[ahead.pop()] - reached
        reached |= new
        ahead += new
    assert reached == set(LinkState)
    assert all(LinkState.CLOSED in TRANSITIONS[s] for s in LinkState if s is not LinkState.CLOSED)
