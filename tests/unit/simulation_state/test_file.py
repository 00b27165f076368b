"""A state file that cannot be used ends the start with one line naming file and remedy."""

import zlib

import pytest
from state_rig import Life, head

from trading_system.domain.errors import ConfigurationError, CorruptDataError
from trading_system.domain.orders import Side
from trading_system.simulation.state.entries import (
    AccountState,
    Head,
    Links,
    Step,
    to_entry,
    to_line,
)
from trading_system.simulation.state.file import StateFile
from trading_system.simulation.state.saved import add_up


@pytest.fixture
def path(tmp_path):
    return tmp_path / "venue.state"


@pytest.fixture
def lines(path):
    with Life(path) as life:
        life.trade(Side.BUY, "3")
        life.trade(Side.BUY, "3", "9.80")
    return path.read_bytes().splitlines(keepends=True)


def refusal(path):
    with StateFile(path) as file, pytest.raises(ConfigurationError) as refused:
        file.load()
    message = str(refused.value)
    assert "\n" not in message
    assert str(path) in message
    return message


def test_no_file_and_an_empty_file_are_a_new_exchange(path):
    with StateFile(path) as file:
        assert file.load() is None
        path.touch()
        assert file.load() is None


@pytest.mark.parametrize("data", [b"hello\n", b"{}\n", b"\x00" * 100, b"no newline", b"\n"])
def test_a_foreign_file_is_refused_and_left_alone(path, data):
    path.write_bytes(data)
    assert "move it away" in refusal(path)
    assert path.read_bytes() == data


def test_another_version_is_refused_by_number(path):
    future = Head(version=9, market="synthetic", seed=1, generation=0, accounts=[])
    path.write_bytes(to_line(future))
    assert "version 9" in refusal(path)


def test_a_flipped_byte_is_noticed_with_its_line(path, lines):
    damaged = bytearray(lines[-2])
    damaged[len(damaged) // 2] ^= 1
    path.write_bytes(b"".join([*lines[:-2], bytes(damaged), lines[-1]]))
    assert f"line {len(lines) - 1}" in refusal(path)


def test_a_valid_line_of_another_shape_is_refused(path, lines):
    strange = to_line(Step(accounts=[])).replace(b"accounts", b"accouMts")
    text = strange[9:-1]
    path.write_bytes(lines[0] + b"%08x %b\n" % (zlib.crc32(text), text))
    assert "line 2" in refusal(path)


def test_file_in_use_is_refused(path):
    with StateFile(path):
        second = StateFile(path)
        with pytest.raises(ConfigurationError, match="in use"):
            second.__enter__()


def test_missing_folder_is_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="writable folder"):
        StateFile(tmp_path / "none" / "x").__enter__()


def test_a_folder_in_place_of_the_file_is_refused(path):
    path.mkdir()
    assert "cannot be used" in refusal(path)


def test_a_replacement_that_cannot_be_written_is_refused(path):
    with StateFile(path) as file:
        path.with_name("venue.state.new-1").mkdir()
        with pytest.raises(ConfigurationError, match="cannot be used"):
            file.replace([b"x"])
        path.with_name("venue.state.new-1").rmdir()
        with pytest.raises(ConfigurationError, match="cannot be used"):
            file.adopt(path.with_name("nowhere"))


def test_only_the_owner_may_read_the_secrets(path, lines):
    assert lines
    assert path.stat().st_mode & 0o077 == 0


def test_large_content_is_written_whole(path):
    with StateFile(path) as file:
        file.replace(b"%099d\n" % number for number in range(3_000))
        assert file.size_bytes == 300_000
        file.append(b"tail\n")
        assert path.read_bytes().endswith(b"%099d\ntail\n" % 2_999)


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [Step(accounts=[])],
        [head(), head()],
        [head(), Links(account_id=9, pairs=[("a", "b")])],
        [
            head(),
            Step(accounts=[AccountState(account_id=9, cash=0, realised=0, fees=0, funding=0)]),
        ],
    ],
)
def test_entries_that_do_not_belong_together_are_refused(entries):
    with pytest.raises(CorruptDataError):
        add_up(entries)


def test_an_entry_survives_its_line():
    entry = Links(account_id=1, pairs=[("a", "b")])
    assert to_entry(to_line(entry)[:-1]) == entry


def test_file_of_version_1_is_read_with_the_defaults_of_what_it_lacks(path):
    with StateFile(path) as file:
        file.replace([to_line(Head(version=1, market="m", seed=1, generation=0, accounts=[]))])
    with StateFile(path) as file:
        saved = file.load()
    assert saved is not None
    assert saved.head.version == 1
