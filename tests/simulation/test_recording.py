"""The recorder against a venue over loopback, and what the replay command says of its folder."""

import asyncio
import json

import public_frames as frames
import pytest
from server_rig import serving

from trading_system.cli import record
from trading_system.cli.main import run_command
from trading_system.cli.replay import describe, table, verified
from trading_system.data.parts import PartWriter, Row, RowKind
from trading_system.domain.errors import ConfigurationError
from trading_system.runtime.clock import SystemClock


def plan(out, source="http://127.0.0.1:9", **given):
    given = {"symbols": ["ABCUSDT"], "duration_s": 0.6, "depth": 50, "part_s": 0.2, **given}
    return record.RecordingPlan(out=out, source=source, **given)


async def test_what_is_recorded_is_sound_and_replays(tmp_path):
    async with serving() as source:
        wanted = plan(tmp_path / "own", source.server.rest_url)
        async with asyncio.TaskGroup() as group:
            recording = group.create_task(record._record(wanted, SystemClock()))
            for quantity in ("1.0", "0.7", "1.5"):
                await asyncio.sleep(0.12)
                await source.create(orderType="Market", qty=quantity)
        answer = recording.result()
    assert (answer["interruptions"], answer["symbols"]) == (0, ["ABCUSDT"])
    assert answer["parts"] >= 2
    assert answer["frames"] > 5
    verdict = verified([tmp_path / "own"])
    (row,) = verdict["symbols"]
    assert verdict["sound"]
    assert (row["gaps"], row["crossed"], row["snapshots"]) == (0, 0, 1)
    assert row["trades"] >= 2
    assert len(table(verdict)[1][0]) == len(table(verdict)[0])
    assert describe([tmp_path / "own"])["symbols"][0]["qty_step"] == "0.1"


async def test_a_symbol_that_is_not_listed_is_refused(tmp_path):
    async with serving() as source:
        wanted = plan(tmp_path / "own", source.server.rest_url, symbols=["XYZUSDT"])
        with pytest.raises(ConfigurationError, match="does not list XYZUSDT"):
            await record._record(wanted, SystemClock())


def test_a_host_that_does_not_answer_is_misuse(tmp_path, capsys):
    arguments = ["record", "--environment", "http://127.0.0.1:9", "--out", str(tmp_path / "o")]
    assert run_command(arguments) == 2
    assert "does not tell its instruments" in capsys.readouterr().err


@pytest.mark.parametrize(
    "given",
    [{"depth": 7}, {"symbols": []}, {"symbols": ["A", "A"]}],
    ids=["depth", "none", "twice"],
)
def test_impossible_plans_are_refused(tmp_path, given):
    with pytest.raises(ConfigurationError):
        plan(tmp_path, **given)


def test_an_unsound_recording_exits_with_1(tmp_path, capsys):
    writer = PartWriter(tmp_path / "own", longest_ns=1)
    writer.add(Row(1, RowKind.INSTRUMENT, "linear", "ABCUSDT", json.dumps(frames.ROW)))
    for number, frame in enumerate((frames.snapshot(7), frames.book(9))):
        writer.add(Row(2 + number, RowKind.FRAME, "linear", "ABCUSDT", frame))
    writer.store(writer.take())
    assert run_command(["replay", "--verify", "--json", str(tmp_path / "own")]) == 1
    assert not json.loads(capsys.readouterr().out)["sound"]
    assert run_command(["replay", str(tmp_path / "own")]) == 0
