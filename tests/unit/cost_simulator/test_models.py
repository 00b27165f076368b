"""Which fitted models estimates may ask."""

from pathlib import Path

import pytest

from optimizers.costs.documents import CostModelError
from optimizers.costs.maker_taker import MakerTakerModel
from optimizers.costs.slippage import SlippageModel
from trading_system.cost_simulator.models import OWN, SYNTHETIC, fitted_models


def test_shipped_models_are_for_the_synthetic_market_alone() -> None:
    simulated = fitted_models("simulated")
    assert simulated.maker is not None
    assert simulated.slippage is not None
    assert simulated.origin == SYNTHETIC
    for environment in ("testnet", "mainnet"):
        elsewhere = fitted_models(environment)
        assert elsewhere.maker is elsewhere.slippage is None


def test_models_of_a_folder_speak_everywhere(tmp_path: Path) -> None:
    maker, slippage = MakerTakerModel.load_shipped(), SlippageModel.load_shipped()
    assert maker is not None
    assert slippage is not None
    maker.save(tmp_path / "one")
    own = fitted_models("mainnet", tmp_path / "one")
    assert (own.maker is not None, own.slippage, own.origin) == (True, None, OWN)
    slippage.save(tmp_path / "two")
    own = fitted_models("mainnet", tmp_path / "two")
    assert (own.maker, own.slippage is not None) == (None, True)


def test_a_folder_without_models_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CostModelError, match=r"has no cost models; .*train --what costs"):
        fitted_models("simulated", tmp_path)
