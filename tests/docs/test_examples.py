"""Examples are run, not only shown."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

from agents.conformance import check_signal_model
from trading_system.runtime.clock import SystemClock

EXAMPLES = Path(__file__).parents[2] / "examples"


def loaded(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"example_{name}", EXAMPLES / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module


def test_the_example_of_an_own_agent_conforms_and_speaks() -> None:
    report = check_signal_model(loaded("my_signal").MySignal, clock=SystemClock())
    assert report.agent == "my_signal"
    assert report.opinions > 100


def test_the_example_of_an_own_agent_is_short() -> None:
    lines = (EXAMPLES / "my_signal.py").read_text().splitlines()
    assert len([line for line in lines if line.strip()]) <= 25
