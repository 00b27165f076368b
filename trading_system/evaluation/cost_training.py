"""A training run of the cost models: synthetic markets, scores on unseen seeds, model files."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy as np

from optimizers.costs import documents, maker_taker, slippage
from optimizers.costs.estimate import LATENCY_S, touch_probability
from optimizers.costs.maker_taker import MakerTakerModel
from optimizers.costs.slippage import SlippageModel
from trading_system.config.sections import CostSettings
from trading_system.domain.errors import ConfigurationError
from trading_system.evaluation.cost_scores import (
    FillScores,
    IntervalScores,
    fill_scores,
    interval_scores,
)
from trading_system.evaluation.cost_sessions import (
    DELAY_MS,
    DEPTH,
    MEAN_GAP_S,
    SIZES,
    Array,
    CostSamples,
    VolatilityMeter,
    joined,
    sampled_costs,
)
from trading_system.evaluation.sessions import SyntheticPlan

EDGES_BPS = (25.0, 0.0)
ACTIVITIES = (1.0, 0.5, 2.0)
"""Markets take turns: a seed's edge alternates, its activity changes after every pair."""
FIRST_SEED = 3_001
FIRST_UNSEEN_SEED = 4_001
MIN_SAMPLES = 100
"""Fewest limit orders that a run learns from."""

_LEAST_UNSEEN = 1
_SHORTER_S = (2.0, 10.0)
_DIGITS = 6
_TAIL = NormalDist().inv_cdf(0.9)
_LOW, _HIGH = 0, 2

Progress = Callable[[str, int, int], None]
"""Called with what is being done, steps done and steps in all."""
Meter = Callable[[], VolatilityMeter]


