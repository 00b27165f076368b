"""Gradient boosting agent: regression trees on the features, through LightGBM's C library."""

from __future__ import annotations

from operator import attrgetter
from pathlib import Path

from typing_extensions import override

from agents.artifacts import SHIPPED, ModelFileError, load
from agents.calibration import CalibrationParameters
from agents.lightgbm_library import SingleRowBooster
from agents.scored import ScoredAgent
from trading_system.domain.signals import FEATURE_NAMES, MarketFeatures

_row = attrgetter(*FEATURE_NAMES)


class GradientBoostingAgent(ScoredAgent):
    """One symbol's boosted trees with online calibration.

    Parameters
    ----------
    folder : Path
        Folder of models with a manifest. If the files do not pass the checks, or the library
        cannot be loaded, the agent abstains for good and :attr:`reason` says why.
    library : Path or None
        LightGBM's library, None for the installed one.
    """

    name = "gradient_boosting"
    family = "trees"

    def __init__(self, symbol: str, *, folder: Path = SHIPPED, library: Path | None = None) -> None:
        self._booster: SingleRowBooster | None = None
        self._failure = ""
        parameters = CalibrationParameters()
        try:
            artifact = load(self.name, folder=folder)
            self._booster = SingleRowBooster(
                artifact.text, features=len(FEATURE_NAMES), library=library
            )
            parameters = CalibrationParameters.trained(artifact.scaling)
        except ModelFileError as e:
            self._failure = str(e)
        super().__init__(symbol, parameters)

    @property
    @override
    def reason(self) -> str:
        """Why the agent abstains, empty when it does not."""
        return self._failure or super().reason

    @override
    def score(self, features: MarketFeatures) -> float | None:
        """Return the training market's mean move at these features, basis points."""
        return None if self._booster is None else self._booster.predict(_row(features))

    def close(self) -> None:
        """Free the library's memory; the agent abstains from now on."""
        if self._booster is not None:
            self._booster.close()
            self._booster = None
            self._failure = "closed"
