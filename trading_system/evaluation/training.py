"""A training run: sessions in virtual time, walk-forward scores beside baselines, model files."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

import numpy as np

from agents.artifacts import Scaling
from agents.models.fitting import FittedModel, fit_boosting, fit_logistic, normal_probability
from agents.models.writing import write_models
from trading_system.domain.errors import ConfigurationError
from trading_system.domain.signals import FEATURE_NAMES
from trading_system.evaluation.datasets import (
    HORIZONS_S,
    SAMPLE_S,
    Array,
    Dataset,
    joined,
    sampled,
)
from trading_system.evaluation.scores import Scores, scored
from trading_system.evaluation.sessions import SyntheticPlan, decisions, replay_venue
from trading_system.evaluation.walk_forward import Fold, folds, timeline

HORIZON_S = HORIZONS_S[-1]
FOLDS = 4
EMBARGO_S = 30.0
MIN_INDEPENDENT = 60
"""Fewest horizons without overlap that a run learns from: ten minutes of one symbol."""

_MIN_PAST = 40
_FIRST_SEED = 1_001
_LONGEST_RECORDING_S = 86_400.0
_SHARE_RANGE = (0.02, 1.0)
_NOISE_RANGE = (0.1, 100.0)
_DIGITS = 6
_SHORT, _LONG = 0, len(HORIZONS_S) - 1

Progress = Callable[[str, int, int], None]
"""Called with what is being done, steps done and steps in all."""
Fit = Callable[[Array, Array], FittedModel]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingPlan:
    """What to train on and where to write.

    Parameters
    ----------
    source : str
        ``synthetic`` or ``recordings``.
    recordings : tuple of Path
        For ``recordings`` only: raw files as the replay market reads them.
    seeds : int
        Synthetic sessions, each with a seed of its own, at least 1.
    minutes : float
        Virtual length of a synthetic session, positive.
    """

    out: Path
    source: Literal["synthetic", "recordings"] = "synthetic"
    recordings: tuple[Path, ...] = ()
    seeds: int = 8
    minutes: float = 10.0

    def __post_init__(self) -> None:
        if (self.source == "recordings") != bool(self.recordings):
            raise ConfigurationError("--source recordings and --recordings PATH go together")
        if not 1 <= self.seeds <= 1_000:
            raise ConfigurationError(f"--seeds must be from 1 to 1000, was {self.seeds}")
        if not 0 < self.minutes <= 1_440:
            raise ConfigurationError(
                f"--minutes must be above 0 and at most 1440, was {self.minutes}"
            )

    def command(self) -> str:
        """Return the command that repeats this run; where to write does not matter to it."""
        words = ["trading-system", "train", "--source", self.source]
        if self.source == "recordings":
            for path in self.recordings:
                words += ["--recordings", path.name]
        else:
            words += ["--seeds", str(self.seeds), "--minutes", f"{self.minutes:g}"]
        return shlex.join(words)


def train(plan: TrainingPlan, *, progress: Progress) -> dict[str, Any]:
    """Run ``plan`` and return the manifest that was written.

    Raises
    ------
    ConfigurationError
        If there is too little data, a recording is unusable or the folder cannot be written;
        no file was changed in the first two cases.
    """
    data = collect(plan, progress=progress)
    independent = round(len(data) * SAMPLE_S / HORIZON_S)
    if independent < MIN_INDEPENDENT:
        raise ConfigurationError(
            f"too little data: {independent} independent horizons, at least {MIN_INDEPENDENT}"
            " are needed; give more --seeds, --minutes or --recordings"
        )
    judged = [Judged.of(fit, data) for fit in (fit_logistic, fit_boosting)]
    mirrored = data.mirrored()
    final: list[tuple[FittedModel, Scaling]] = []
    for number, fit in enumerate((fit_logistic, fit_boosting)):
        progress("fitting", number, 2)
        model = fit(mirrored.inputs, mirrored.moves[:, _LONG])
        final.append((model, judged[number].scaling))
    progress("fitting", 2, 2)
    scores = {model.name: each.scores for (model, _), each in zip(final, judged, strict=True)}
    facts = {
        "command": plan.command(),
        "data": _data_facts(plan, data),
        "versions": {name: version(name) for name in ("lightgbm", "numpy", "scikit-learn")},
        "walk_forward": {
            "horizon_s": HORIZON_S,
            "folds": FOLDS,
            "purged_s": HORIZON_S,
            "embargo_s": EMBARGO_S,
            "scores": {**scores, **baselines(data)},
        },
    }
    return write_models(plan.out, final, facts=facts)


def collect(plan: TrainingPlan, *, progress: Progress) -> Dataset:
    """Return the samples of all sessions of ``plan``."""
    parts: list[Dataset] = []
    if plan.source == "recordings":
        progress("reading recordings", 0, 1)
        venue = replay_venue(plan.recordings)
        parts += sampled(decisions(venue, seconds=_LONGEST_RECORDING_S), group=0)
        progress("reading recordings", 1, 1)
        return joined(parts)
    market = SyntheticPlan()
    for number in range(plan.seeds):
        progress("simulating", number, plan.seeds)
        seed = _FIRST_SEED + number
        session = decisions(market.venue(seed), seconds=plan.minutes * 60)
        parts += sampled(session, group=seed)
    progress("simulating", plan.seeds, plan.seeds)
    return joined(parts)


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """What one way of fitting is worth on data it has not seen."""

    scores: Scores
    scaling: Scaling

    @classmethod
    def of(cls, fit: Fit, data: Dataset) -> Judged:
        """Return the walk-forward result of ``fit``."""
        p_up: list[Array] = []
        expected: list[Array] = []
        tests: list[Dataset] = []
        for fold in _folds(data):
            past = data.part(fold.train).mirrored()
            model = fit(past.inputs, past.moves[:, _LONG])
            tests.append(data.part(fold.test))
            p_up.append(model.p_up(tests[-1].inputs))
            expected.append(model.score_bps(tests[-1].inputs))
        test, score = joined(tests), np.concatenate(expected)
        return cls(
            scores=_scored(np.concatenate(p_up), score, test),
            scaling=_scaling(score, test),
        )


def baselines(data: Dataset) -> dict[str, Scores]:
    """Return the scores of predicting nothing and of a ridge on book imbalance alone."""
    column = FEATURE_NAMES.index("imbalance")
    expected: list[Array] = []
    p_up: list[Array] = []
    tests: list[Dataset] = []
    for fold in _folds(data):
        past, test = data.part(fold.train), data.part(fold.test)
        x, y = past.inputs[:, column], past.moves[:, _LONG]
        slope = float(x @ y) / (float(x @ x) + 1.0)
        error = max(float(np.std(y - slope * x)), 1e-9)
        tests.append(test)
        expected.append(slope * test.inputs[:, column])
        p_up.append(normal_probability(expected[-1] / error))
    judged = joined(tests)
    flat = np.zeros(len(judged))
    return {
        "imbalance_ridge": _scored(np.concatenate(p_up), np.concatenate(expected), judged),
        "always_flat": _scored(flat + 0.5, flat, judged),
    }


def _folds(data: Dataset) -> Sequence[Fold]:
    made = list(folds(timeline(data), count=FOLDS, label_s=HORIZON_S, embargo_s=EMBARGO_S))
    for number, fold in enumerate(made, start=1):
        moves = data.moves[fold.train, _LONG]
        if np.count_nonzero(moves) < _MIN_PAST or not fold.test.any():
            raise ConfigurationError(
                f"too little data: fold {number} of {FOLDS} has no past to learn from; give more"
                " --seeds, --minutes or --recordings"
            )
    return made


def _scored(p_up: Array, expected: Array, test: Dataset) -> Scores:
    independent = round(len(test) * SAMPLE_S / HORIZON_S)
    return scored(p_up, expected, test.moves[:, _LONG], independent=independent)


def _scaling(score: Array, test: Dataset) -> Scaling:
    """Measure how fast a score is realised and how much noise surrounds it, out of sample."""
    squares = max(float(score @ score), 1e-12)
    short = float(score @ test.moves[:, _SHORT]) / squares
    long = float(score @ test.moves[:, _LONG]) / squares
    volatility = test.inputs[:, FEATURE_NAMES.index("volatility_bps")]
    implied = max(float(np.mean(volatility**2)) * HORIZON_S, 1e-12)
    noise = float(np.mean((test.moves[:, _LONG] - score) ** 2)) / implied
    share = short / long if long > 0 else _SHARE_RANGE[0]
    return Scaling(
        horizon_s=HORIZON_S,
        learning_share=round(float(np.clip(share, *_SHARE_RANGE)), _DIGITS),
        noise=round(float(np.clip(noise, *_NOISE_RANGE)), _DIGITS),
    )


def _data_facts(plan: TrainingPlan, data: Dataset) -> dict[str, Any]:
    facts: dict[str, Any] = {"source": plan.source}
    if plan.source == "recordings":
        facts["recordings"] = [path.name for path in plan.recordings]
    else:
        market = SyntheticPlan()
        facts |= {
            "symbols": list(market.symbols),
            "edge_bps": market.edge_bps,
            "seeds": [_FIRST_SEED + number for number in range(plan.seeds)],
            "minutes": plan.minutes,
        }
    return {**facts, "samples": len(data), "sha256": data.digest()}
