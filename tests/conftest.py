"""What all tests share: reproducible Hypothesis profiles, a clean environment, the recordings."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

DATA_VARIABLE = "TRADING_TEST_DATA"

# Settings of the developer's shell must not decide what the tests see.
for _name in [name for name in os.environ if name.startswith("TRADING_")]:
    if _name != DATA_VARIABLE:
        del os.environ[_name]

settings.register_profile(
    "test",
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.register_profile(
    "fuzz",
    deadline=None,
    max_examples=2000,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("fuzz" if os.environ.get("FUZZ") else "test")


@pytest.fixture(scope="session")
def recordings() -> Path:
    """Return the folder of real recordings; without it, data tests are skipped."""
    folder = os.environ.get(DATA_VARIABLE)
    if not folder:
        pytest.skip(f"{DATA_VARIABLE} is not set")
    path = Path(folder)
    assert path.is_dir(), f"{DATA_VARIABLE} does not name a folder: {folder}"
    return path
