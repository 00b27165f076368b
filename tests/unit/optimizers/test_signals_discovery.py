from __future__ import annotations

import sys
from importlib.metadata import EntryPoint

import pytest

from optimizers.signals.discovery import GROUP, find_factory, load_agents, make_agent
from trading_system.domain.errors import ConfigurationError

GOOD = """
class Mine:
    name = "mine"
    family = "own"
    def __init__(self, symbol): self.symbol = symbol
    def observe(self, features): pass
    def opinion(self, features): return None
    def reset(self): pass

def numbered(symbol):
    agent = Mine(symbol)
    agent.name = "numbered"
    return agent

class Half:
    name = ""
    family = "own"
    def __init__(self, symbol): pass
    def observe(self, features): pass

class Picky:
    def __init__(self): pass

text = "no factory"
"""


@pytest.fixture
def here(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    (tmp_path / "found_signal.py").write_text(GOOD)
    (tmp_path / "broken_signal.py").write_text("1 / 0\n")
    (tmp_path / "needy_signal.py").write_text("import no_such_library_anywhere\n")
    yield tmp_path
    for name in ("found_signal", "broken_signal", "needy_signal"):
        sys.modules.pop(name, None)


def point(name: str, value: str) -> EntryPoint:
    return EntryPoint(name, value, GROUP)


def test_a_file_in_the_current_directory_is_found(here) -> None:
    agents = load_agents("BTCUSDT", ("found_signal:Mine",), installed=())
    assert [(agent.name, agent.symbol) for agent in agents] == [("mine", "BTCUSDT")]


def test_installed_agents_come_first_sorted_by_their_entry_point(here) -> None:
    points = [point("z", "found_signal:Mine"), point("a", "found_signal:numbered")]
    sys.path.append(str(here))
    agents = load_agents("BTCUSDT", ("found_signal:Mine",), installed=points)
    assert [agent.name for agent in agents] == ["numbered", "mine", "mine"]


def test_a_broken_installed_agent_is_left_out(here) -> None:
    sys.path.append(str(here))
    points = [
        point("a", "broken_signal:Any"),
        point("b", "found_signal:Half"),
        point("c", "no_such_module_anywhere:Any"),
        point("d", "found_signal:Mine"),
    ]
    assert [agent.name for agent in load_agents("BTCUSDT", installed=points)] == ["mine"]


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("found_signal", "not of the form module:Class"),
        (":Mine", "not of the form"),
        ("found_signal:Missing", "has no Missing; check the spelling"),
        ("absent_signal:Mine", "put absent_signal.py into the current directory"),
        ("absent.signal:Mine", "there is no module absent.signal"),
        ("broken_signal:Mine", "failed on import .ZeroDivisionError.*correct the file"),
        ("needy_signal:Mine", "install no_such_library_anywhere"),
        ("found_signal:Half", "lacks opinion, reset, name"),
        ("found_signal:Picky", "its constructor must accept the symbol alone"),
        ("found_signal:text", "not callable"),
    ],
)
def test_a_named_agent_that_does_not_work_says_what_to_do(here, name, words) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        load_agents("BTCUSDT", (name,), installed=())
    assert name in str(caught.value)


def test_the_parts_can_be_used_alone(here) -> None:
    factory = find_factory("found_signal:Mine")
    assert make_agent(factory, "ETHUSDT", what="mine").name == "mine"


def test_the_installed_group_is_read_by_default() -> None:
    assert all(agent.name for agent in load_agents("BTCUSDT"))
