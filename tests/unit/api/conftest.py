"""What the API's tests share: an application over fakes, and clients with either token."""

from collections.abc import Callable
from dataclasses import dataclass, field

import httpx
import pytest
from control_desk import FakeControl
from inspection import FakeInspection, full_status

from trading_system.api.app import ControlApi, create_app
from trading_system.api.tokens import Tokens
from trading_system.runtime.clock import ManualClock

TOKENS = Tokens(control="c0ntrol", read="r3ad")


class FullControl(FakeControl):
    """A control whose status has every key."""

    def get_system_status(self):
        return full_status(state=self.state)


@dataclass
class Desk:
    """One application and everything behind it."""

    control: FakeControl = field(default_factory=FullControl)
    inspection: FakeInspection = field(default_factory=FakeInspection)
    clock: ManualClock = field(default_factory=ManualClock)

    def __post_init__(self) -> None:
        self.app: ControlApi = create_app(
            self.control, self.control, self.inspection, tokens=TOKENS, clock=self.clock
        )

    def client(self, token: str = TOKENS.control, **headers: str) -> httpx.AsyncClient:
        """Return a client of the application that sends ``token``."""
        return httpx.AsyncClient(
            transport=httpx.ASGITransport(app=self.app, raise_app_exceptions=False),
            base_url="http://127.0.0.1:8000",
            headers={"Authorization": f"Bearer {token}", **headers},
        )


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def desk_of() -> Callable[..., Desk]:
    return Desk
