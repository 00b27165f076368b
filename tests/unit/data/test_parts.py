import polars as pl
import pytest

from trading_system.data.parts import PartWriter, Row, RowKind, read_rows
from trading_system.domain.errors import ConfigurationError


def frame(at, symbol="ABCUSDT"):
    return Row(at, RowKind.FRAME, "linear", symbol, f"frame {at}")


def record(folder, *parts):
    writer = PartWriter(folder, longest_ns=100)
    for rows in parts:
        for row in rows:
            writer.add(row)
        writer.store(writer.take())
    return writer


def test_rows_come_back_in_order_over_all_parts(tmp_path):
    rows = [frame(at) for at in range(6)]
    writer = record(tmp_path / "new", rows[:2], rows[2:5], rows[5:])
    assert (writer.parts, writer.rows) == (3, 6)
    assert list(read_rows(tmp_path / "new")) == rows


def test_a_symbol_is_read_alone_with_the_connections(tmp_path):
    connected = Row(1, RowKind.CONNECTED, "linear", "", "ws://host")
    record(tmp_path, [connected, frame(2), frame(3, "XYZUSDT")])
    assert [row.received_ns for row in read_rows(tmp_path, symbol="XYZUSDT")] == [1, 3]


@pytest.mark.parametrize(("rows", "is_due"), [([0], False), ([0, 99], False), ([0, 100], True)])
def test_a_part_is_due_after_its_time(tmp_path, rows, is_due):
    writer = PartWriter(tmp_path, longest_ns=100)
    for at in rows:
        writer.add(frame(at))
    assert writer.is_due is is_due


def test_a_part_is_due_after_its_rows(tmp_path):
    writer = PartWriter(tmp_path, most_rows=2, longest_ns=100)
    assert not writer.is_due
    writer.add(frame(0))
    writer.add(frame(0))
    assert writer.is_due


def test_nothing_collected_writes_no_part(tmp_path):
    writer = PartWriter(tmp_path, longest_ns=100)
    writer.store(writer.take())
    assert not list(tmp_path.iterdir())


def test_what_a_killed_recorder_left_unfinished_is_no_part(tmp_path):
    record(tmp_path, [frame(1)])
    (tmp_path / "part-000001.growing").write_bytes(b"PAR1 half")
    assert [row.received_ns for row in read_rows(tmp_path)] == [1]


def test_a_folder_with_a_recording_is_not_written_into(tmp_path):
    record(tmp_path, [frame(1)])
    with pytest.raises(ConfigurationError, match="holds a recording already"):
        PartWriter(tmp_path, longest_ns=100)


def test_a_folder_that_cannot_be_made_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigurationError, match="cannot record into"):
        PartWriter(tmp_path / "file" / "below", longest_ns=100)


def test_a_disk_that_refuses_is_named(tmp_path):
    writer = PartWriter(tmp_path / "gone", longest_ns=100)
    (tmp_path / "gone").rmdir()
    writer.add(frame(1))
    with pytest.raises(ConfigurationError, match=r"cannot write .*part-000000"):
        writer.store(writer.take())


def test_missing_and_damaged_parts_are_refused(tmp_path):
    with pytest.raises(ConfigurationError, match="no finished part"):
        list(read_rows(tmp_path))
    record(tmp_path, [frame(1)], [frame(2)])
    (tmp_path / "part-000000.parquet").rename(tmp_path / "part-000002.parquet")
    with pytest.raises(ConfigurationError, match="lacks part 0"):
        list(read_rows(tmp_path))
    (tmp_path / "part-000002.parquet").rename(tmp_path / "part-000000.parquet")
    (tmp_path / "part-000001.parquet").write_bytes(b"PAR1 half")
    with pytest.raises(ConfigurationError, match=r"part-000001.parquet cannot be read"):
        list(read_rows(tmp_path))


@pytest.mark.parametrize("column", ["kind", "received_ns"])
def test_parts_of_another_shape_are_refused(tmp_path, column):
    record(tmp_path, [frame(1)])
    path = tmp_path / "part-000000.parquet"
    pl.read_parquet(path).with_columns(pl.lit("other").alias(column)).write_parquet(path)
    with pytest.raises(ConfigurationError, match=r"other columns|of kind 'other'"):
        list(read_rows(tmp_path))
