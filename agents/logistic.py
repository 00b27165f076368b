"""Logistic agent: plain coefficients from a checked JSON file.

The model gives the log odds that the mid will be higher after the horizon; on the training market
a unit of log odds was worth ``bps_per_logit`` basis points on average. Features are standardised
with the training market's mean and deviation, and cut off at ``_CLIP`` deviations so that one
freak value cannot carry an opinion.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from operator import attrgetter
from pathlib import Path

from typing_extensions import override

from agents.artifacts import SHIPPED, ModelFileError, finite, finite_row, load, read_object
from agents.calibration import CalibrationParameters
from agents.scored import ScoredAgent
from trading_system.domain.signals import FEATURE_NAMES, MarketFeatures

CLIP = 5.0
"""Largest standardised input, deviations."""

_row = attrgetter(*FEATURE_NAMES)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogisticModel:
    """Coefficients of one model, each row in the order of ``FEATURE_NAMES``.

    Parameters
    ----------
    centres, scales : tuple of float
        Standardisation: (input - centre) / scale, scales positive.
    weights : tuple of float
        Log odds per standardised input.
    intercept : float
        Log odds at the centre.
    bps_per_logit : float
        Mean move over the horizon per unit of log odds, basis points.
    """

    centres: tuple[float, ...]
    scales: tuple[float, ...]
    weights: tuple[float, ...]
    intercept: float
    bps_per_logit: float

    def logit(self, features: MarketFeatures) -> float:
        """Return the log odds of a higher mid."""
        total = self.intercept
        rows = zip(_row(features), self.centres, self.scales, self.weights, strict=True)
        for value, centre, scale, weight in rows:
            total += weight * max(-CLIP, min(CLIP, (value - centre) / scale))
        return total

    def p_up(self, features: MarketFeatures) -> float:
        """Return the training market's probability of a higher mid, in [0, 1]."""
        return 1.0 / (1.0 + math.exp(-max(-700.0, min(700.0, self.logit(features)))))

    def score_bps(self, features: MarketFeatures) -> float:
        """Return the training market's mean move at these features, basis points."""
        return self.bps_per_logit * self.logit(features)


def parse_logistic(text: str) -> LogisticModel:
    """Return the model that a JSON document spells.

    Raises
    ------
    ModelFileError
        If a key is missing, unknown or not as many finite numbers as there are features.
    """
    given = read_object(text, "logistic model")
    unknown = set(given) ^ set(LogisticModel.__slots__)
    if unknown:
        raise ModelFileError(f"logistic model: missing or unknown keys {sorted(unknown)}")
    model = LogisticModel(
        centres=finite_row(given["centres"], "centres"),
        scales=finite_row(given["scales"], "scales"),
        weights=finite_row(given["weights"], "weights"),
        intercept=finite(given["intercept"], "intercept"),
        bps_per_logit=finite(given["bps_per_logit"], "bps_per_logit"),
    )
    if min(model.scales) <= 0:
        raise ModelFileError("logistic model: scales must be positive")
    return model


class LogisticAgent(ScoredAgent):
    """One symbol's logistic model with online calibration.

    Parameters
    ----------
    folder : Path
        Folder of models with a manifest. If the files do not pass the checks the agent abstains
        for good and :attr:`reason` says why.
    """

    name = "logistic"
    family = "linear"

    def __init__(self, symbol: str, *, folder: Path = SHIPPED) -> None:
        self._model: LogisticModel | None = None
        self._failure = ""
        parameters = CalibrationParameters()
        try:
            artifact = load(self.name, folder=folder)
            self._model = parse_logistic(artifact.text)
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
        return None if self._model is None else self._model.score_bps(features)