@dataclass(frozen=True, slots=True, kw_only=True)
class CostTrainingPlan:
    """What to train the cost models on and where to write.

    Parameters
    ----------
    seeds : int
        Sessions to fit on; half as many others, at least one, only judge.
    minutes : float
        Virtual length of a session, positive.
    """

    out: Path
    seeds: int = 8
    minutes: float = 10.0

    def __post_init__(self) -> None:
        if not 1 <= self.seeds <= 1_000:
            raise ConfigurationError(f"--seeds must be from 1 to 1000, was {self.seeds}")
        if not 0 < self.minutes <= 1_440:
            raise ConfigurationError(
                f"--minutes must be above 0 and at most 1440, was {self.minutes}"
            )

    @property
    def unseen(self) -> int:
        """Number of sessions that only judge."""
        return max(self.seeds // 2, _LEAST_UNSEEN)

    def command(self) -> str:
        """Return the command that repeats this run; where to write does not matter to it."""
        words = ["trading-system", "train", "--what", "costs"]
        words += ["--seeds", str(self.seeds), "--minutes", f"{self.minutes:g}"]
        return shlex.join(words)


def train_costs(plan: CostTrainingPlan, *, meter: Meter, progress: Progress) -> dict[str, Any]:
    """Run ``plan``, write both models and return the manifest that names them.

    Parameters
    ----------
    meter : callable
        Makes the meter of volatility that live estimates use, one per symbol and session.

    Raises
    ------
    ConfigurationError
        If there is too little data or the folder holds models of another kind (no file was
        changed), or the folder cannot be written.
    """
    _refuse_other_models(plan.out)
    settings = CostSettings()
    sessions = _sessions(plan, settings.horizon_s, meter=meter, progress=progress)
    judges = sessions[plan.seeds :]
    seen, unseen = joined(sessions[: plan.seeds]), joined(judges)
    _require(seen, unseen)
    progress("fitting", 0, 2)
    maker, taker = MakerTakerModel(), SlippageModel()
    fit = maker.fit(seen.maker_x, seen.is_maker, horizon_s=settings.horizon_s)
    progress("fitting", 1, 2)
    taker.fit(seen.taker_x, seen.paid_bps)
    progress("fitting", 2, 2)
    run = {
        "command": plan.command(),
        "data": _data_facts(plan, settings, seen=seen, unseen=unseen),
        "versions": {name: version(name) for name in ("numpy", "scikit-learn")},
    }
    horizon_s = settings.horizon_s
    maker_facts = _maker_facts(maker, seen=seen, unseen=unseen, horizon_s=horizon_s)
    fitted = {name: None if value is None else _rounded(value) for name, value in fit.items()}
    maker.save(plan.out, facts={**run, "fit": fitted, "unseen": maker_facts})
    taker.save(plan.out, facts={**run, "unseen": _taker_facts(taker, unseen, judges)})
    return _manifest(plan.out)


def _sessions(
    plan: CostTrainingPlan, horizon_s: float, *, meter: Meter, progress: Progress
) -> list[CostSamples]:
    # Those to fit on first, then those that judge.
    markets = [
        *(_market(FIRST_SEED + number, number) for number in range(plan.seeds)),
        *(_market(FIRST_UNSEEN_SEED + number, number) for number in range(plan.unseen)),
    ]
    made: list[CostSamples] = []
    for number, (seed, market) in enumerate(markets):
        progress("simulating", number, len(markets))
        session = sampled_costs(
            market.venue(seed),
            seed=seed,
            seconds=plan.minutes * 60,
            horizon_s=horizon_s,
            meter=meter,
        )
        made.append(session)
    progress("simulating", len(markets), len(markets))
    return made


def maker_scores(
    model: MakerTakerModel, samples: CostSamples, *, reference_rate: float
) -> FillScores:
    """Return the scores of a fill model on ``samples``."""
    p = model.predict_batch(samples.maker_x)
    return fill_scores(p, samples.is_maker, reference_rate=reference_rate)


def taker_scores(model: SlippageModel, samples: CostSamples) -> IntervalScores:
    """Return the scores of the 80 % interval of a slippage model on ``samples``."""
    bounds = np.array([model.quantiles(row) for row in samples.taker_x.tolist()])
    return interval_scores(bounds[:, _LOW], bounds[:, _HIGH], samples.paid_bps)


def _market(seed: int, number: int) -> tuple[int, SyntheticPlan]:
    return seed, SyntheticPlan(
        edge_bps=EDGES_BPS[number % len(EDGES_BPS)],
        activity=ACTIVITIES[number // len(EDGES_BPS) % len(ACTIVITIES)],
    )


def _manifest(folder: Path) -> dict[str, Any]:
    manifest: dict[str, Any] = json.loads((folder / documents.MANIFEST).read_bytes())
    return manifest


def _refuse_other_models(folder: Path) -> None:
    # The agents' models have a manifest of the same name, which a merge would ruin.
    if not (folder / documents.MANIFEST).is_file():
        return
    try:
        listed = _manifest(folder)["models"]
        is_ours = set(listed) <= {maker_taker.NAME, slippage.NAME}
    except (ValueError, LookupError, TypeError):
        is_ours = False
    if not is_ours:
        raise ConfigurationError(
            f"{folder} holds models of another kind; give another folder with --out"
        )


def _rounded(value: float) -> float:
    return round(float(value), _DIGITS)


def _require(seen: CostSamples, unseen: CostSamples) -> None:
    fewest = min(len(seen.fill_s), len(seen.paid_bps))
    if fewest < MIN_SAMPLES or not len(unseen.fill_s):
        raise ConfigurationError(
            f"too little data: {fewest} orders, at least {MIN_SAMPLES} are needed; give more"
            " --seeds or --minutes"
        )


def _data_facts(
    plan: CostTrainingPlan, settings: CostSettings, *, seen: CostSamples, unseen: CostSamples
) -> dict[str, Any]:
    return {
        "source": "synthetic",
        "symbols": list(SyntheticPlan().symbols),
        "edges_bps": list(EDGES_BPS),
        "activities": list(ACTIVITIES),
        "seeds": [FIRST_SEED, FIRST_SEED + plan.seeds - 1],
        "unseen_seeds": [FIRST_UNSEEN_SEED, FIRST_UNSEEN_SEED + plan.unseen - 1],
        "minutes": plan.minutes,
        "levels": DEPTH,
        "volatility_window_s": settings.volatility_window_s,
        "horizon_s": settings.horizon_s,
        "delay_ms": list(DELAY_MS),
        "mean_gap_s": MEAN_GAP_S,
        "sizes": list(SIZES),
        "limit_orders": len(seen.fill_s),
        "market_orders": len(seen.paid_bps),
        "dropped": seen.dropped + unseen.dropped,
        "sha256": seen.digest(),
    }


def _maker_facts(
    model: MakerTakerModel, *, seen: CostSamples, unseen: CostSamples, horizon_s: float
) -> dict[str, Any]:
    rate = float(seen.is_maker.mean())
    touched = _touched(unseen.maker_x, horizon_s)
    windows = round(len(unseen.fill_s) * MEAN_GAP_S / horizon_s)
    return {
        "independent_horizons": windows,
        "model": maker_scores(model, unseen, reference_rate=rate),
        "touch_probability": fill_scores(touched, unseen.is_maker, reference_rate=rate),
        "filled_within_s": {
            f"{limit:g}": _rounded((unseen.fill_s <= limit).mean())
            for limit in (*_SHORTER_S, horizon_s)
        },
    }


def _touched(rows: Array, horizon_s: float) -> Array:
    # What an estimate says without a model; spread and volatility are relative to the price.
    return np.array(
        [touch_probability(row[0], sigma=row[2], horizon_s=horizon_s) for row in rows.tolist()]
    )


def _taker_facts(
    model: SlippageModel, unseen: CostSamples, sessions: list[CostSamples]
) -> dict[str, Any]:
    walk = unseen.taker_x[:, slippage.FEATURES.index("walk_bps")]
    volatility = unseen.taker_x[:, slippage.FEATURES.index("volatility_bps")]
    reach = _TAIL * volatility * math.sqrt(LATENCY_S)
    shares = [taker_scores(model, each)["coverage"] for each in sessions]
    return {
        "model": taker_scores(model, unseen),
        "volatility_interval": interval_scores(walk - reach, walk + reach, unseen.paid_bps),
        "coverage_by_seed": shares,
        "mean_error_bps": _rounded((unseen.paid_bps - walk).mean()),
    }
