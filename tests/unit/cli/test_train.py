"""The command that trains the cost models; what it trains is tested with the evaluation."""

import json
from pathlib import Path
from typing import Any

import pytest

from optimizers.costs.documents import MANIFEST, SHIPPED
from trading_system.cli.train import report_costs


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        (["--what", "everything"], "--what"),
        (["--what", "costs", "--source", "recordings", "--recordings", "x.gz"], "--what costs"),
        (["--what", "costs", "--seeds", "1001"], "--seeds"),
        (["--what", "costs", "--minutes", "1441"], "--minutes"),
    ],
)
async def test_misuse_is_one_line_that_names_the_option(
    command: Any, arguments: list[str], names: str
) -> None:
    outcome = await command("train", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    (line,) = outcome.err.splitlines()
    assert names in line


async def test_too_little_data_for_cost_models_is_one_line_and_no_file(
    command: Any, tmp_path: Path
) -> None:
    outcome = await command("train", "--what", "costs", "--seeds", "1", "--minutes", "0.1")
    assert outcome.code == 2
    assert "too little data" in outcome.err
    assert not (tmp_path / "models").exists()


@pytest.mark.usefixtures("folder")
def test_people_get_tables_beside_the_baselines(capsys: pytest.CaptureFixture[str]) -> None:
    report_costs(json.loads((SHIPPED / MANIFEST).read_bytes()), out=SHIPPED, as_json=False)
    shown = capsys.readouterr()
    for name in ("model", "touch_probability", "volatility_interval"):
        assert name in shown.out
    assert "models and manifest written" in shown.err


def test_programs_get_the_manifest(capsys: pytest.CaptureFixture[str]) -> None:
    manifest = json.loads((SHIPPED / MANIFEST).read_bytes())
    report_costs(manifest, out=SHIPPED, as_json=True)
    assert json.loads(capsys.readouterr().out) == manifest
