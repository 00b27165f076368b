"""Which fitted cost models an estimate may use: the shipped ones know the synthetic market only."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from optimizers.costs import documents, maker_taker, slippage
from optimizers.costs.documents import CostModelError
from optimizers.costs.maker_taker import MakerTakerModel
from optimizers.costs.slippage import SlippageModel

SYNTHETIC = "synthetic market"
"""Where the shipped models were fitted."""
OWN = "own models"
"""Where models of a user's folder come from, as far as anybody here knows."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FittedModels:
    """Models that estimates ask; None where there is none, or where none may be trusted.

    Parameters
    ----------
    origin : str
        What they were fitted on, to be shown beside what they say.
    """

    maker: MakerTakerModel | None
    slippage: SlippageModel | None
    origin: str


def fitted_models(environment: str, folder: Path | None = None) -> FittedModels:
    """Return the models of ``folder``, else the shipped ones in ``simulated``, else none.

    What was learned on the synthetic market forecasts directions and fills that a real market does
    not owe anybody; elsewhere volatility and touch probability speak unless a user names models.

    Raises
    ------
    CostModelError
        If a model is damaged, or the folder has none.
    """
    if folder is not None:
        has_maker, has_slippage = (
            documents.has_model(folder, name) for name in (maker_taker.NAME, slippage.NAME)
        )
        if not (has_maker or has_slippage):
            raise CostModelError(
                f"{folder} has no cost models; make some with `trading-system train --what costs`"
            )
        return FittedModels(
            maker=MakerTakerModel.load(folder) if has_maker else None,
            slippage=SlippageModel.load(folder) if has_slippage else None,
            origin=OWN,
        )
    if environment == "simulated":
        return FittedModels(
            maker=MakerTakerModel.load_shipped(),
            slippage=SlippageModel.load_shipped(),
            origin=SYNTHETIC,
        )
    return FittedModels(maker=None, slippage=None, origin=OWN)
